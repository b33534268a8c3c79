"""After a run: was the change made, and is every row right?"""

from __future__ import annotations

import dataclasses

import MySQLdb

from playground.bench.shapes import Shape
from playground.comparison import compare
from playground.connections import connected, query, quote
from playground.writer import LiveWriter

_MOST_SHOWN = 5


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What a table holds, whatever the order of its rows: their number, and the sum and XOR of a
    CRC of each row. The row's CRC is one of its columns' CRCs' digits (of equal-length rows that
    have swapped a value, the XOR of plain CRCs is the same)."""

    rows: int
    total: int
    mixed: int


def aggregates_sql(table: str, shape: Shape) -> str:
    """The SELECT that makes a fingerprint; the server reads every column of every row."""
    values = ", ".join(
        # NULL is no empty text.
        f"IFNULL(CRC32({quote(name)}), 'NULL')"
        for name in shape.names
    )
    row = f"CRC32(CONCAT_WS(',', {values}))"
    return f"SELECT COUNT(*), IFNULL(SUM({row}), 0), BIT_XOR({row}) FROM {quote(table)}"


def fingerprint(connection: MySQLdb.Connection, table: str, shape: Shape) -> Fingerprint:
    """What a table holds now, read by the server."""
    [(rows, total, mixed)] = query(connection, aggregates_sql(table, shape))
    return Fingerprint(int(rows), int(total), int(mixed))


def problems_of_content(dsn: str, table: str, shape: Shape, wanted: Fingerprint) -> list[str]:
    """What is wrong with a table to which nobody has written."""
    with connected(dsn) as connection:
        found = fingerprint(connection, table, shape)
    if found.rows != wanted.rows:
        return [f"{table} has {found.rows:,} rows, not {wanted.rows:,}"]
    if found != wanted:
        return [f"{table} has {found.rows:,} rows, as it must, but not the same content"]
    return []


def problems_of_definition(dsn: str, table: str, base: str, shape: Shape) -> list[str]:
    """Whether the change was made, and nothing else: the server makes it of an empty copy of the
    base table, and both definitions must be the same. The empty copy is dropped."""
    expected = f"{table}_expected"
    with connected(dsn) as connection:
        query(connection, "SET SESSION sql_log_bin = 0")
        query(connection, f"CREATE TABLE {quote(expected)} LIKE {quote(base)}")
        try:
            query(connection, f"ALTER TABLE {quote(expected)} {shape.change}")
            ours, theirs = (_definition(connection, name) for name in (table, expected))
        finally:
            query(connection, f"DROP TABLE {quote(expected)}")
    return [f"only in {table}: {line}" for line in sorted(ours - theirs)] + [
        f"missing in {table}: {line}" for line in sorted(theirs - ours)
    ]


def _definition(connection: MySQLdb.Connection, table: str) -> set[str]:
    text = str(query(connection, f"SHOW CREATE TABLE {quote(table)}")[0][1])
    lines = [line.strip().removesuffix(",") for line in text.splitlines()[1:]]
    words = [word for word in lines[-1].split() if not word.startswith("AUTO_INCREMENT=")]
    return {*lines[:-1], " ".join(words)}


def problems_with_books(dsn: str, writer: LiveWriter, base: str) -> list[str]:
    """What is wrong with a table to which the application has written: every row is compared with
    its ledger or, elsewhere, with the base table."""
    found = [
        str(difference)
        for difference in compare(dsn, writer.table, writer.ledger, base).differences
    ]
    found += [f"the application was surprised: {text}" for text in writer.surprises]
    left_out = len(found) - _MOST_SHOWN
    return found[:_MOST_SHOWN] + ([f"and {left_out:,} more"] if left_out > 0 else [])
