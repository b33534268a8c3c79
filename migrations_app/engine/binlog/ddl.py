"""Which tables a logged statement changes other than by row events.

A statement that changes the definition of a table under migration ends the run. The reading is
deliberately one-sided: a statement known to be harmless, or known to change other tables, is
passed over; any other that has the table's name among its identifiers counts as a change of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import NamedTuple

TableName = tuple[str, str]


class Token(NamedTuple):
    """text: an identifier or string without its quotes. quoted: it cannot be a keyword."""

    text: str
    quoted: bool
    identifier: bool


_TOKEN = re.compile(
    r"""
      (?P<space>\s+ | --(?=[\s\x00-\x1f]|$)[^\n]* | \#[^\n]*)
    | (?P<open>/\*[M]?!\d*)                           # an executable comment counts as code
    | (?P<comment>/\*.*?\*/)
    | (?P<close>\*/)
    | `(?P<backquoted>(?:[^`]|``)*)`
    | "(?P<doublequoted>(?:[^"\\]|""|\\.)*)"          # an identifier under ANSI_QUOTES
    | '(?P<string>(?:[^'\\]|''|\\.)*)'
    | (?P<word>[\w$\u0080-\uffff]+)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
# No table's definition or rows are changed by these, even when they name it.
_HARMLESS = {
    "ANALYZE", "OPTIMIZE", "REPAIR", "CHECK", "CHECKSUM", "FLUSH", "GRANT", "REVOKE", "SET",
    "BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "XA", "INSTALL", "UNINSTALL", "START",
}  # fmt: skip
_HARMLESS_OBJECTS = {
    "VIEW", "PROCEDURE", "FUNCTION", "EVENT", "USER", "ROLE", "SERVER", "TABLESPACE", "UNDO",
    "LOGFILE", "RESOURCE", "SPATIAL", "INSTANCE", "LIBRARY",
}  # fmt: skip
_VERB_OBJECTS = {
    "TABLE", "INDEX", "TRIGGER", "DATABASE", "SCHEMA", "VIEW", "PROCEDURE", "FUNCTION", "EVENT",
    "USER", "ROLE", "SERVER", "TABLESPACE", "UNDO", "LOGFILE", "RESOURCE", "INSTANCE", "LIBRARY",
    "TABLES",
}  # fmt: skip


def changed_tables(
    sql: str, default_schema: str, watched: Collection[TableName], *, fold_case: bool = False
) -> list[TableName]:
    """The watched tables that a logged statement changes, in the order of ``watched``.

    fold_case: the server ignores the case of table names (lower_case_table_names is not 0).
    """
    fold: Callable[[str], str] = str.lower if fold_case else str
    tokens = list(_tokens(sql))
    hits = _Statement(tokens, default_schema).targets()
    if hits is None:
        identifiers = {fold(token.text) for token in tokens if token.identifier}
        return [name for name in watched if fold(name[1]) in identifiers]
    targets = {(fold(schema), fold(table)) for schema, table in hits}
    return [
        (schema, table)
        for schema, table in watched
        if (fold(schema), fold(table)) in targets or (fold(schema), "") in targets
    ]


def first_word(sql: str) -> str:
    """The statement's verb in upper case, "" when it has none."""
    for token in _tokens(sql):
        return token.text.upper()
    return ""


def _tokens(sql: str) -> Iterator[Token]:
    for match in _TOKEN.finditer(sql):
        kind, text = match.lastgroup, match.group()
        if kind == "word":
            yield Token(text, False, True)
        elif kind == "backquoted":
            yield Token(match["backquoted"].replace("``", "`"), True, True)
        elif kind == "doublequoted":
            yield Token(match["doublequoted"].replace('""', '"'), True, True)
        elif kind == "string":
            yield Token(match["string"], True, False)
        elif kind == "other":
            yield Token(text, False, False)


class _Statement:
    """A cursor over a statement's tokens that knows where table names stand.

    ``targets`` returns the tables it changes, with "" as the table for a whole schema, or None
    when the statement is not understood.
    """

    def __init__(self, tokens: Sequence[Token], default_schema: str) -> None:
        self._tokens = tokens
        self._default_schema = default_schema
        self._at = 0

    def targets(self) -> list[TableName] | None:
        verb = self._word()
        if verb in _HARMLESS:
            return []
        self._at += 1
        if verb == "TRUNCATE":
            self._accept("TABLE")
            return self._one_name()
        if verb == "RENAME":
            return self._renamed()
        if verb not in ("ALTER", "CREATE", "DROP"):
            return None
        return self._definition(verb)

    def _definition(self, verb: str) -> list[TableName] | None:
        temporary = False
        while self._at < len(self._tokens) and self._word() not in _VERB_OBJECTS:
            # OR REPLACE, ALGORITHM=…, DEFINER=`x`@`y`, SQL SECURITY …, UNIQUE, TEMPORARY
            temporary = temporary or self._word() == "TEMPORARY"
            self._at += 1
        kind = self._word()
        self._at += 1
        if kind in ("TABLE", "TABLES"):
            return [] if temporary else self._table(verb)
        if kind in ("DATABASE", "SCHEMA"):
            return self._schema() if verb == "DROP" else []
        if kind == "INDEX":
            return self._after("ON")
        if kind == "TRIGGER":
            # DROP TRIGGER does not say whose it was; no run begins on a table with triggers.
            return self._after("ON") if verb == "CREATE" else []
        return [] if kind in _HARMLESS_OBJECTS else None

    def _table(self, verb: str) -> list[TableName] | None:
        self._accept("IF")
        self._accept("NOT")
        self._accept("EXISTS")
        if verb == "DROP":
            return self._name_list()
        named = self._one_name()
        if named is None:
            return None
        return named + self._other_tables(renames=verb == "ALTER")

    def _other_tables(self, *, renames: bool) -> list[TableName]:
        """Tables in REFERENCES, EXCHANGE PARTITION … WITH TABLE and RENAME TO clauses."""
        found: list[TableName] = []
        while self._at < len(self._tokens):
            word = self._word()
            self._at += 1
            if word == "WITH" and self._word() == "TABLE":
                self._at += 1
            elif word == "RENAME" and renames:
                if self._word() in ("COLUMN", "INDEX", "KEY"):
                    continue
                self._accept("TO", "AS", "=")
            elif word != "REFERENCES":
                continue
            found += self._one_name() or []
        return found

    def _renamed(self) -> list[TableName] | None:
        if not self._accept("TABLE", "TABLES"):
            return []  # RENAME USER
        found: list[TableName] = []
        while True:
            for _ in range(2):
                name = self._one_name()
                if name is None:
                    return None
                found += name
                self._accept("TO")
            if not self._accept(","):
                return found

    def _name_list(self) -> list[TableName] | None:
        found: list[TableName] = []
        while True:
            name = self._one_name()
            if name is None:
                return None
            found += name
            if not self._accept(","):
                return found

    def _schema(self) -> list[TableName] | None:
        self._accept("IF")
        self._accept("EXISTS")
        return [(self._tokens[self._at].text, "")] if self._is_identifier(self._at) else None

    def _after(self, word: str) -> list[TableName] | None:
        while self._at < len(self._tokens):
            if self._accept(word):
                return self._one_name()
            self._at += 1
        return None

    def _one_name(self) -> list[TableName] | None:
        """A table's name, qualified or not, at the cursor, which moves behind it."""
        if not self._is_identifier(self._at):
            return None
        first = self._tokens[self._at].text
        self._at += 1
        if self._word() == "." and self._is_identifier(self._at + 1):
            self._at += 2
            return [(first, self._tokens[self._at - 1].text)]
        return [(self._default_schema, first)]

    def _is_identifier(self, at: int) -> bool:
        return at < len(self._tokens) and self._tokens[at].identifier

    def _word(self) -> str:
        """The token at the cursor as a keyword: upper case, "" for a quoted one or the end."""
        if self._at >= len(self._tokens) or self._tokens[self._at].quoted:
            return ""
        return self._tokens[self._at].text.upper()

    def _accept(self, *words: str) -> bool:
        if self._word() in words:
            self._at += 1
            return True
        return False
