"""The names of CHECK constraints: unique in a schema, so CREATE TABLE … LIKE gives new ones."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import TokenType
from sqlglot.dialects.mysql import MySQL

from migrations_app.engine.names import quote

_CHECK = re.compile(r"^\s*CONSTRAINT `((?:[^`]|``)+)` (CHECK .*?),?$", re.MULTILINE)
_TABLE_PREFIX = "ALTER TABLE t "


def names_in_copy(definition: str, copy_definition: str) -> dict[str, str]:
    """A constraint's name → its name in a copy made with LIKE.

    Both arguments are SHOW CREATE TABLE; constraints are matched by what they check.
    """
    in_copy: dict[str, list[str]] = {}
    for name, check in _CHECK.findall(copy_definition):
        in_copy.setdefault(check, []).append(name.replace("``", "`"))
    return {
        name.replace("``", "`"): in_copy[check].pop(0)
        for name, check in _CHECK.findall(definition)
        if in_copy.get(check)
    }


def with_names(clauses: str, new_names: Mapping[str, str]) -> str:
    """The clauses of an ALTER TABLE, dropping and altering constraints by their other names.

    new_names: old name → new.
    """
    if not new_names:
        return clauses
    by_lower = {name.lower(): new for name, new in new_names.items()}
    sql = _TABLE_PREFIX + clauses
    tokens = MySQL.Tokenizer().tokenize(sql)
    parts = []
    done = len(_TABLE_PREFIX)
    for verb, kind, name in zip(tokens, tokens[1:], tokens[2:], strict=False):
        known = by_lower.get(name.text.lower())
        words = tuple(
            "" if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING) else token.text
            for token in (verb, kind)
        )
        if known is None or words[0].upper() not in ("DROP", "ALTER"):
            continue
        if words[1].upper() in ("CHECK", "CONSTRAINT"):
            parts += [sql[done : name.start], quote(known)]
            done = name.end + 1
    return "".join([*parts, sql[done:]])
