"""Reading a schema change: only as far as the engine needs; the server judges the rest.

sqlglot's MySQL tokenizer finds strings, comments and identifiers. On its tokens this module
separates the statements, finds each one's table, splits its clauses, and notes renamed and dropped
columns.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from sqlglot import Token, TokenType

from migrations_app.engine.errors import RefusedError
from migrations_app.engine.names import TableNames
from migrations_app.engine.tokens import USAGE, source, tokenize

_NOT_COLUMNS = {
    "INDEX", "KEY", "CONSTRAINT", "PRIMARY", "UNIQUE", "FULLTEXT", "SPATIAL", "FOREIGN", "CHECK",
    "PARTITION",
}  # fmt: skip
# A name as MySQL reads it: in backticks, or of letters, digits, _ and $.
_NAME = r"`(?:[^`]|``)++`|[\w$]++"
_RENAMED = re.compile(
    rf"(?:CHANGE\b\s*(?:COLUMN\b\s*)?|RENAME\s+COLUMN\b\s*)"
    rf"(?P<old>{_NAME})\s*(?:(?<=[\s`])TO\b\s*)?(?P<new>{_NAME})",
    re.IGNORECASE,
)
_DROPPED = re.compile(rf"DROP\b\s*(?P<column>COLUMN\b\s*)?(?P<old>{_NAME})", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True)
class Clause:
    """One comma-separated part of an ALTER TABLE, comments left out.

    words: its first words in upper case, identifiers as ``""``, enough to tell what it does;
    all_words: every word that is no quoted name or text.
    """

    sql: str
    words: tuple[str, ...]
    all_words: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """A parsed statement.

    sql: as the person wrote it; normalized: without comments and needless space, for comparing
    two statements; names: the table and what belongs to it; alter_clauses: what follows the
    table's name in the ALTER TABLE; renamed_columns: old name (lower case) → new name;
    dropped_columns: names in lower case.
    """

    sql: str
    normalized: str
    names: TableNames
    alter_clauses: str
    clauses: tuple[Clause, ...]
    renamed_columns: dict[str, str]
    dropped_columns: frozenset[str]

    @property
    def schema(self) -> str:
        return self.names.schema

    @property
    def table(self) -> str:
        return self.names.table

    @property
    def alone(self) -> Change:
        """The change that consists of this statement."""
        return Change(self.sql, self.normalized, (self,))

    def alter(self, table_sql: str, suffix: str = "") -> str:
        """The ALTER TABLE for another table name, e.g. the shadow table's, as SQL."""
        separator = ", " if suffix and self.alter_clauses else " "
        return f"ALTER TABLE {table_sql} {self.alter_clauses}{separator}{suffix}".rstrip()


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """What one run makes: statements on different tables of one schema, swapped together.

    sql: as the person wrote it; normalized: for comparing two changes; statements: at least one.
    The checkpoint lies beside the first one's table.
    """

    sql: str
    normalized: str
    statements: tuple[Statement, ...]

    @property
    def first(self) -> Statement:
        return self.statements[0]

    @property
    def schema(self) -> str:
        return self.first.schema

    @property
    def all_names(self) -> tuple[TableNames, ...]:
        """Of each statement, in order."""
        return tuple(statement.names for statement in self.statements)

    @property
    def tables(self) -> str:
        """The tables' names for people: ``orders``, ``orders, order_items``."""
        return ", ".join(names.table for names in self.all_names)


class _Reader:
    """A cursor over tokens."""

    def __init__(self, sql: str, tokens: Sequence[Token]) -> None:
        self.sql = sql
        self.tokens = tokens
        self.at = 0

    def peek(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def next(self) -> Token:
        token = self.peek()
        if token is None:
            raise RefusedError(f"The statement ends too early. {USAGE}")
        self.at += 1
        return token

    def accept(self, *words: str) -> bool:
        """Step over these words if they come next."""
        following = self.tokens[self.at : self.at + len(words)]
        if tuple(_word(token) for token in following) != words:
            return False
        self.at += len(words)
        return True

    def identifier(self) -> str:
        token = self.next()
        if token.token_type in (TokenType.STRING, TokenType.NUMBER, TokenType.SEMICOLON):
            raise RefusedError(f"A name was expected at {token.text!r}. {USAGE}")
        return token.text

    def table_name(self, default_schema: str) -> TableNames:
        first = self.identifier()
        token = self.peek()
        if token is not None and token.token_type is TokenType.DOT:
            self.next()
            return TableNames(first, self.identifier())
        return TableNames(default_schema, first)


def _word(token: Token) -> str:
    """A token as an upper-case keyword; quoted names and strings are never keywords."""
    if token.token_type in (TokenType.IDENTIFIER, TokenType.STRING):
        return ""
    # Some pairs (PRIMARY KEY) come as one token: the first word tells.
    return token.text.upper().partition(" ")[0]


def parse_change(sql: str, default_schema: str) -> Change:
    """Parse one statement, or several with semicolons between them, on tables of
    ``default_schema`` (or of the schema they name).

    Raises RefusedError, in words for the person who wrote it.
    """
    groups: list[list[Token]] = [[]]
    for token in tokenize(sql):
        if token.token_type is TokenType.SEMICOLON:
            groups.append([])
        else:
            groups[-1].append(token)
    groups = [group for group in groups if group]
    if not groups:
        raise RefusedError(f"The statement is empty. {USAGE}")
    if len(groups) == 1:
        statements: tuple[Statement, ...] = (_parse(sql, groups[0], default_schema, sql.strip()),)
    else:
        statements = tuple(
            _parse(sql, group, default_schema, sql[group[0].start : group[-1].end + 1])
            for group in groups
        )
        _refuse_what_cannot_be_swapped_together(statements)
    normalized = "; ".join(statement.normalized for statement in statements)
    return Change(sql.strip(), normalized, statements)


def _refuse_what_cannot_be_swapped_together(statements: Sequence[Statement]) -> None:
    schemas = sorted({statement.schema for statement in statements})
    if len(schemas) > 1:
        raise RefusedError(
            f"The statements are on tables of several schemas ({', '.join(schemas)}). Only tables "
            f"of one schema can be swapped together; submit one change for each."
        )
    seen: set[str] = set()
    for names in (statement.names for statement in statements):
        if names.table in seen:
            raise RefusedError(
                f"Two of the statements are on the table {names.table!r}. Write them as one ALTER "
                f"TABLE with all clauses, so that its rows are copied once."
            )
        seen.add(names.table)
        for other in (statement.table for statement in statements):
            if other in (names.shadow, names.old, names.checkpoint):
                raise RefusedError(
                    f"The table {other!r} has a name that the change of {names.table!r} needs for "
                    f"itself. Rename it, or submit its change by itself."
                )


def parse_statement(sql: str, default_schema: str) -> Statement:
    """Parse exactly one statement; see ``parse_change``."""
    change = parse_change(sql, default_schema)
    if len(change.statements) > 1:
        raise RefusedError("More than one statement was given; give each one by itself.")
    return change.first


def _parse(sql: str, tokens: Sequence[Token], default_schema: str, written: str) -> Statement:
    """One statement's tokens. written: its text as the person wrote it."""
    reader = _Reader(sql, tokens)
    if reader.accept("ALTER", "TABLE"):
        names = reader.table_name(default_schema)
        clauses = source(sql, tokens[reader.at :])
    else:
        names, clauses = _as_alter(reader, default_schema)
    if not clauses:
        raise RefusedError(f"The ALTER TABLE of {names.table!r} changes nothing. {USAGE}")
    return _statement(written, source(sql, tokens), names, clauses)


def _as_alter(reader: _Reader, default_schema: str) -> tuple[TableNames, str]:
    """CREATE INDEX and DROP INDEX, rewritten as the ALTER TABLE clauses they stand for."""
    if reader.accept("DROP", "INDEX"):
        index = reader.next()
        if not reader.accept("ON"):
            raise RefusedError(f"DROP INDEX must say ON which table. {USAGE}")
        table_names = reader.table_name(default_schema)
        rest = source(reader.sql, reader.tokens[reader.at :])
        return table_names, f"DROP INDEX {source(reader.sql, [index])}{', ' if rest else ''}{rest}"
    if reader.accept("CREATE"):
        kind = next((k for k in ("UNIQUE", "FULLTEXT", "SPATIAL") if reader.accept(k)), "")
        if reader.accept("INDEX"):
            named_from = reader.at
            while (token := reader.peek()) is not None and _word(token) != "ON":
                reader.next()
            name = source(reader.sql, reader.tokens[named_from : reader.at])
            if not reader.accept("ON"):
                raise RefusedError(f"CREATE INDEX must say ON which table. {USAGE}")
            table_names = reader.table_name(default_schema)
            rest = source(reader.sql, reader.tokens[reader.at :])
            return table_names, f"ADD {kind + ' ' if kind else ''}INDEX {name} {rest}"
    first = source(reader.sql, reader.tokens[:2])
    raise RefusedError(f"This is not a statement for here: it begins with {first!r}. {USAGE}")


def _statement(sql: str, normalized: str, names: TableNames, clauses_sql: str) -> Statement:
    _refuse_long_names(names)
    # Read in their place: at the beginning of a text, some words would stand for commands.
    alter = f"ALTER TABLE t {clauses_sql}"
    groups = _split_at_commas(tokenize(alter)[3:])
    clauses = tuple(
        Clause(
            source(alter, group),
            tuple(_word(token) for token in group[:6]),
            frozenset(map(_word, group)),
        )
        for group in groups
    )
    problems = [problem for clause in clauses if (problem := _refusal(clause))]
    if problems:
        raise RefusedError(problems)
    renamed: dict[str, str] = {}
    dropped: set[str] = set()
    for clause in clauses:
        _note_columns(clause, renamed, dropped)
    return Statement(
        sql=sql.strip(),
        normalized=normalized,
        names=names,
        alter_clauses=clauses_sql,
        clauses=clauses,
        renamed_columns=renamed,
        dropped_columns=frozenset(dropped),
    )


def _refuse_long_names(names: TableNames) -> None:
    for name in (names.schema, names.table):
        if not name or len(name) > 64:
            raise RefusedError(f"{name!r} is not a name that MySQL accepts (1 to 64 characters).")


def _split_at_commas(tokens: Sequence[Token]) -> list[list[Token]]:
    groups: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if token.token_type is TokenType.L_PAREN:
            depth += 1
        elif token.token_type is TokenType.R_PAREN:
            depth -= 1
        if token.token_type is TokenType.COMMA and depth == 0:
            groups.append([])
        else:
            groups[-1].append(token)
    if depth != 0:
        raise RefusedError("The parentheses of the statement do not match.")
    if any(not group for group in groups):
        raise RefusedError("There is a comma in the statement with nothing behind or before it.")
    return groups


def _refusal(clause: Clause) -> str:
    """Why a clause cannot be part of an online change, or ""."""
    words = clause.words
    match words[0]:
        case "ALGORITHM" | "LOCK":
            return (
                f"Leave out {clause.sql!r}: how the change is made is decided here "
                f"(instant where the server can, else an online copy)."
            )
        case "RENAME" if words[1:2] not in (("COLUMN",), ("INDEX",), ("KEY",)):
            return (
                "Renaming the table is not possible here: run RENAME TABLE by itself, "
                "once the application is ready for it."
            )
        case "DROP" if words[1:2] == ("PARTITION",):
            return (
                f"{clause.sql!r} drops rows, which a copy would keep in another partition. Run it "
                f"by itself: the server drops a partition without reading a row."
            )
        case "DISCARD" | "IMPORT" | "EXCHANGE" | "ENABLE" | "DISABLE" | "TRUNCATE":
            return f"{clause.sql!r} is not a change of shape that can be made online by a copy."
        case _:
            if "FOREIGN" in clause.all_words or "REFERENCES" in clause.all_words:
                return (
                    f"{clause.sql!r}: foreign keys cannot be carried through the swap of two "
                    f"tables. Leave the clause out."
                )
            return ""


def _note_columns(clause: Clause, renamed: dict[str, str], dropped: set[str]) -> None:
    """Read from the text, as MySQL does: a name may begin with a digit, and a tokenizer for many
    dialects takes ``similar TO`` for one word."""
    if found := _RENAMED.match(clause.sql):
        renamed[_name(found, "old").lower()] = _name(found, "new")
    elif found := _DROPPED.match(clause.sql):
        name = _name(found, "old")
        if found["old"].startswith("`") or name.upper() not in _NOT_COLUMNS or found["column"]:
            dropped.add(name.lower())


def _name(found: re.Match[str], group: str) -> str:
    text = found[group]
    return text[1:-1].replace("``", "`") if text.startswith("`") else text
