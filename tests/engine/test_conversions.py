"""What the checksum expects a value to become is what the server makes of it, for every pair of
types that the server converts without a warning."""

from __future__ import annotations

import MySQLdb
import pytest

from migrations_app.engine import casting
from migrations_app.engine.session import Session
from migrations_app.engine.table import Column, ColumnPair, load_table
from tests.conftest import Schema

# type: values of it
SOURCES = {
    "TINYINT": ["-5", "0", "127"],
    "BIGINT UNSIGNED": ["0", "18446744073709551615"],
    "INT": ["-7", "2020", "1"],
    "INT(6) ZEROFILL": ["7", "2020"],
    "DECIMAL(12,4)": ["-1.25", "0.0001", "2020"],
    # Not below 1e-15, where the server writes more digits into a VARCHAR than it shows.
    "FLOAT": ["0.1", "16777217", "-2.5", "2020"],
    "DOUBLE": ["0.1", "1e15", "-0.0", "2020"],
    "BIT(9)": ["b'1'", "b'101010101'", "b'0'"],
    "YEAR": ["2020", "1999"],
    "DATE": ["'2020-02-29'", "'1970-01-02'"],
    "DATETIME(3)": ["'2020-02-29 10:11:12.345'", "'2020-01-01'"],
    "TIMESTAMP(2)": ["'2020-02-29 10:11:12.34'"],
    "TIME(2)": ["'10:11:12.34'", "'00:00:00'"],
    "CHAR(20)": ["'1'", "'a'", "'é'", "''"],
    "VARCHAR(20) CHARACTER SET latin1": ["'1'", "'a '", "'é'"],
    "VARCHAR(20) CHARACTER SET utf16": ["'1'", "'a '", "'中'"],
    "TEXT": ["'1'", "'[1, 2]'", "' x '"],
    "BINARY(4)": ["'1'", "'abcd'"],
    "VARBINARY(20)": ["'1'", "0x00FF", "''"],
    "BLOB": ["'1'", "0x00FF41"],
    "ENUM('1','a','b c')": ["'1'", "'a'", "'b c'"],
    "SET('1','a','b')": ["'1'", "'a,b'", "''"],
    "JSON": ["'1'", "'[1, 2.50]'", "'\"a\"'", '\'{"b": 1, "a": null}\''],
}
TARGETS = [
    *SOURCES, "SMALLINT", "DECIMAL(30,6)", "DECIMAL(20,0)", "DATETIME", "DATETIME(6)",
    "TIMESTAMP NULL", "TIME(6)", "TIME", "VARCHAR(60)", "VARCHAR(60) CHARACTER SET utf8mb3",
    "CHAR(60)", "BINARY(30)",
    "VARBINARY(60)", "LONGTEXT", "LONGBLOB", "ENUM('b c','a','1')", "SET('b','c','a','1')",
    "BIT(40)", "MEDIUMTEXT CHARACTER SET gbk", "GEOMETRY", "VECTOR(2)",
]  # fmt: skip
# Nobody asks for these; a run with them ends at its checksum, and changes nothing.
ABSURD = {
    # As many digits as fit.
    ("FLOAT", "CHAR(20)"), ("FLOAT", "VARCHAR(20) CHARACTER SET latin1"),
    ("FLOAT", "VARCHAR(20) CHARACTER SET utf16"), ("FLOAT", "VARBINARY(20)"),
    ("FLOAT", "BINARY(4)"),
    *((source, "BIT(40)") for source in ("DATE", "DATETIME(3)", "TIMESTAMP(2)", "TIME(2)", "JSON")),
    ("BIT(9)", "TIME(2)"), ("BIT(9)", "TIME(6)"), ("BIT(9)", "TIME"), ("SET('1','a','b')", "YEAR"),
}  # fmt: skip


def column_of(session: Session, schema: Schema, table: str) -> Column:
    loaded = load_table(session, schema.name, table)
    assert loaded is not None
    column = loaded.column("v")
    assert column is not None
    return column


def converts(session: Session, target: str) -> bool:
    """Whether the server puts every source value into the target type without a warning."""
    try:
        session.query("DROP TABLE IF EXISTS target")
        session.query(f"CREATE TABLE target (id INT PRIMARY KEY, v {target})")
        session.query("INSERT INTO target SELECT id, v FROM source")
    except MySQLdb.Error:
        return False
    return not session.statement_info.warnings


@pytest.mark.parametrize("source", SOURCES)
def test_a_converted_value_is_the_one_that_is_compared(schema: Schema, source: str) -> None:
    session = Session(schema.dsn, "test", "")
    try:
        session.query(f"CREATE TABLE source (id INT PRIMARY KEY, v {source})")
        values = ", ".join(f"({row}, {v})" for row, v in enumerate([*SOURCES[source], "NULL"]))
        session.query(f"INSERT INTO source VALUES {values}")
        before = column_of(session, schema, "source")
        compared = []
        for target in TARGETS:
            if (source, target) in ABSURD or not converts(session, target):
                continue
            pairs = (ColumnPair(before, column_of(session, schema, "target")),)
            ours = casting.row_fingerprint(casting.source_values(pairs, "source."))
            theirs = casting.row_fingerprint(casting.shadow_values(pairs, "target."))
            differing = session.query(
                f"SELECT source.v, target.v FROM source JOIN target USING (id) "
                f"WHERE NOT {ours} <=> {theirs}"
            )
            assert not differing, (source, target, differing)
            compared.append(target)
        assert len(compared) >= 5, compared
    finally:
        session.close()


def sums_of(session: Session, schema: Schema, table: str) -> int:
    """The XOR of a table's rows' fingerprints, all but the key compared as they are."""
    loaded = load_table(session, schema.name, table)
    assert loaded is not None
    pairs = tuple(ColumnPair(column, column) for column in loaded.columns)
    fingerprint = casting.row_fingerprint(casting.source_values(pairs))
    found: int = session.query_one(f"SELECT BIT_XOR({fingerprint}) FROM {table}")[0]
    return found


@pytest.mark.parametrize(
    "column, values",
    [
        ("INT NOT NULL", ["5", "7"]),
        ("INT", ["5", "NULL"]),
        ("DATETIME(3) NOT NULL", ["'2020-01-01'", "'2021-01-01'"]),
        ("VARCHAR(20) NOT NULL", ["'ab'", "'cd'"]),
        ("TEXT", ["'ab'", "'AB'"]),
        ("VARCHAR(20)", ["'ab'", "'ab '"]),
        ("JSON", ["'1'", "'2'"]),
        ("DOUBLE", ["0.5", "0.25"]),
        ("ENUM('a','b')", ["'a'", "'b'"]),
    ],
)
def test_rows_that_have_swapped_their_values_are_noticed(
    schema: Schema, column: str, values: list[str]
) -> None:
    """Of a linear sum they are not: of many pairs of rows every one is tried."""
    session = Session(schema.dsn, "test", "")
    one, other = values
    try:
        session.query(f"CREATE TABLE t (id INT PRIMARY KEY, v {column}, w CHAR(8) NOT NULL)")
        for row in range(100, 160, 2):
            sums = []
            for first, second in ((one, other), (other, one)):
                session.query("DELETE FROM t")
                rows = f"({row}, {first}, {row}), ({row + 1}, {second}, {row + 1})"
                session.query(f"INSERT INTO t VALUES {rows}")
                sums.append(sums_of(session, schema, "t"))
            assert sums[0] != sums[1], row
    finally:
        session.close()


def test_nulls_and_texts_do_not_pass_for_each_other(schema: Schema) -> None:
    session = Session(schema.dsn, "test", "")
    try:
        session.query("CREATE TABLE t (a VARCHAR(9), b VARCHAR(9), c INT, d INT)")
        rows = ["NULL, 'x', 1, NULL", "'x', NULL, 1, NULL", "'x', NULL, NULL, 1",
                "'N', 'x', 1, NULL", "'', 'x', 1, NULL", "'x', '', NULL, 1",
                "'x,', '', NULL, 1"]  # fmt: skip
        sums = set()
        for row in rows:
            session.query("DELETE FROM t")
            session.query(f"INSERT INTO t VALUES ({row})")
            sums.add(sums_of(session, schema, "t"))
        assert len(sums) == len(rows)
    finally:
        session.close()
