"""Transactions of every kind: tags, XA, savepoints, images that lack the key, definitions."""

from __future__ import annotations

import pytest

from migrations_app.engine.binlog import ChangesLostError, GtidSet
from migrations_app.engine.errors import SchemaChangedError
from tests.conftest import Schema
from tests.engine.binlog.recorder import position_now, reading, session, subscription

pytestmark = pytest.mark.engine


def make_table(schema: Schema) -> None:
    schema.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT)")


def run(schema: Schema, *statements: str) -> None:
    asking = session(schema)
    try:
        for statement in statements:
            asking.query(statement)
    finally:
        asking.close()


@pytest.mark.mysql_since(8, 3, 0)
def test_tagged_gtids_are_read_and_resumed_from(schema: Schema) -> None:
    make_table(schema)
    uuid = schema.execute("SELECT @@server_uuid")[0][0]
    with reading(schema, subscription(schema)) as following:
        for number in range(70):
            run(schema, "SET gtid_next = 'AUTOMATIC:blue_1'", f"INSERT INTO t VALUES ({number}, 1)")
        run(
            schema,
            "SET SESSION gtid_next = 'aaaaaaaa-ffff-0080-7f01-bbbbbbbbbbbb:_t:9223372036854775806'",
            "INSERT INTO t VALUES (1000, 1)",
        )
        following.catch_up()
        started = [call[1] for call in following.recorder.calls("started")]
        assert started[0] == f"{uuid}:blue_1:1"
        assert started[69] == f"{uuid}:blue_1:70"
        assert started[70] == "aaaaaaaa-ffff-0080-7f01-bbbbbbbbbbbb:_t:9223372036854775806"
        position = following.reader.delivered
        executed = position_now(schema).gtid_set
        assert GtidSet.parse(position.gtid_set) == GtidSet.parse(executed)
        assert str(GtidSet.parse(executed)) == executed
    run(schema, "INSERT INTO t VALUES (2000, 1)")
    with reading(schema, subscription(schema), start=position) as following:
        assert following.changes() == [((2000,), False)]


def test_keys_of_a_prepared_xa_transaction_come_again_when_it_commits(any_scheme: Schema) -> None:
    make_table(any_scheme)
    with reading(any_scheme, subscription(any_scheme)) as following:
        begun_at = following.reader.delivered
        run(
            any_scheme,
            "XA START 'x1', 'b', 7",
            "INSERT INTO t VALUES (1, 1)",
            "XA END 'x1', 'b', 7",
            "XA PREPARE 'x1', 'b', 7",
        )
        run(any_scheme, "INSERT INTO t VALUES (2, 1)")
        assert following.changes() == [((1,), False), ((2,), False)]
        assert following.reader.restart_position.offset == begun_at.offset
        run(any_scheme, "XA COMMIT 'x1', 'b', 7")
        assert following.changes() == [((1,), False), ((2,), False), ((1,), False)]
        last = following.recorder.calls("started", "keys", "ended")[-3:]
        assert [call[0] for call in last] == ["started", "keys", "ended"]
        assert following.reader.restart_position == following.reader.delivered


def test_keys_of_an_xa_transaction_that_is_rolled_back_do_not_come_again(
    any_scheme: Schema,
) -> None:
    make_table(any_scheme)
    with reading(any_scheme, subscription(any_scheme)) as following:
        run(
            any_scheme,
            "XA START 'x2'",
            "INSERT INTO t VALUES (1, 1)",
            "XA END 'x2'",
            "XA PREPARE 'x2'",
        )
        run(any_scheme, "XA ROLLBACK 'x2'")
        run(
            any_scheme,
            "XA START 'x3'",
            "INSERT INTO t VALUES (3, 1)",
            "XA END 'x3'",
            "XA COMMIT 'x3' ONE PHASE",
        )
        assert following.changes() == [((1,), False), ((3,), False)]
        assert following.reader.restart_position == following.reader.delivered


def test_an_xa_transaction_that_was_prepared_before_the_start_is_not_of_ours(
    any_scheme: Schema,
) -> None:
    """A run sees to that before it begins (tests/engine/test_prepared.py)."""
    make_table(any_scheme)
    run(
        any_scheme, "XA START 'x4'", "INSERT INTO t VALUES (1, 1)", "XA END 'x4'", "XA PREPARE 'x4'"
    )
    with reading(any_scheme, subscription(any_scheme)) as following:
        run(any_scheme, "XA COMMIT 'x4'")
        assert following.changes() == []


def test_savepoints_and_several_statements_stay_one_transaction(any_scheme: Schema) -> None:
    make_table(any_scheme)
    with reading(any_scheme, subscription(any_scheme)) as following:
        run(
            any_scheme,
            "BEGIN",
            "INSERT INTO t VALUES (1, 1)",
            "SAVEPOINT s",
            "INSERT INTO t VALUES (2, 1)",
            "ROLLBACK TO s",
            "INSERT INTO t VALUES (3, 1)",
            "COMMIT",
        )
        following.catch_up()
        assert [call[0] for call in following.recorder.calls("started", "ended")] == [
            "started",
            "ended",
        ]
        assert following.recorder.changes()[-1] == ((3,), False)


def test_a_table_without_transactions_is_followed_too(any_scheme: Schema) -> None:
    run(any_scheme, "CREATE TABLE t (id INT PRIMARY KEY, a INT) ENGINE = MyISAM")
    with reading(any_scheme, subscription(any_scheme)) as following:
        run(any_scheme, "INSERT INTO t VALUES (1, 1), (2, 1)")
        assert following.changes() == [((1,), False), ((2,), False)]
        assert len(following.recorder.calls("ended")) == 1


@pytest.mark.mysql_since(8, 0, 21)
def test_a_table_made_from_a_query_is_one_transaction(schema: Schema) -> None:
    make_table(schema)
    with reading(schema, subscription(schema)) as following:
        run(schema, "INSERT INTO t VALUES (1, 1)", "CREATE TABLE c AS SELECT * FROM t")
        following.catch_up()
        assert len(following.recorder.calls("ended")) == 2
        assert following.recorder.calls("schema") == []


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE t ADD COLUMN b INT",
        "alter /* why */ table `t` engine = InnoDB",
        "ALTER TABLE {schema}.t COMMENT 'x'",
        "CREATE INDEX i ON t (a)",
        "DROP INDEX i0 ON t",
        "TRUNCATE t",
        "TRUNCATE TABLE {schema} . `t`",
        "RENAME TABLE other TO third, t TO fourth",
        "DROP TABLE IF EXISTS nowhere, t",
        "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1",
        "CREATE TABLE child (t_id INT, FOREIGN KEY (t_id) REFERENCES t (id))",
        "ALTER TABLE other ADD FOREIGN KEY (id) REFERENCES t (id)",
        "ALTER TABLE t RENAME COLUMN a TO z",
        "DROP DATABASE {schema}",
    ],
)
def test_statements_that_change_the_table_are_reported(schema: Schema, statement: str) -> None:
    make_table(schema)
    run(schema, "CREATE INDEX i0 ON t (a)", "CREATE TABLE other LIKE t")
    with reading(schema, subscription(schema)) as following:
        sql = statement.format(schema=schema.name)
        run(schema, sql)
        if sql.startswith("DROP DATABASE"):
            schema.server.execute(f"CREATE DATABASE {schema.name}")
        following.catch_up()
        (report,) = following.recorder.calls("schema")
        assert report[1] == "t"


def test_statements_on_other_tables_are_not_reported(schema: Schema) -> None:
    make_table(schema)
    with reading(schema, subscription(schema)) as following:
        run(
            schema,
            "CREATE TABLE _t_new LIKE t",
            "ALTER TABLE _t_new ADD COLUMN t INT COMMENT 't', RENAME COLUMN a TO `alter table t`",
            "CREATE VIEW v AS SELECT * FROM t",
            "CREATE PROCEDURE p() SELECT * FROM t",
            "CREATE TABLE `t;x` (t INT)",
            "RENAME TABLE `t;x` TO tt",
            "TRUNCATE tt",
            "ANALYZE TABLE t",
            "CREATE TEMPORARY TABLE tmp (t INT)",
            "CREATE DATABASE IF NOT EXISTS other_schema",
            "CREATE TABLE other_schema.t (id INT)",
            "ALTER TABLE other_schema.t ADD COLUMN b INT",
            "DROP TABLE other_schema.t",
            "DROP DATABASE other_schema",
            "DROP TABLE tt, _t_new",
        )
        following.catch_up()
        assert following.recorder.calls("schema") == []


def test_a_change_logged_as_a_statement_ends_the_reader(schema: Schema) -> None:
    """Not only of a table of ours: views, triggers and functions may change it as well."""
    make_table(schema)
    with reading(schema, subscription(schema)) as following:
        run(
            schema,
            "SET SESSION transaction_isolation = 'REPEATABLE-READ'",
            "SET SESSION binlog_format = STATEMENT",
            "INSERT INTO t VALUES (1, 1)",
        )
        with pytest.raises(ChangesLostError, match="binlog_format"):
            following.catch_up()


def test_a_key_column_that_is_not_what_it_was_ends_the_reader(schema: Schema) -> None:
    make_table(schema)
    stale = subscription(schema)
    run(schema, "ALTER TABLE t MODIFY id BIGINT")
    with reading(schema, stale) as following:
        run(schema, "INSERT INTO t VALUES (1, 1)")
        with pytest.raises(SchemaChangedError, match="column id"):
            following.catch_up()


def test_an_image_without_the_key_ends_the_reader_in_words(schema: Schema) -> None:
    run(
        schema,
        "CREATE TABLE t (id INT PRIMARY KEY, u INT NOT NULL UNIQUE)",
        "INSERT INTO t VALUES (1, 10)",
    )
    with reading(schema, subscription(schema, "t", "u")) as following:
        run(schema, "SET SESSION binlog_row_image = MINIMAL", "DELETE FROM t")
        with pytest.raises(ChangesLostError, match="binlog_row_image"):
            following.catch_up()


def test_a_key_column_left_to_its_default_is_known_without_being_logged(schema: Schema) -> None:
    columns = {
        "a": "INT NOT NULL DEFAULT 7",
        "b": "VARCHAR(5) NOT NULL DEFAULT 'x''ü'",
        "c": "INT AUTO_INCREMENT",
        "d": "DECIMAL(5,2) NOT NULL DEFAULT -1.5",
        "e": "DATETIME(3) NOT NULL DEFAULT '2024-01-02'",
        "f": "ENUM('p','q''s') NOT NULL DEFAULT 'q''s'",
        "g": "BINARY(3) NOT NULL DEFAULT 'z'",
        "h": "BIT(4) NOT NULL DEFAULT b'101'",
        "i": "TIME NOT NULL DEFAULT '-1:00'",
        "j": "SET('k','l','m') NOT NULL DEFAULT 'k,m'",
        "k": "CHAR(9) CHARACTER SET utf16 NOT NULL DEFAULT 'ü '",
        "l": "YEAR NOT NULL DEFAULT 2024",
        "m": "VARBINARY(20) NOT NULL DEFAULT ''",
        # Computed for each row, so always in the image.
        "n": "BIGINT NOT NULL DEFAULT (1 + 1)",
        "o": "TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)",
    }
    definitions = ", ".join(f"{name} {definition}" for name, definition in columns.items())
    key = ", ".join(sorted(columns, key=lambda name: name != "c"))
    run(schema, f"CREATE TABLE t ({definitions}, x INT, PRIMARY KEY ({key}))")
    with reading(schema, subscription(schema, "t", *columns)) as following:
        now = "SET SESSION timestamp = 1700000000.5"
        run(schema, now, "INSERT INTO t (x) VALUES (1)")
        run(schema, now, "SET SESSION binlog_row_image = MINIMAL", "INSERT INTO t (x) VALUES (1)")
        (full, _), (minimal, _) = following.changes()
    assert [*minimal[:2], 1, *minimal[3:]] == list(full)


def test_key_columns_that_were_given_no_value_have_the_types_own_default(schema: Schema) -> None:
    run(
        schema,
        "CREATE TABLE t (a INT NOT NULL, b CHAR(3) NOT NULL, c DATE NOT NULL, "
        "d DATETIME(2) NOT NULL, "
        "e ENUM('p','q') NOT NULL, f BINARY(2) NOT NULL, g TIME NOT NULL, h DECIMAL(3,1) NOT NULL, "
        "i BIT(3) NOT NULL, x INT, id INT, PRIMARY KEY (id, a, b, c, d, e, f, g, h, i))",
    )
    names = ("a", "b", "c", "d", "e", "f", "g", "h", "i")
    with reading(schema, subscription(schema, "t", *names)) as following:
        lenient = "SET SESSION sql_mode = ''"
        run(schema, lenient, "INSERT INTO t (id) VALUES (1)")
        run(
            schema,
            lenient,
            "SET SESSION binlog_row_image = MINIMAL",
            "INSERT INTO t (id) VALUES (2)",
        )
        full, minimal = following.changes()
    assert minimal == full
