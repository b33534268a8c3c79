"""What the rules are given: the statement, the table before and after it, and what was asked of
the server beforehand. A rule asks nothing by itself."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping

from migrations_app.engine.lint.clauses import ClauseFacts, read_clauses
from migrations_app.engine.lint.levels import LintLevel
from migrations_app.engine.observer import Method
from migrations_app.engine.preflight import Problem
from migrations_app.engine.statement import Statement
from migrations_app.engine.table import Column, Index, Table

_NOTHING = Table("", (), (), "", "", 0, 0, 0, None)


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One thing a rule has to say. message: what and why; remedy: what to do about it."""

    rule: str
    level: LintLevel
    message: str
    remedy: str


@dataclasses.dataclass(frozen=True, slots=True)
class Said:
    """What a rule found, before it has a name and a level."""

    message: str
    remedy: str


@dataclasses.dataclass(frozen=True, slots=True)
class Allowed:
    """What new columns and tables may use: names, or patterns with ``*``."""

    charsets: tuple[str, ...] = ("utf8mb4", "binary")
    collations: tuple[str, ...] = ("utf8mb4_0900_*", "utf8mb4_bin", "utf8mb4_unicode_ci", "binary")
    engines: tuple[str, ...] = ("InnoDB",)


@dataclasses.dataclass(frozen=True, slots=True)
class ElsewhereColumn:
    """A column of another table of the schema."""

    table: str
    name: str
    column_type: str


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What the server was asked for the rules.

    problems: what the preflight found; after: the table as the server would make it, None when
    it refuses (refusal: its words) or was not asked; method: how it would make the change;
    with_nulls, nulls_unknown: columns that become NOT NULL and hold a NULL, or could not be
    looked through in time (lower case); written_secs_ago: None while unknown; elsewhere: columns
    of other tables that have the name of one that is added or changed; reserved: the server's
    reserved words, upper case; old_table: a table that has the old table's name, or "".
    """

    problems: tuple[Problem, ...] = ()
    after: Table | None = None
    refusal: str = ""
    method: Method = Method.UNDECIDED
    with_nulls: frozenset[str] = frozenset()
    nulls_unknown: frozenset[str] = frozenset()
    written_secs_ago: float | None = None
    elsewhere: tuple[ElsewhereColumn, ...] = ()
    reserved: frozenset[str] = frozenset()
    old_table: str = ""
    allowed: Allowed = dataclasses.field(default_factory=Allowed)


@dataclasses.dataclass(frozen=True)
class Case:
    """A statement on a table, looked at from every side a rule needs.

    ``after`` is ``before`` where the server could not be asked: nothing has changed then.
    """

    statement: Statement
    table: Table | None
    facts: Facts

    @property
    def name(self) -> str:
        return self.statement.table

    @property
    def before(self) -> Table:
        return self.table or _NOTHING

    @property
    def after(self) -> Table:
        return self.facts.after or self.before

    @functools.cached_property
    def clauses(self) -> tuple[ClauseFacts, ...]:
        return read_clauses(self.statement)

    @functools.cached_property
    def new_names(self) -> Mapping[str, str]:
        """A column's old name (lower case) → its name afterwards; dropped ones are absent."""
        return new_names(self.statement, self.before, self.after)

    @functools.cached_property
    def pairs(self) -> tuple[tuple[Column, Column], ...]:
        """The columns that are there before and after, as (before, after)."""
        return tuple(
            (column, target)
            for column in self.before.columns
            if (target := self.after.column(self.new_names.get(column.name.lower(), "")))
        )

    @property
    def changed(self) -> Iterator[tuple[Column, Column]]:
        """The pairs whose definition is not the same."""
        return (pair for pair in self.pairs if _definition(pair[0]) != _definition(pair[1]))

    @functools.cached_property
    def added(self) -> tuple[Column, ...]:
        kept = {target.name for _, target in self.pairs}
        return tuple(column for column in self.after.columns if column.name not in kept)

    @functools.cached_property
    def touched(self) -> tuple[Column, ...]:
        """The columns that the statement adds or changes, as they are afterwards."""
        return (*self.added, *(target for _, target in self.changed))

    @functools.cached_property
    def named(self) -> tuple[Column, ...]:
        """The columns that get a name by the statement: added or renamed."""
        renamed = (new for old, new in self.pairs if old.name != new.name)
        return (*self.added, *renamed)

    @functools.cached_property
    def _index_names(self) -> Mapping[str, str]:
        """An index's name afterwards (lower case) → its name before."""
        return {
            clause.new_index.lower(): clause.index for clause in self.clauses if clause.new_index
        }

    @functools.cached_property
    def added_indexes(self) -> tuple[Index, ...]:
        """Indexes that are new, or that have a name of before and are built of something else."""
        before = {index.name.lower(): index for index in self.before.indexes}
        added = []
        for index in self.after.indexes:
            old = before.get(self._index_names.get(index.name.lower(), index.name).lower())
            if old is None or self._shape_before(old) != shape(index):
                added.append(index)
        return tuple(added)

    @functools.cached_property
    def dropped_indexes(self) -> tuple[Index, ...]:
        """Indexes that the statement drops by name, and nothing of that name comes back."""
        kept = {
            self._index_names.get(index.name.lower(), index.name).lower()
            for index in self.after.indexes
        }
        return tuple(index for index in self.before.indexes if index.name.lower() not in kept)

    def _shape_before(self, index: Index) -> tuple[object, ...]:
        renamed = tuple(self.new_names.get(name.lower(), name) for name in index.columns)
        return shape(dataclasses.replace(index, columns=renamed))


def new_names(statement: Statement, before: Table, after: Table) -> dict[str, str]:
    """A column's old name (lower case) → its name afterwards; dropped ones are absent.

    A column that is dropped and added again under its name is a new one.
    """
    taken = {name.lower() for name in statement.renamed_columns.values()}
    names: dict[str, str] = {}
    for column in before.columns:
        old = column.name.lower()
        new = statement.renamed_columns.get(old)
        if old in statement.dropped_columns or (new is None and old in taken):
            continue
        if target := after.column(new or old):
            names[old] = target.name
    return names


def shape(index: Index) -> tuple[object, ...]:
    """What an index is built of; two of one shape are duplicates."""
    functional = index.definition if index.functional else ""
    columns = tuple(name.lower() for name in index.columns)
    return (index.unique, index.kind, columns, index.prefix_chars, functional)


def _definition(column: Column) -> tuple[object, ...]:
    facts = column.facts
    return (
        column.column_type,
        column.nullable,
        column.collation,
        facts.get("COLUMN_DEFAULT"),
        facts.get("EXTRA"),
        facts.get("GENERATION_EXPRESSION"),
    )
