"""Every kind of column, through a copy: the result is what a native ALTER makes of the same rows.

The checksum's repair is off: it must neither find a difference where there is none nor let the
server convert a value in another way than the ALTER does.
"""

from __future__ import annotations

import pytest

from migrations_app.engine import Method, Options, OutcomeKind
from tests.conftest import Schema
from tests.engine.support import migrate

# columns; values of the first one; clauses of the ALTER TABLE
CASES = [
    ("v INT", ["-5", "0", "NULL"], "MODIFY v VARCHAR(20)"),
    ("v INT UNSIGNED", ["4294967295", "0", "NULL"], "MODIFY v BIGINT"),
    # A postal code.
    ("v INT(5) ZEROFILL", ["7", "10115", "NULL"], "MODIFY v CHAR(5)"),
    ("v INT(5) ZEROFILL", ["7", "10115", "NULL"], "MODIFY v TEXT"),
    ("v INT(5) ZEROFILL", ["7", "10115", "NULL"], "MODIFY v VARBINARY(9)"),
    ("v INT(5) ZEROFILL", ["7", "10115", "NULL"], "MODIFY v INT"),
    ("v FLOAT", ["0.1", "2020", "1e20", "NULL"], "MODIFY v VARCHAR(30)"),
    ("v DATE", ["'2020-02-29'", "NULL"], "MODIFY v BIGINT"),
    ("v VARCHAR(20)", ["'10'", "NULL"], "MODIFY v BIT(40)"),
    ("v VARCHAR(20)", ["'10'", "'-3'", "NULL"], "MODIFY v INT"),
    ("v VARCHAR(20)", ["'a'", "'é '", "''", "NULL"], "MODIFY v TEXT"),
    ("v VARCHAR(9) CHARACTER SET latin1", ["'é'", "'ÿ'"], "CONVERT TO CHARACTER SET utf8mb4"),
    ("v VARCHAR(9) CHARACTER SET gbk", ["'中'", "NULL"], "MODIFY v TEXT CHARACTER SET utf16"),
    ("v VARCHAR(20)", ["'A'", "'a'", "'á'"], "MODIFY v VARCHAR(20) COLLATE utf8mb4_bin"),
    ("v CHAR(10)", ["'a'", "'b  '", "NULL"], "MODIFY v VARCHAR(20)"),
    ("v VARCHAR(10)", ["'a'", "'b  '", "NULL"], "MODIFY v CHAR(20)"),
    ("v MEDIUMTEXT", ["REPEAT('é', 70000)", "NULL"], "MODIFY v LONGTEXT"),
    ("v DECIMAL(10,2)", ["1.25", "-3.5", "NULL"], "MODIFY v DECIMAL(14,4)"),
    ("v DECIMAL(10,2)", ["1.25", "-3.5", "NULL"], "MODIFY v DOUBLE"),
    ("v FLOAT", ["1.25", "0.1", "1e20", "NULL"], "MODIFY v DOUBLE"),
    ("v FLOAT", ["16777217", "0.1", "-1e-30", "NULL"], "FORCE"),
    ("v DOUBLE", ["0.1", "1e300", "-0.0", "NULL"], "FORCE"),
    ("v DATETIME(6)", ["'2020-01-01 10:11:12.345678'", "NULL"], "MODIFY v DATETIME(3)"),
    ("v DATETIME", ["'2020-01-01 10:11:12'", "NULL"], "MODIFY v TIMESTAMP NULL"),
    ("v TIMESTAMP(3) NULL", ["'2020-01-01 10:11:12.5'", "NULL"], "MODIFY v DATETIME(6)"),
    ("v TIME(2)", ["'-10:00:00.25'", "'838:59:59'", "NULL"], "MODIFY v TIME(6)"),
    ("v DATE", ["'0000-00-00'", "'2020-02-29'", "NULL"], "FORCE"),
    ("v YEAR", ["2020", "0", "1999", "NULL"], "MODIFY v INT"),
    ("v YEAR", ["2020", "0", "1999", "NULL"], "FORCE"),
    ("v BIT(9)", ["b'1'", "b'101010101'", "NULL"], "MODIFY v BIT(20)"),
    ("v ENUM('a','b','c')", ["'a'", "'c'", "NULL"], "MODIFY v ENUM('c','x','a','b')"),
    ("v ENUM('a','b','c')", ["'a'", "'c'", "NULL"], "MODIFY v VARCHAR(10)"),
    ("v SET('a','b','c')", ["'a,c'", "''", "NULL"], "MODIFY v SET('c','b''s','b','a')"),
    ("v JSON", ["'{\"a\": 1.0, \"b\": [1, 2]}'", "'null'", "NULL"], "FORCE"),
    ("v JSON", ["'{\"a\": 1.0}'", "NULL"], "MODIFY v LONGTEXT"),
    ("v TEXT", ["'{\"b\":1,\"a\":[1,2]}'", "NULL"], "MODIFY v JSON"),
    ("v BINARY(4)", ["'ab'", "'abcd'", "NULL"], "MODIFY v BINARY(6)"),
    ("v BINARY(4)", ["'ab'", "'abcd'", "NULL"], "MODIFY v VARBINARY(6)"),
    ("v VARBINARY(9)", ["0x00FF41", "''", "NULL"], "MODIFY v BLOB"),
    ("v GEOMETRY", ["POINT(1, 2)", "NULL"], "FORCE"),
    ("v POINT NOT NULL SRID 0, SPATIAL KEY s (v)", ["POINT(1, 2)"], "ADD w INT, FORCE"),
    pytest.param(
        "v VECTOR(3)", ["STRING_TO_VECTOR('[1,2,3]')", "NULL"], "FORCE",
        marks=pytest.mark.mysql_since(9, 0, 0),
    ),
    ("v INT", ["3", "NULL"], "MODIFY v JSON"),
    ("v DOUBLE", ["0.1", "16777217", "NULL"], "MODIFY v FLOAT"),
    ("v DECIMAL(12,4)", ["0.1255", "-2.5", "NULL"], "MODIFY v FLOAT(9,2)"),
    ("v INT", ["3", "NULL"], "MODIFY v DOUBLE(10,2) UNSIGNED"),
    ("v DOUBLE", ["0.126", "NULL"], "MODIFY v DOUBLE(10,2), FORCE"),
    ("v DOUBLE", ["0.126", "NULL"], "MODIFY v DOUBLE(10,2) UNSIGNED"),
    ("v INT, g INT AS (v * 2) STORED, h INT AS (v + 1) VIRTUAL", ["3", "NULL"], "MODIFY v BIGINT"),
    pytest.param(
        "v INT INVISIBLE, KEY i (v) INVISIBLE", ["3", "NULL"], "MODIFY v BIGINT INVISIBLE",
        marks=pytest.mark.mysql_since(8, 0, 23),
    ),
    ("v INT DEFAULT (1 + 1)", ["DEFAULT", "NULL"], "MODIFY v BIGINT DEFAULT (2 + 2)"),
    ("v INT, u TIMESTAMP NULL ON UPDATE CURRENT_TIMESTAMP", ["3"], "MODIFY v BIGINT"),
    ("v INT, CHECK (v > 0 OR v IS NULL)", ["1", "NULL"], "MODIFY v BIGINT"),
    ("v VARCHAR(50), FULLTEXT KEY f (v)", ["'a b'", "NULL"], "MODIFY v VARCHAR(300)"),
    ("v INT, KEY e ((v + 1)), KEY d (v DESC)", ["1", "NULL"], "MODIFY v BIGINT"),
    ("v INT", ["1", "2"], "ADD w INT, PARTITION BY HASH (id) PARTITIONS 4"),
    ("v INT", ["1", "2"], "ROW_FORMAT=COMPRESSED"),
    ("v INT", ["1", "2"], "DROP COLUMN v, ADD COLUMN v INT DEFAULT 9"),
    ("v INT, w INT DEFAULT 7", ["1", "2"], "RENAME COLUMN v TO w, RENAME COLUMN w TO v, FORCE"),
    ("`a b``c%s'é` INT", ["1", "NULL"], "MODIFY `a b``c%s'é` BIGINT COMMENT 'x;%s -- y'"),
]  # fmt: skip
LENIENT = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"


def in_one_session(schema: Schema, *statements: str) -> None:
    connection = schema.server._connect(schema.name)
    try:
        for statement in (LENIENT, *statements):
            connection.query(statement.encode())
    finally:
        connection.close()


@pytest.mark.parametrize(("columns", "values", "clauses"), CASES)
def test_values_arrive_as_a_native_alter_would_make_them(
    schema: Schema, columns: str, values: list[str], clauses: str
) -> None:
    schema.execute(f"CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, {columns})")
    first = schema.execute("SHOW COLUMNS FROM t")[1][0].replace("`", "``")
    inserts = [
        f"INSERT INTO t (id, `{first}`) VALUES ({row}, {value})" for row, value in enumerate(values)
    ]
    names = ", ".join(
        "`" + row[0].replace("`", "``") + "`"
        for row in schema.execute("SHOW COLUMNS FROM t")
        if row[5] not in ("STORED GENERATED", "VIRTUAL GENERATED")
    )
    in_one_session(
        schema,
        *inserts,
        "CREATE TABLE native LIKE t",
        f"INSERT INTO native ({names}) SELECT {names} FROM t",
        f"ALTER TABLE native ALGORITHM=COPY, {clauses}".replace(", PARTITION", " PARTITION"),
    )
    statement = f"ALTER TABLE t {clauses}".replace(", PARTITION", " PARTITION")
    options = Options(repair_differences=False, attempt_direct=False)
    outcome, _ = migrate(schema, statement, options)
    assert (outcome.kind, outcome.method) == (OutcomeKind.COMPLETED, Method.COPY), outcome.message
    shown = ", ".join(
        "`" + row[0].replace("`", "``") + "`" for row in schema.execute("SHOW COLUMNS FROM native")
    )
    for_all = f"SELECT {shown} FROM {{}} ORDER BY id"
    assert schema.execute(for_all.format("t")) == schema.execute(for_all.format("native"))
