"""Does a table hold exactly what it must? Every row, touched by the writer or not, is compared.

- A key the writer touched must hold the row in its ledger, or none.
- Every other key must hold what the baseline holds: the old table that was kept aside, or a copy
  made before (``keep_copy``). The two tables are compared on the server, byte by byte.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import MySQLdb

from migrations_app.engine.dsn import Dsn
from playground.connections import connected, query, quote
from playground.ledger import Ledger
from playground.makers import is_text
from playground.tables import Key, Row, Table, read_rows

KEYS_AT_ONCE = 1000


@dataclasses.dataclass(frozen=True)
class Difference:
    """A key that is wrong: ``what`` is ``missing``, ``extra`` or ``different``, in ``columns``."""

    key: Key
    what: str
    touched: bool
    columns: tuple[str, ...] = ()

    def __str__(self) -> str:
        key = "/".join(str(part) for part in self.key)
        by = "written during the migration" if self.touched else "not written by anybody"
        where = f" in {', '.join(self.columns)}" if self.columns else ""
        return f"row {key} is {self.what}{where} ({by})"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """rows: rows in the table; touched: keys compared with the ledger; differences: all of them."""

    rows: int
    touched: int
    differences: list[Difference]

    @property
    def is_equal(self) -> bool:
        return not self.differences


def compare(
    dsn: str | Dsn,
    table: Table,
    ledger: Ledger,
    baseline: str,
    *,
    columns: Sequence[str] = (),
) -> Comparison:
    """Compare a table with the writer's ledger and, elsewhere, with the baseline table.

    baseline: a table in the DSN's schema, or ``schema.table``; columns: those to compare (default:
    every column of ``table``; leave out what the migration drops). Nobody may write meanwhile.
    """
    names = tuple(columns) or table.names
    kept = dataclasses.replace(
        table, columns=tuple(column for column in table.columns if column.name in names)
    )
    places = [table.names.index(name) for name in kept.names]
    with connected(dsn) as connection:
        [(rows,)] = query(connection, f"SELECT COUNT(*) FROM {quote(table.name)}")
        differences = _compare_touched(connection, kept, ledger, places)
        differences += _compare_untouched(connection, kept, ledger, baseline)
    return Comparison(rows, len(ledger), sorted(differences, key=str))


def keep_copy(dsn: str | Dsn, table: str, copy: str) -> None:
    """Copy a table as it is now, to be a baseline later. The copy stays out of the binary log."""
    with connected(dsn) as connection:
        query(connection, "SET SESSION sql_log_bin = 0")
        query(connection, f"CREATE TABLE {quote(copy)} LIKE {quote(table)}")
        columns = ", ".join(
            quote(name)
            for name, extra in query(
                connection,
                "SELECT COLUMN_NAME, EXTRA FROM information_schema.COLUMNS"
                " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s",
                (table,),
            )
            if not extra.startswith(("VIRTUAL", "STORED"))
        )
        query(
            connection,
            f"INSERT INTO {quote(copy)} ({columns}) SELECT {columns} FROM {quote(table)}",
        )


def _compare_touched(
    connection: MySQLdb.Connection, table: Table, ledger: Ledger, places: Sequence[int]
) -> list[Difference]:
    differences = []
    keys = list(ledger.rows)
    for first in range(0, len(keys), KEYS_AT_ONCE):
        some = keys[first : first + KEYS_AT_ONCE]
        found = read_rows(connection, table, some)
        for key in some:
            row = ledger.rows[key]
            wanted = None if row is None else tuple(row[place] for place in places)
            if found.get(key) != wanted:
                differences.append(_described(table, key, wanted, found.get(key)))
    return differences


def _described(table: Table, key: Key, wanted: Row | None, found: Row | None) -> Difference:
    if found is None or wanted is None:
        return Difference(key, "missing" if found is None else "extra", touched=True)
    columns = tuple(name for name, a, b in zip(table.names, wanted, found, strict=True) if a != b)
    return Difference(key, "different", touched=True, columns=columns)


def _compare_untouched(
    connection: MySQLdb.Connection, table: Table, ledger: Ledger, baseline: str
) -> list[Difference]:
    texts = _text_columns(connection, table.name)
    values = [name for name in table.names if name not in table.key]
    checks = [f"NOT ({_exact('n', name, texts)} <=> {_exact('o', name, texts)})" for name in values]
    keys = ", ".join(quote(name) for name in table.key)
    join = f"{quote(table.name)} n LEFT JOIN {quote(baseline)} o USING ({keys})"
    back = f"{quote(baseline)} o LEFT JOIN {quote(table.name)} n USING ({keys})"
    first = quote(table.key[0])
    n_keys = ", ".join(f"n.{quote(name)}" for name in table.key)
    o_keys = ", ".join(f"o.{quote(name)}" for name in table.key)
    flags = ", ".join(["0", *checks])
    found = query(
        connection,
        f"SELECT o.{first} IS NULL, {flags}, {n_keys} FROM {join}"
        f" WHERE o.{first} IS NULL OR {' OR '.join(checks) or '0'}",
    )
    differences = []
    for is_extra, _, *rest in found:
        key = tuple(rest[len(values) :])
        if key in ledger.rows:
            continue
        columns = tuple(name for name, differs in zip(values, rest, strict=False) if differs)
        what = "extra" if is_extra else "different"
        differences.append(
            Difference(key, what, touched=False, columns=() if is_extra else columns)
        )
    missing = query(connection, f"SELECT {o_keys} FROM {back} WHERE n.{first} IS NULL")
    differences += [
        Difference(tuple(key), "missing", touched=False)
        for key in missing
        if tuple(key) not in ledger.rows
    ]
    return differences


def _text_columns(connection: MySQLdb.Connection, table: str) -> set[str]:
    return {
        name
        for name, data_type in query(
            connection,
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS"
            " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s",
            (table,),
        )
        if is_text(data_type)
    }


def _exact(alias: str, name: str, texts: set[str]) -> str:
    """A column so that equal means the same bytes: a collation calls 'a' and 'A' equal."""
    column = f"{alias}.{quote(name)}"
    return f"CAST(CONVERT({column} USING utf8mb4) AS BINARY)" if name in texts else column
