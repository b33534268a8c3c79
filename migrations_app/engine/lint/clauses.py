"""What the clauses of an ALTER TABLE say where the table before and after does not tell:
columns added under a freed name, changed positions, indexes renamed or made invisible."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from sqlglot import Token, TokenType
from sqlglot.dialects.mysql import MySQL

from migrations_app.engine.statement import Clause, Statement

_NOT_COLUMNS = {
    "INDEX", "KEY", "CONSTRAINT", "PRIMARY", "UNIQUE", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK",
    "PARTITION",
}  # fmt: skip
_TABLE_PREFIX = "ALTER TABLE t "


@dataclasses.dataclass(frozen=True, slots=True)
class ClauseFacts:
    """One clause.

    words: every word in upper case, names and strings as ``""``; added: names of the columns it
    adds; column: the existing column it changes, or ""; index, new_index: the index it alters,
    drops or renames, and its new name.
    """

    sql: str
    words: tuple[str, ...]
    added: tuple[str, ...] = ()
    column: str = ""
    index: str = ""
    new_index: str = ""

    @property
    def moves_column(self) -> bool:
        """Whether it gives an existing column another position."""
        return bool(self.column) and ("FIRST" in self.words[-1:] or "AFTER" in self.words[-2:])

    @property
    def sets_visibility(self) -> bool:
        return self.words[:2] == ("ALTER", "INDEX")

    def begins(self, *words: str) -> bool:
        return self.words[: len(words)] == words


def read_clauses(statement: Statement) -> tuple[ClauseFacts, ...]:
    return tuple(_read(clause) for clause in statement.clauses)


def _read(clause: Clause) -> ClauseFacts:
    # Read in their place: at the beginning of a text, some words would stand for commands.
    tokens = MySQL.Tokenizer().tokenize(_TABLE_PREFIX + clause.sql)[3:]
    words = tuple(_word(token) for token in tokens)
    texts = [token.text for token in tokens]
    added: tuple[str, ...] = ()
    column = index = new_index = ""
    match words:
        case ("ADD", *_):
            added = _added(tokens)
        case ("MODIFY" | "CHANGE", "COLUMN", _, *_):
            column = texts[2]
        case ("MODIFY" | "CHANGE", _, *_):
            column = texts[1]
        case ("RENAME", "INDEX" | "KEY", _, _, _, *_):
            index, new_index = texts[2], texts[4]
        case ("ALTER" | "DROP", "INDEX" | "KEY", _, *_):
            index = texts[2]
    return ClauseFacts(clause.sql, words, added, column, index, new_index)


def _added(tokens: Sequence[Token]) -> tuple[str, ...]:
    """The columns of ``ADD [COLUMN] c …`` and ``ADD [COLUMN] (c …, d …)``."""
    at = 2 if len(tokens) > 1 and _word(tokens[1]) == "COLUMN" else 1
    if len(tokens) <= at:
        return ()
    if tokens[at].token_type is not TokenType.L_PAREN:
        return () if _word(tokens[at]) in _NOT_COLUMNS else (tokens[at].text,)
    names = []
    depth = 0
    begins = True
    for token in tokens[at:]:
        if depth == 1 and begins and _word(token) not in _NOT_COLUMNS:
            names.append(token.text)
        depth += {TokenType.L_PAREN: 1, TokenType.R_PAREN: -1}.get(token.token_type, 0)
        begins = depth == 1 and token.token_type in (TokenType.L_PAREN, TokenType.COMMA)
    return tuple(names)


def _word(token: Token) -> str:
    if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING):
        return ""
    return token.text.upper().partition(" ")[0]
