"""What the writer and the comparison must know of a table: its key, its columns, how to fill them.

``read_table`` finds all of it out by asking the server; a test with special wishes builds a
``Table`` by hand from columns and makers.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import MySQLdb

from playground.connections import query, quote
from playground.makers import Maker, is_integer, key_maker, maker_for

Key = tuple[Any, ...]
Row = tuple[Any, ...]

NULL_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Column:
    """One column that an application writes.

    make: gives a new value; always_set: the server would change it by itself on UPDATE, so every
    UPDATE names it; unique: its values must differ from row to row.
    """

    name: str
    make: Maker
    nullable: bool = False
    is_json: bool = False
    always_set: bool = False
    unique: bool = False

    def new_value(self, source: random.Random, serial: int) -> Any:
        if self.nullable and not self.unique and source.random() < NULL_SHARE:
            return None
        return self.make(source, serial)


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as an application sees it: rows are tuples in the order of ``columns``.

    new_key: gives a key that may be free, from the randomness, a serial number and the sampled
    keys; auto_increment: the single key column is filled by the server when left out.
    """

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    new_key: Callable[[random.Random, int], Key]
    auto_increment: bool = False

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @functools.cached_property
    def _key_places(self) -> tuple[int, ...]:
        return tuple(self.names.index(name) for name in self.key)

    @functools.cached_property
    def value_columns(self) -> tuple[int, ...]:
        """The places of the columns that are not part of the key."""
        return tuple(i for i, name in enumerate(self.names) if name not in self.key)

    @property
    def columns_sql(self) -> str:
        return ", ".join(quote(name) for name in self.names)

    @property
    def key_sql(self) -> str:
        """The key for an IN list: ``(`a`, `b`)``, or the single column."""
        names = ", ".join(quote(name) for name in self.key)
        return f"({names})" if len(self.key) > 1 else names

    def key_of(self, row: Row) -> Key:
        return tuple(row[place] for place in self._key_places)

    def with_key(self, row: Row, key: Key) -> Row:
        """The same row under another key."""
        changed = list(row)
        for place, value in zip(self._key_places, key, strict=True):
            changed[place] = value
        return tuple(changed)

    def loaded(self, row: Sequence[Any]) -> Row:
        """A row as the driver returned it, in the form the makers use."""
        return tuple(
            json.loads(value) if column.is_json and value is not None else value
            for column, value in zip(self.columns, row, strict=True)
        )

    def dumped(self, place: int, value: Any) -> Any:
        """A value as the driver takes it."""
        if self.columns[place].is_json and value is not None:
            return json.dumps(value, ensure_ascii=False)
        return value

    def new_row(self, key: Key, source: random.Random, serial: int) -> Row:
        values = [column.new_value(source, serial) for column in self.columns]
        return self.with_key(tuple(values), key)


def read_rows(
    connection: MySQLdb.Connection, table: Table, keys: Sequence[Key], *, of: str = ""
) -> dict[Key, Row]:
    """The rows with these keys, by key; absent ones are left out. ``of``: another table's name."""
    if not keys:
        return {}
    if len(table.key) == 1:
        places = ", ".join(["%s"] * len(keys))
        arguments = tuple(key[0] for key in keys)
    else:
        one = "(" + ", ".join(["%s"] * len(table.key)) + ")"
        places = ", ".join([one] * len(keys))
        arguments = tuple(value for key in keys for value in key)
    rows = query(
        connection,
        f"SELECT {table.columns_sql} FROM {quote(of or table.name)}"
        f" WHERE {table.key_sql} IN ({places})",
        arguments,
    )
    loaded = (table.loaded(row) for row in rows)
    return {table.key_of(row): row for row in loaded}


_COLUMNS_SQL = """
SELECT c.COLUMN_NAME, c.DATA_TYPE, c.COLUMN_TYPE, COALESCE(c.CHARACTER_MAXIMUM_LENGTH, 0),
       c.IS_NULLABLE = 'YES', c.EXTRA
FROM information_schema.COLUMNS c
WHERE c.TABLE_SCHEMA = DATABASE() AND c.TABLE_NAME = %s
  AND c.EXTRA NOT LIKE '%%VIRTUAL GENERATED%%' AND c.EXTRA NOT LIKE '%%STORED GENERATED%%'
ORDER BY c.ORDINAL_POSITION
"""
_INDEXES_SQL = """
SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND NON_UNIQUE = 0
ORDER BY INDEX_NAME = 'PRIMARY' DESC, INDEX_NAME, SEQ_IN_INDEX
"""


def read_table(connection: MySQLdb.Connection, name: str, sample: Sequence[Row] = ()) -> Table:
    """Describe a table of the connection's schema from the server's own catalogue.

    sample: rows (in the order of ``column_names``) the made values should resemble. Raises
    ValueError when there is no such table, no unique key, or a column nothing can be made for.
    """
    described = query(connection, _COLUMNS_SQL, (name,))
    indexes: dict[str, list[str]] = {}
    for index, column in query(connection, _INDEXES_SQL, (name,)):
        indexes.setdefault(index, []).append(column)
    if not described or not indexes:
        raise ValueError(f"There is no table {name} with a primary or unique key.")
    key, *others = indexes.values()
    # Of a unique index over several columns, a last one that never repeats is enough.
    unique = {columns[-1] for columns in others} - set(key)
    seen = (
        dict(zip((row[0] for row in described), zip(*sample, strict=True), strict=True))
        if sample
        else {}
    )
    auto = {row[0] for row in described if "auto_increment" in row[5]}
    columns = []
    for column, data_type, column_type, length, nullable, extra in described:
        make = maker_for(
            data_type, column_type, int(length), seen.get(column, ()), unique=column in unique
        )
        columns.append(
            Column(
                column,
                make,
                nullable=bool(nullable),
                is_json=data_type == "json",
                always_set="on update" in extra.lower(),
                unique=column in unique,
            )
        )
    by_name = {row[0]: row for row in described}
    return Table(
        name,
        tuple(key),
        tuple(columns),
        _new_keys([by_name[part] for part in key], seen, has_auto_increment=bool(auto & set(key))),
        auto_increment=len(key) == 1 and key[0] in auto,
    )


def column_names(connection: MySQLdb.Connection, name: str) -> list[str]:
    """The columns an application can write, in the table's order."""
    return [row[0] for row in query(connection, _COLUMNS_SQL, (name,))]


def _new_keys(
    parts: Sequence[Row], seen: dict[str, Sequence[Any]], *, has_auto_increment: bool
) -> Callable[[random.Random, int], Key]:
    """Keys whose leading parts are a row's own, and whose last part is new.

    Beside AUTO_INCREMENT a new key stays below the highest, where the server never hands one out.
    """
    leading = list(zip(*(seen.get(part[0], ()) for part in parts[:-1]), strict=True))
    name, data_type, column_type, length, *_ = parts[-1]
    last = key_maker(
        data_type,
        column_type,
        int(length),
        seen.get(name, ()),
        below=has_auto_increment and is_integer(data_type),
    )
    makers = [maker_for(p[1], p[2], int(p[3]), (), unique=False) for p in parts[:-1]]

    def make(source: random.Random, serial: int) -> Key:
        head = source.choice(leading) if leading else tuple(make(source, serial) for make in makers)
        return (*head, last(source, serial))

    return make
