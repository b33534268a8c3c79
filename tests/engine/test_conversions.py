"""What the checksum expects a value to become is what the server makes of it, for every pair of
types that the server converts without a warning."""

from __future__ import annotations

import MySQLdb
import pytest

from migrations_app.engine import OutcomeKind, casting, fingerprint
from migrations_app.engine.session import Session
from migrations_app.engine.table import Column, ColumnPair, load_table
from tests.conftest import Schema
from tests.engine.support import assert_same_as_native, make_numbers, migrate, tables_of

# type: values of it
SOURCES = {
    "TINYINT": ["-5", "0", "127"],
    "BIGINT UNSIGNED": ["0", "18446744073709551615"],
    "INT": ["-7", "2020", "1"],
    "SMALLINT UNSIGNED": ["0", "2020", "1999"],
    "INT(6) ZEROFILL": ["7", "2020"],
    "DECIMAL(20,0)": ["9007199254740993", "1"],
    "DECIMAL(12,4)": ["-1.25", "0.0001", "2020"],
    # Not below 1e-15, where the server writes more digits into a VARCHAR than it shows.
    "FLOAT": ["0.1", "16777217", "-2.5", "2020"],
    "DOUBLE": ["0.1", "1e15", "-0.0", "2020"],
    "BIT(9)": ["b'1'", "b'101010101'", "b'0'"],
    "DOUBLE(10,2)": ["1.5", "-0.25", "2020"],
    "DOUBLE UNSIGNED": ["0.126", "2020"],
    "FLOAT(7,3)": ["0.126", "-2.5", "2020"],
    "YEAR": ["2020", "1999", "0"],
    "DATE": ["'2020-02-29'", "'1970-01-02'"],
    "DATETIME(3)": ["'2020-02-29 10:11:12.345'", "'2020-01-01'"],
    "TIMESTAMP(2)": ["'2020-02-29 10:11:12.34'"],
    "TIME(2)": ["'10:11:12.34'", "'00:00:00'"],
    "CHAR(20)": ["'1'", "'a'", "'é'", "''"],
    "VARCHAR(20) CHARACTER SET latin1": ["'1'", "'a '", "'é'"],
    "VARCHAR(20) CHARACTER SET utf16": ["'1'", "'a '", "'中'"],
    "VARCHAR(21)": ["'1'", "'255'"],
    "TINYTEXT": ["'1'", "'255'"],
    "VARBINARY(21)": ["'1'", "'255'"],
    "TEXT": ["'1'", "'[1, 2]'", "' x '"],
    "BINARY(4)": ["'1'", "'abcd'"],
    "VARBINARY(20)": ["'1'", "0x00FF", "''"],
    "BLOB": ["'1'", "0x00FF41"],
    "ENUM('1','a','b c')": ["'1'", "'a'", "'b c'"],
    "SET('1','a','b')": ["'1'", "'a,b'", "''"],
    "JSON": ["'1'", "'[1, 2.50]'", "'\"a\"'", '\'{"b": 1, "a": null}\''],
}
TARGETS = [
    *SOURCES, "FLOAT(9,2)", "DOUBLE(12,1)", "DOUBLE(12,2) UNSIGNED",
    "SMALLINT", "DECIMAL(30,6)", "BIT(64)", "DATETIME", "DATETIME(6)",
    "TIMESTAMP NULL", "TIME(6)", "TIME", "VARCHAR(60)", "VARCHAR(60) CHARACTER SET utf8mb3",
    "CHAR(60)", "BINARY(30)",
    "VARBINARY(60)", "LONGTEXT", "LONGBLOB", "ENUM('b c','a','1')", "SET('b','c','a','1')",
    "BIT(40)", "MEDIUMTEXT CHARACTER SET gbk", "GEOMETRY", "VECTOR(2)",
]  # fmt: skip
# Nobody asks for these; a run with them ends at its checksum, and changes nothing.
ABSURD = {
    *(("DOUBLE(10,2)", bits) for bits in ("BIT(9)", "BIT(40)", "BIT(64)")),
    *((source, "BIT(40)") for source in ("DATE", "DATETIME(3)", "TIMESTAMP(2)", "TIME(2)", "JSON")),
    ("BIT(9)", "TIME(2)"), ("BIT(9)", "TIME(6)"), ("BIT(9)", "TIME"), ("SET('1','a','b')", "YEAR"),
    ("DOUBLE(10,2)", "TIME"),  # 8.0 makes a negative zero of -0.25, which it says is not 0
}  # fmt: skip


def column_of(session: Session, schema: Schema, table: str) -> Column:
    loaded = load_table(session, schema.name, table)
    assert loaded is not None
    column = loaded.column("v")
    assert column is not None
    return column


def converts(session: Session, schema: Schema, before: Column, target: str) -> bool:
    """Whether the server puts every source value into the target type without a warning; and then
    as its own ALTER TABLE does."""
    try:
        session.query("DROP TABLE IF EXISTS target, native")
        session.query(f"CREATE TABLE target (id INT PRIMARY KEY, v {target})")
        pair = ColumnPair(before, column_of(session, schema, "target"))
        selected = casting.as_selected(pair, "v")
        session.query(f"INSERT INTO target SELECT id, {selected} FROM source")
        without_warning = not session.statement_info.warnings
        session.query("CREATE TABLE native LIKE source")
        session.query("INSERT INTO native SELECT * FROM source")
        session.query(f"ALTER TABLE native MODIFY v {target}, ALGORITHM=COPY")
    except MySQLdb.Error:
        return False
    if without_warning:
        # A FLOAT or DOUBLE shows less than it holds.
        all_digits = ", v + 0e0" if target.startswith(("FLOAT", "DOUBLE")) else ""
        rows = f"SELECT *{all_digits} FROM {{}} ORDER BY id"
        native, ours = (session.query(rows.format(table)) for table in ("native", "target"))
        assert ours == native, (before.column_type, target)
    return without_warning


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
            if (source, target) in ABSURD or not converts(session, schema, before, target):
                continue
            if target == "YEAR" and schema.server.version < (8, 0, 22):
                continue  # refused, see test_years
            pairs = (ColumnPair(before, column_of(session, schema, "target")),)
            ours = fingerprint.of_source(pairs, "source.")
            theirs = fingerprint.of_shadow(pairs, "target.")
            differing = session.query(
                f"SELECT source.v, target.v FROM source JOIN target USING (id) "
                f"WHERE NOT {ours} <=> {theirs}"
            )
            assert not differing, (source, target, differing)
            compared.append(target)
        assert len(compared) >= 5, compared
    finally:
        session.close()


def test_years(schema: Schema) -> None:
    """Where the server has no CAST AS YEAR, the change is refused before anything is copied."""
    make_numbers(schema, "t", 100)
    schema.execute("UPDATE t SET v = IF(id = 1, 0, 1970 + id)")
    schema.execute("CREATE TABLE native LIKE t")
    schema.execute("INSERT INTO native SELECT * FROM t")
    outcome, _ = migrate(schema, "ALTER TABLE t MODIFY v YEAR NOT NULL")
    if schema.server.version < (8, 0, 22):
        assert outcome.kind is OutcomeKind.REFUSED
        assert "v of t becomes a YEAR" in outcome.message
        assert tables_of(schema) == {"t", "native"}
        return
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert_same_as_native(schema, "t", "ALTER TABLE t MODIFY v YEAR NOT NULL", "native")


def sums_of(session: Session, schema: Schema, table: str) -> int:
    """The XOR of a table's rows' fingerprints, all but the key compared as they are."""
    loaded = load_table(session, schema.name, table)
    assert loaded is not None
    pairs = tuple(ColumnPair(column, column) for column in loaded.columns)
    found: int = session.query_one(f"SELECT BIT_XOR({fingerprint.of_source(pairs)}) FROM {table}")[
        0
    ]
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
                "'x,', '', NULL, 1", "'x', ',', NULL, 1", "'x,1', 'y', 1, 1",
                "'x', '1,y', 1, 1", "NULL, 'x,N', 1, 1", "'N,x', NULL, 1, 1",
                "'x', 'N', 1, 1"]  # fmt: skip
        sums = set()
        for row in rows:
            session.query("DELETE FROM t")
            session.query(f"INSERT INTO t VALUES ({row})")
            sums.add(sums_of(session, schema, "t"))
        assert len(sums) == len(rows)
    finally:
        session.close()


def test_texts_of_every_collation_and_length_have_a_fingerprint(schema: Schema) -> None:
    """One that is NULL would leave its row out of the sum."""
    session = Session(schema.dsn, "test", "")
    try:
        collations = [
            "utf8mb4_0900_ai_ci",
            "utf8mb4_bin",
            "utf8mb4_general_ci",
            "utf8mb4_0900_bin",
            "latin1_swedish_ci",
            "cp1251_general_ci",
            "utf16_bin",
            "gbk_chinese_ci",
        ]
        columns = [f"c{n} VARCHAR(9) COLLATE {name}" for n, name in enumerate(collations)]
        columns += ["d CHAR(255)", "e VARCHAR(4000) NOT NULL", "f VARBINARY(9)", "g TINYTEXT",
                    "h VARCHAR(3500) COLLATE utf8mb4_bin", "i LONGTEXT"]  # fmt: skip
        session.query(f"CREATE TABLE t (id INT PRIMARY KEY, {', '.join(columns)})")
        value = "REPEAT('я', {})"
        short = ", ".join(value.format(9) if n != 4 else "'é'" for n in range(8))
        rest = [value.format(255), value.format(4000), "0x00FF", value.format(100),
                value.format(3500), value.format(9000)]  # fmt: skip
        session.query("INSERT INTO t (id, e) VALUES (1, '')")
        session.query(f"INSERT INTO t VALUES (2, {short}, {', '.join(rest)})")
        loaded = load_table(session, schema.name, "t")
        assert loaded is not None
        pairs = tuple(ColumnPair(column, column) for column in loaded.columns)
        number = fingerprint.of_source(pairs)
        seen = {session.query_one(f"SELECT {number} FROM t WHERE id = 2")[0]}
        assert session.query_one(f"SELECT COUNT({number}) FROM t")[0] == 2
        for column in loaded.columns[1:]:
            session.query(f"UPDATE t SET `{column.name}` = LEFT(`{column.name}`, 1) WHERE id = 2")
            seen.add(session.query_one(f"SELECT {number} FROM t WHERE id = 2")[0])
        assert len(seen) == len(loaded.columns) - 1
    finally:
        session.close()
