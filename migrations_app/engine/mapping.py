"""How the columns and the key of a table live on in its shadow table."""

from __future__ import annotations

import dataclasses

from migrations_app.engine import keys
from migrations_app.engine.errors import RefusedError
from migrations_app.engine.keys import KeyColumn
from migrations_app.engine.names import quote
from migrations_app.engine.statement import Statement
from migrations_app.engine.table import Column, Index, Table
from migrations_app.engine.tablekey import TableKey


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnPair:
    """A column of the source and the column of the shadow table that takes its values."""

    source: Column
    target: Column


@dataclasses.dataclass(frozen=True, slots=True)
class Mapping:
    """What is copied, and by which key.

    pairs: columns present on both sides (generated ones of the new table left out: the server
    computes them); source_key, shadow_key: the same key in both; new_unique: unique indexes of
    the shadow table that the source's own indexes do not vouch for.
    """

    source: Table
    shadow: Table
    pairs: tuple[ColumnPair, ...]
    source_key: TableKey
    shadow_key: TableKey
    new_unique: tuple[Index, ...]

    @property
    def source_columns(self) -> str:
        return ", ".join(quote(pair.source.name) for pair in self.pairs)

    @property
    def shadow_columns(self) -> str:
        return ", ".join(quote(pair.target.name) for pair in self.pairs)


def map_tables(statement: Statement, source: Table, shadow: Table) -> Mapping:
    """Compare both tables. Raises RefusedError when no key is left to walk by."""
    new_names = _new_names(statement, source, shadow)
    pairs = tuple(
        ColumnPair(column, target)
        for column in source.columns
        if (target := shadow.column(new_names.get(column.name.lower(), ""))) is not None
        and not target.generated
    )
    source_key, shadow_key = _shared_key(source, shadow, new_names)
    return Mapping(
        source=source,
        shadow=shadow,
        pairs=pairs,
        source_key=source_key,
        shadow_key=shadow_key,
        new_unique=_new_unique(source, shadow, new_names),
    )


def _new_names(statement: Statement, source: Table, shadow: Table) -> dict[str, str]:
    """Old column name (lower case) → its name in the shadow table; dropped ones are absent.

    A column that is dropped and added again under its name is a new column.
    """
    taken = {name.lower() for name in statement.renamed_columns.values()}
    names: dict[str, str] = {}
    for column in source.columns:
        old = column.name.lower()
        if old in statement.dropped_columns:
            continue
        new = statement.renamed_columns.get(old)
        if new is None and old in taken:
            continue
        if (target := shadow.column(new or old)) is not None:
            names[old] = target.name
    return names


def usable_keys(table: Table) -> list[Index]:
    """Unique keys whose columns hold no NULL and whole values; the primary key first."""
    usable = []
    for index in table.indexes:
        columns = [table.column(name) for name in index.columns]
        if not index.unique or index.prefixed or index.functional:
            continue
        if any(column is None or column.nullable or _refusal(column) for column in columns):
            continue
        usable.append(index)
    return sorted(usable, key=lambda index: (not index.primary, len(index.columns)))


def _refusal(column: Column) -> str:
    if column.generated:
        return f"{column.name} is generated"
    return keys.refuse_reason(key_column(column))


def key_column(column: Column) -> KeyColumn:
    return KeyColumn.from_information_schema(column.facts, column.ordinal)


def _shared_key(
    source: Table, shadow: Table, new_names: dict[str, str]
) -> tuple[TableKey, TableKey]:
    for index in usable_keys(source):
        mapped = [new_names.get(name.lower(), "").lower() for name in index.columns]
        for candidate in usable_keys(shadow):
            if sorted(name.lower() for name in candidate.columns) == sorted(mapped):
                columns = [source.column(name) for name in index.columns]
                key = TableKey(
                    index.name, tuple(key_column(column) for column in columns if column)
                )
                return key, key.renamed(candidate.name, new_names)
    raise RefusedError(no_key_reason(source))


def no_key_reason(source: Table) -> str:
    if not usable_keys(source):
        return (
            f"The table {source.name} has no usable key: add a primary key, or a unique key whose "
            f"columns are NOT NULL, first."
        )
    return (
        f"After this change no unique key of {source.name} would be the same as before, so rows "
        f"could not be told apart. Keep the present key as a unique key in this change, and drop "
        f"it in a second one."
    )


def _new_unique(source: Table, shadow: Table, new_names: dict[str, str]) -> tuple[Index, ...]:
    """Unique indexes that data without duplicates in the source may still violate."""
    vouched = {
        frozenset(new_names.get(name.lower(), "").lower() for name in index.columns)
        for index in source.indexes
        if index.unique and not index.functional and not index.prefixed
    }
    unchanged = {
        target.name.lower()
        for column in source.columns
        if (target := shadow.column(new_names.get(column.name.lower(), ""))) is not None
        and (column.column_type, column.collation) == (target.column_type, target.collation)
    }
    fresh = []
    for index in shadow.indexes:
        columns = frozenset(name.lower() for name in index.columns)
        known = any(key <= columns for key in vouched) and columns <= unchanged
        if index.unique and (index.functional or index.prefixed or not known):
            fresh.append(index)
    return tuple(fresh)
