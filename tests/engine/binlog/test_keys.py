"""A key from the binary log equals the same key from SELECT, whatever its type and its row."""

from __future__ import annotations

import dataclasses

import pytest

from migrations_app.engine.keys import Key, KeyColumn, refuse_reason
from tests.conftest import Schema
from tests.engine.binlog.recorder import key_columns, reading, session, subscription

pytestmark = pytest.mark.engine

KEY_TYPES = {
    "TINYINT": ["-128", "0", "127"],
    "TINYINT UNSIGNED": ["0", "255"],
    "SMALLINT": ["-32768", "32767"],
    "SMALLINT UNSIGNED": ["0", "65535"],
    "MEDIUMINT": ["-8388608", "-1", "8388607"],
    "MEDIUMINT UNSIGNED": ["0", "16777215"],
    "INT": ["-2147483648", "2147483647"],
    "INT UNSIGNED": ["0", "4294967295"],
    "BIGINT": ["-9223372036854775808", "9223372036854775807"],
    "BIGINT UNSIGNED": ["0", "9223372036854775808", "18446744073709551615"],
    "BOOLEAN": ["0", "1"],
    "YEAR": ["1901", "2024", "2155", "0000"],
    "BIT(1)": ["b'0'", "b'1'"],
    "BIT(17)": ["0", "5", "b'11111111111111111'"],
    "BIT(64)": ["0", "18446744073709551615"],
    "DECIMAL(1,0)": ["-9", "0", "9"],
    "DECIMAL(10,2)": ["-99999999.99", "-0.01", "0", "0.10", "12345678.90"],
    "DECIMAL(5,5)": ["-0.99999", "0.00001"],
    "DECIMAL(30,9)": ["-123456789012345678901.123456789", "0.000000001"],
    "DECIMAL(65,30)": [
        "99999999999999999999999999999999999.999999999999999999999999999999",
        "-99999999999999999999999999999999999.999999999999999999999999999999",
        "0.000000000000000000000000000001",
    ],
    "DECIMAL(20,0) UNSIGNED": ["0", "99999999999999999999"],
    "DATE": ["'0000-00-00'", "'1000-01-01'", "'2024-02-29'", "'9999-12-31'"],
    "DATETIME": ["'0000-00-00 00:00:00'", "'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'"],
    "DATETIME(1)": ["'2024-01-02 03:04:05.6'", "'2024-01-02 03:04:05'"],
    "DATETIME(3)": ["'2024-01-02 03:04:05.006'", "'2024-01-02 03:04:05.999'"],
    "DATETIME(6)": ["'2024-01-02 03:04:05.000006'", "'1000-01-01 00:00:00.999999'"],
    "TIMESTAMP": ["'0000-00-00 00:00:00'", "'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"],
    "TIMESTAMP(2)": ["'2024-06-30 23:59:59.99'", "'1970-01-01 00:00:01.01'"],
    "TIMESTAMP(6)": ["'2024-06-30 23:59:59.000001'"],
    "TIME": ["'-838:59:59'", "'-00:00:01'", "'00:00:00'", "'838:59:59'"],
    "TIME(1)": ["'-00:00:00.1'", "'-12:34:56.7'", "'12:34:56.7'"],
    "TIME(4)": ["'-00:00:00.0001'", "'-838:59:58.9999'", "'00:00:00.9999'"],
    "TIME(6)": ["'-00:00:00.000001'", "'-12:34:56.789012'", "'12:34:56.789012'"],
    "ENUM('b','a','ü')": ["'a'", "'b'", "'ü'"],
    "SET('x','y','z')": ["''", "'x'", "'x,z'", "'x,y,z'"],
    "CHAR(10)": ["''", "'a'", "'A b'", "'zzzzzzzzzz'", "'ü€😀'"],
    "CHAR(255)": ["REPEAT('€', 255)", "'x'"],
    "CHAR(10) CHARACTER SET latin1": ["'ü'", "'a'"],
    "CHAR(100) CHARACTER SET utf16": ["'ü'", "'a b'"],
    "VARCHAR(20)": ["''", "'a'", "'b '", "'O''Reilly\\\\'", "'ü€😀'"],
    "VARCHAR(20) COLLATE utf8mb4_0900_bin": ["'a'", "'A'", "'a '"],
    "VARCHAR(63) CHARACTER SET utf8mb4": ["REPEAT('😀', 63)", "'x'"],
    "VARCHAR(64) CHARACTER SET utf8mb4": ["REPEAT('😀', 64)", "'x'"],
    "VARCHAR(300) CHARACTER SET latin1 COLLATE latin1_general_cs": ["REPEAT('é', 300)", "''"],
    "VARCHAR(20) CHARACTER SET ucs2": ["'ab'", "'ü'"],
    "VARCHAR(20) CHARACTER SET gbk": ["'中文'", "'a'"],
    "VARCHAR(20) CHARACTER SET sjis COLLATE sjis_bin": ["'日本'", "'a'"],
    "BINARY(4)": ["''", "'a'", "x'00'", "x'61000000'", "x'ff00ff00'", "'abcd'"],
    "BINARY(16)": ["x'00112233445566778899aabbccddee00'", "x'00'"],
    "VARBINARY(10)": ["''", "x'00'", "x'0000'", "x'ff'", "'a '"],
    "VARBINARY(500)": ["REPEAT(x'ff', 500)", "x'00'"],
}  # fmt: skip
UNIQUE_UNDER_COLLATION = {"BINARY(4)": {"''", "'a'"}, "BINARY(16)": set()}


def distinct_values(key_type: str) -> list[str]:
    """Values of a type that do not collide: padding makes '' and x'00' the same BINARY."""
    return [v for v in KEY_TYPES[key_type] if v not in UNIQUE_UNDER_COLLATION.get(key_type, set())]


def insert(schema: Schema, sql: str) -> None:
    asking = session(schema)
    try:
        asking.query(sql)
    finally:
        asking.close()


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_every_key_type_reads_the_same_from_log_and_select(schema: Schema, key_type: str) -> None:
    values = distinct_values(key_type)
    insert(schema, f"CREATE TABLE t (a INT, k {key_type} NOT NULL, b INT, PRIMARY KEY (k))")
    (column,) = key_columns(schema, "t", "k")
    assert refuse_reason(column) == ""
    with reading(schema, subscription(schema, "t", "k")) as following:
        insert(schema, f"INSERT INTO t (k) VALUES {', '.join(f'({value})' for value in values)}")
        insert(schema, "UPDATE t SET b = 1")
        insert(schema, "DELETE FROM t WHERE b = 1")
        changes = following.changes()
        insert(schema, f"INSERT INTO t (k) VALUES {', '.join(f'({value})' for value in values)}")
    selected = select_keys(schema, (column,))
    count = len(values)
    assert len(selected) == count
    assert {key for key, _ in changes[:count]} == set(selected)
    assert {key for key, _ in changes[count : 2 * count]} == set(selected)
    assert {key for key, deleted in changes[2 * count :] if deleted} == set(selected)
    check_literals(schema, column, selected)


def select_keys(schema: Schema, columns: tuple[KeyColumn, ...], order: str = "") -> list[Key]:
    asking = session(schema)
    try:
        expressions = ", ".join(column.select_expression(f"`{column.name}`") for column in columns)
        rows = asking.query(f"SELECT {expressions} FROM t {order}")
    finally:
        asking.close()
    return [
        tuple(column.from_server(raw) for column, raw in zip(columns, row, strict=True))
        for row in rows
    ]


def check_literals(schema: Schema, column: KeyColumn, keys: list[Key]) -> None:
    """Each literal finds exactly its own row, by the index; text forms are lossless; a
    comparable column sorts in Python as on the server."""
    asking = session(schema)
    try:
        for (value,) in keys:
            assert column.from_text(column.to_text(value)) == value
            literal = column.literal(value)
            found = asking.query(
                f"SELECT {column.select_expression('k')} FROM t WHERE k = {literal}"
            )
            assert [column.from_server(row[0]) for row in found] == [value]
        everything = ", ".join(column.literal(value) for (value,) in keys)
        assert asking.query_one(f"SELECT COUNT(*) FROM t WHERE k IN ({everything})")[0] == len(keys)
        one = column.literal(keys[0][0])
        plan = asking.query_dicts(f"EXPLAIN FORMAT=TRADITIONAL SELECT a FROM t WHERE k = {one}")
        assert plan[0]["TYPE"] == "const", plan
        last = column.literal(keys[-1][0])
        conditions = [f"k IN ({one}, {last})"]
        if column.data_type not in ("enum", "set"):  # the server has no ranges over those
            conditions.append(f"k >= {last}")
        for condition in conditions:
            plan = asking.query_dicts(
                "EXPLAIN FORMAT=TRADITIONAL SELECT a FROM t FORCE INDEX (PRIMARY) "
                f"WHERE {condition}"
            )
            assert plan[0]["TYPE"] in ("range", "const", "eq_ref"), (condition, plan)
    finally:
        asking.close()
    if column.comparable:
        assert select_keys(schema, (column,), "ORDER BY k") == sorted(keys)


def test_a_wide_row_with_every_other_type_does_not_disturb_the_key(schema: Schema) -> None:
    vector, of_vector = "VECTOR(4)", "TO_VECTOR('[1,2,3,4]')"
    if schema.server.version < (9, 0, 0):
        vector, of_vector = "VARBINARY(16)", "'1234'"
    insert(
        schema,
        f"""CREATE TABLE t (
            v1 VARCHAR(10), g POINT, j JSON, b BLOB, tb TINYBLOB, mb MEDIUMTEXT, lb LONGBLOB,
            bits BIT(13), f FLOAT, d DOUBLE, de DECIMAL(20,7), e ENUM('a','b') NOT NULL,
            s SET('p','q'),
            ti TIME(3), dt DATETIME(5), ts TIMESTAMP(1) NULL, y YEAR, da DATE NOT NULL,
            vec {vector},
            virt INT GENERATED ALWAYS AS (k1 + 1) VIRTUAL,
            `stored` VARCHAR(40) GENERATED ALWAYS AS (CONCAT(LEFT(k2, 30), '!')) STORED,
            k2 VARCHAR(300) NOT NULL, c CHAR(200), bi BINARY(20), vb VARBINARY(400), m MEDIUMINT,
            k1 INT NOT NULL, tail TEXT, k3 DATE NOT NULL,
            PRIMARY KEY (k3, k1, k2(20)), UNIQUE KEY whole (k1, k2, k3),
            KEY functional ((k1 * 2)), KEY multi ((CAST(j->'$.l' AS UNSIGNED ARRAY))))""",
    )
    columns = key_columns(schema, "t", "k1", "k2", "k3")
    with reading(schema, subscription(schema, "t", "k1", "k2", "k3")) as following:
        insert(
            schema,
            "INSERT INTO t (k1, k2, k3, e, da) "
            "VALUES (1, 'only the key', '2024-01-01', 'a', '2024-01-01')",
        )
        insert(
            schema,
            f"""INSERT INTO t (v1, g, j, b, tb, mb, lb, bits, f, d, de, e, s, ti, dt, ts, y, da,
                    vec, k2, c, bi, vb, m, k1, tail, k3)
               VALUES ('v', POINT(1, 2), '{{"a": "b", "l": [1, 2]}}', 'blob', 'tiny',
                    REPEAT('m', 70000),
                    REPEAT('l', 100000), 5, 1.5, 2.5, -3.25, 'b', 'p,q', '-1:02:03.5',
                    '2024-01-01', '2024-01-01', 2024, '2024-01-01', {of_vector},
                    REPEAT('€', 300), 'c', 'bi', 'vb', -5, -77, 'tail', '9999-12-31')""",
        )
        insert(schema, "UPDATE t SET vec = NULL, g = NULL, v1 = NULL, bits = NULL, m = NULL")
        changes = following.changes()
    assert {key for key, _ in changes} == set(select_keys(schema, columns))
    assert [len(changes), changes[1]] == [3, changes[2]]


@pytest.mark.parametrize("image", ["FULL", "NOBLOB", "MINIMAL"])
def test_keys_are_read_from_every_kind_of_row_image(schema: Schema, image: str) -> None:
    insert(
        schema,
        "CREATE TABLE t (a TEXT, k1 INT NOT NULL, n INT, k2 CHAR(5) NOT NULL, j JSON, "
        "PRIMARY KEY (k2, k1))",
    )
    with reading(schema, subscription(schema, "t", "k1", "k2")) as following:
        asking = session(schema)
        asking.query(f"SET SESSION binlog_row_image = {image}")
        asking.query("INSERT INTO t VALUES ('t', 1, NULL, 'a', '{}'), (NULL, 2, 2, 'b', NULL)")
        asking.query("UPDATE t SET n = 5")
        asking.query("UPDATE t SET k2 = 'c' WHERE k1 = 2")
        asking.query("REPLACE INTO t (k1, k2, n) VALUES (1, 'a', 9)")
        asking.query("DELETE FROM t ORDER BY k1")
        asking.close()
        changes = following.changes()
    one, two, moved = (1, b"a"), (2, b"b"), (2, b"c")
    assert changes[:6] == [
        (one, False), (two, False), (one, False), (two, False), (two, True), (moved, False),
    ]  # fmt: skip
    assert changes[-2:] == [(one, True), (moved, True)]


@pytest.mark.parametrize("image", ["FULL", "MINIMAL"])
def test_partial_json_updates_are_read(schema: Schema, image: str) -> None:
    json_columns = ", ".join(f"j{number} JSON" for number in range(10))
    insert(
        schema,
        f"CREATE TABLE t ({json_columns}, k INT NOT NULL, tail VARCHAR(10), PRIMARY KEY (k))",
    )
    insert(
        schema,
        "INSERT INTO t (j0, j9, k, tail) VALUES "
        "(JSON_OBJECT('a', REPEAT('x', 300), 'b', 1), '{}', 1, 't'), "
        "(JSON_OBJECT('a', REPEAT('y', 300), 'b', 1), NULL, 2, NULL)",
    )
    with reading(schema, subscription(schema, "t", "k")) as following:
        asking = session(schema)
        asking.query(f"SET SESSION binlog_row_image = {image}")
        asking.query("SET SESSION binlog_row_value_options = PARTIAL_JSON")
        asking.query("UPDATE t SET j0 = JSON_SET(j0, '$.b', 2)")
        asking.query("UPDATE t SET j0 = JSON_REPLACE(j0, '$.b', 3), k = k + 10 ORDER BY k")
        asking.query("UPDATE t SET tail = 'z'")
        asking.close()
        events = schema.execute("SHOW BINLOG EVENTS IN %s", position_file(schema))
        assert "Update_rows_partial" in {row[2] for row in events}
        assert following.changes() == [
            ((1,), False), ((2,), False), ((1,), True), ((11,), False),
            ((2,), True), ((12,), False),
            ((11,), False), ((12,), False),
        ]  # fmt: skip


def position_file(schema: Schema) -> str:
    return str(schema.execute("SHOW BINARY LOGS")[-1][0])


@pytest.mark.mysql_since(8, 0, 20)
@pytest.mark.parametrize("image", ["FULL", "MINIMAL"])
def test_compressed_transactions_are_read(any_scheme: Schema, image: str) -> None:
    insert(any_scheme, "CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(100))")
    with reading(any_scheme, subscription(any_scheme)) as following:
        asking = session(any_scheme)
        asking.query(f"SET SESSION binlog_transaction_compression = ON, binlog_row_image = {image}")
        asking.query(
            "INSERT INTO t "
            "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n WHERE x < 900) "
            "SELECT x, REPEAT('a', 100) FROM n"
        )
        asking.query("UPDATE t SET id = -id WHERE id = 1")
        asking.close()
        insert(any_scheme, "DELETE FROM t WHERE id = 2")
        events = any_scheme.execute("SHOW BINLOG EVENTS IN %s", position_file(any_scheme))
        assert "Transaction_payload" in {row[2] for row in events}
        changes = following.changes()
    assert changes[:900] == [((number,), False) for number in range(1, 901)]
    assert changes[900:] == [((1,), True), ((-1,), False), ((2,), True)]


def test_tables_and_columns_with_odd_names_are_found(schema: Schema) -> None:
    insert(schema, "CREATE TABLE `we``ird tä ble` (`i d` INT PRIMARY KEY, x INT)")
    with reading(schema, subscription(schema, "we`ird tä ble", "i d")) as following:
        insert(schema, "INSERT INTO `we``ird tä ble` VALUES (5, 1)")
        assert following.changes("we`ird tä ble") == [((5,), False)]


@pytest.mark.parametrize(
    "column_type", ["FLOAT", "DOUBLE", "TEXT", "BLOB", "POINT", "JSON", "TINYBLOB"]
)
def test_types_that_cannot_be_a_key_are_refused_in_words(schema: Schema, column_type: str) -> None:
    insert(schema, f"CREATE TABLE t (id INT PRIMARY KEY, c {column_type} NOT NULL)")
    (column,) = key_columns(schema, "t", "c")
    assert "Column c" in refuse_reason(column)
    assert not column.comparable
    with pytest.raises(ValueError, match="Column c"):
        column.select_expression("c")


def test_text_that_is_no_key_value_is_refused() -> None:
    column = KeyColumn("k", "int", "int", 0)
    for kind, text in {
        "int": "1x",
        "decimal": "x",
        "date": "soon",
        "time": "12",
        "char": "zz",
    }.items():
        with pytest.raises(ValueError):
            dataclasses.replace(column, data_type=kind).from_text(text)
