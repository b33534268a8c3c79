"""A plan says what a run then does, and leaves nothing behind."""

from __future__ import annotations

import contextlib

import pytest

from migrations_app.engine import (
    DeferIndexes,
    Dsn,
    Method,
    Options,
    OutcomeKind,
    TransientError,
    parse_change,
    scratch,
)
from migrations_app.engine.names import TableNames
from migrations_app.engine.plan import Plan, plan
from migrations_app.engine.saved import NextKind, look_up
from migrations_app.engine.session import Session
from tests.conftest import Schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import RunInThread, make_numbers, migrate, tables_of, wait_until

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


def plan_of(schema: Schema, sql: str, options: Options | None = None) -> Plan:
    return plan(schema.dsn, parse_change(sql, schema.name), options)[0]


def definition(schema: Schema) -> str:
    return str(schema.execute("SHOW CREATE TABLE t")[0][1])


@pytest.mark.parametrize(
    ("sql", "method"),
    [
        ("ALTER TABLE t ADD x INT", Method.INSTANT),
        pytest.param(
            "ALTER TABLE t ADD x INT AFTER id, DROP COLUMN w",
            Method.INSTANT,
            marks=pytest.mark.mysql_since(8, 0, 29),
        ),
        pytest.param(
            "ALTER TABLE t RENAME COLUMN w TO u",
            Method.INSTANT,
            marks=pytest.mark.mysql_since(8, 0, 28),
        ),
        ("ALTER TABLE t ALTER COLUMN v SET DEFAULT 7", Method.INSTANT),
        ("DROP INDEX kv ON t", Method.INPLACE),
        ("ALTER TABLE t RENAME INDEX kv TO kx, ALTER INDEX kx INVISIBLE", Method.UNDECIDED),
        ("ALTER TABLE t RENAME INDEX kv TO kx", Method.INPLACE),
        ("ALTER TABLE t ADD INDEX kw (w)", Method.COPY),
        (WIDEN, Method.COPY),
        ("ALTER TABLE t MODIFY w VARCHAR(400) CHARACTER SET utf16", Method.COPY),
        ("ALTER TABLE t ADD x INT, ENGINE=InnoDB", Method.COPY),
        ("ALTER TABLE t ADD v INT", Method.UNDECIDED),
    ],
)
def test_the_method_and_the_definition_are_what_a_run_makes(
    any_scheme: Schema, sql: str, method: Method
) -> None:
    schema = any_scheme
    make_numbers(schema, "t", 500, "v INT NOT NULL, w VARCHAR(20), KEY kv (v), CHECK (v > 0)")
    before = definition(schema)
    made = plan_of(schema, sql)
    assert (made.method, made.refused) == (method, method is Method.UNDECIDED), made
    assert tables_of(schema) == {"t"}
    assert definition(schema) == before == made.before_sql
    outcome, _ = migrate(schema, sql)
    assert outcome.method is method
    if method is Method.UNDECIDED:
        assert outcome.kind is OutcomeKind.REFUSED
        assert made.diff == ""
    else:
        assert outcome.kind is OutcomeKind.COMPLETED
        assert _without_check_name(definition(schema)) == _without_check_name(made.after_sql)
        assert made.diff


def _without_check_name(sql: str) -> str:
    """A copied table's CHECK has a name made of the shadow table's."""
    return sql.replace("_t_new_chk_1", "t_chk_1")


@pytest.mark.parametrize(
    "clauses",
    [
        "DROP CHECK positive",
        "ALTER CHECK positive NOT ENFORCED",
        "DROP CONSTRAINT `positive`, ADD COLUMN x INT",
        "ALTER COLUMN v DROP DEFAULT",
        "DROP CHECK even",
    ],
)
def test_check_constraints_are_known_by_their_names(schema: Schema, clauses: str) -> None:
    checks = "CONSTRAINT Positive CHECK (v > 0), CONSTRAINT even CHECK (w % 2 = 0)"
    make_numbers(schema, "t", 10, f"v INT NOT NULL DEFAULT 1, w INT, {checks}")
    made = plan_of(schema, f"ALTER TABLE t {clauses}")
    assert made.method is Method.INSTANT
    assert migrate(schema, f"ALTER TABLE t {clauses}")[0].method is Method.INSTANT
    assert made.after_sql == definition(schema)


def test_a_copy_is_described(schema: Schema) -> None:
    make_numbers(schema, "t", 20_000, "v INT NOT NULL, w INT, KEY kv (v), UNIQUE KEY (id, w)")
    schema.execute("ANALYZE TABLE t")
    made = plan_of(schema, WIDEN, Options(defer_indexes=DeferIndexes.ON))
    assert (made.key_index, made.key_columns) == ("PRIMARY", ("id",))
    assert made.indexes_later == ("kv",)
    # The server samples a few pages.
    assert 5_000 < made.size.rows < 60_000
    assert made.size.disk_bytes == made.size.data_bytes + made.size.index_bytes > 0
    assert made.next_run.kind is NextKind.BEGIN
    assert made.duration_secs is not None
    fast, slow = made.duration_secs
    assert 0 < fast < slow
    assert "-  `v` int NOT NULL," in made.diff.splitlines()
    assert "+  `v` bigint NOT NULL," in made.diff.splitlines()
    assert plan_of(schema, WIDEN, Options(defer_indexes=DeferIndexes.OFF)).indexes_later == ()


@pytest.mark.parametrize("partitions", ["", "PARTITION BY HASH (id) PARTITIONS 3"])
def test_a_table_whose_statistics_lag_has_the_size_of_its_files(
    schema: Schema, partitions: str
) -> None:
    """So that a copy of it is not begun on a disk that cannot hold it."""
    columns = "v INT NOT NULL, filler CHAR(100) NOT NULL DEFAULT 'f', KEY (v)"
    make_numbers(schema, "`t 2`", 30_000, columns)
    schema.execute(
        f"CREATE TABLE t (id INT PRIMARY KEY, {columns}) STATS_AUTO_RECALC = 0 {partitions}"
    )
    schema.execute("INSERT INTO t SELECT * FROM `t 2`")
    size = plan_of(schema, WIDEN).size
    assert 30_000 * 100 < size.data_bytes < size.disk_bytes < 30_000 * 700
    assert size.disk_bytes == size.data_bytes + size.index_bytes


def test_the_counter_is_no_difference_unless_it_is_set(schema: Schema) -> None:
    schema.execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT NOT NULL)")
    schema.execute("INSERT INTO t (v) VALUES (1), (2)")
    assert "AUTO_INCREMENT=" not in plan_of(schema, WIDEN).diff
    assert "AUTO_INCREMENT=9" in plan_of(schema, "ALTER TABLE t AUTO_INCREMENT = 9").diff


def test_an_earlier_run_is_gone_on_with_or_given_up(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 20_000)
    gate = ChunkGate(monkeypatch, chunks=3)
    with RunInThread(schema, WIDEN) as run:
        wait_until(gate.held.is_set, "three chunks to be copied")
        assert plan_of(schema, WIDEN).running_connection is not None
        run.stop.set()
        outcome = run.outcome()
    gate.open()
    assert outcome.kind is OutcomeKind.STOPPED
    before = tables_of(schema)
    resumed = plan_of(schema, WIDEN)
    assert (resumed.next_run.kind, resumed.method) == (NextKind.RESUME, Method.COPY)
    assert resumed.next_run.rows_kept > 0
    assert resumed.running_connection is None
    other = "ALTER TABLE t ADD COLUMN x INT"
    assert plan_of(schema, other).next_run.kind is NextKind.FRESH
    assert plan_of(schema, other).method is Method.INSTANT
    strict = plan_of(schema, other, Options(strict=True))
    assert (strict.next_run.kind, strict.refused) == (NextKind.REFUSE, True)
    assert tables_of(schema) == before
    outcome, recorder = migrate(schema, WIDEN)
    assert outcome.kind is OutcomeKind.COMPLETED
    assert "resumed" in recorder.kinds()


def test_a_plan_of_a_locked_table_can_be_asked_again(schema: Schema) -> None:
    make_numbers(schema, "t", 10)
    other = Session(schema.dsn, "test", "")
    try:
        other.query("LOCK TABLES t WRITE")
        with pytest.raises(TransientError, match="locked by another session"):
            plan_of(schema, WIDEN)
    finally:
        other.close()
    assert tables_of(schema) == {"t"}
    assert plan_of(schema, WIDEN).method is Method.COPY


@pytest.mark.mysql_since(8, 0, 29)
def test_a_table_that_can_take_no_more_columns_at_once_is_copied(schema: Schema) -> None:
    make_numbers(schema, "t", 10, "v INT NOT NULL, w INT")
    most = 255 if schema.server.version >= (9, 1, 0) else 64
    with contextlib.closing(Session(schema.dsn, "test", "")) as session:
        for _ in range((most - 1) // 2):
            session.query("ALTER TABLE t ADD COLUMN x INT, ALGORITHM=INSTANT")
            session.query("ALTER TABLE t DROP COLUMN x, ALGORITHM=INSTANT")
        add = "ALTER TABLE t ADD COLUMN x INT"
        if most % 2 == 0:
            session.query("ALTER TABLE t ADD COLUMN y INT, ALGORITHM=INSTANT")
        assert plan_of(schema, add).method is Method.INSTANT
        session.query(f"{add}, ALGORITHM=INSTANT")
    drop = "ALTER TABLE t DROP COLUMN x"
    made = plan_of(schema, drop)
    assert (made.method, "TOTAL_ROW_VERSIONS" in made.method_reason) == (Method.COPY, True)
    rename = "ALTER TABLE t RENAME COLUMN w TO u"
    assert plan_of(schema, rename).method is Method.INSTANT
    assert migrate(schema, rename)[0].method is Method.INSTANT
    assert migrate(schema, drop)[0].method is Method.COPY


def test_the_rights_that_a_run_needs_are_enough(schema: Schema) -> None:
    make_numbers(schema, "t", 100)
    schema.execute("CREATE USER poor IDENTIFIED BY 'pw'")
    try:
        schema.execute("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO poor")
        schema.execute(
            "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, LOCK TABLES, "
            f"TRIGGER ON `{schema.name}`.* TO poor"
        )
        dsn = Dsn.parse(f"mysql://poor:pw@127.0.0.1:{schema.server.port}/{schema.name}")
        for sql, method in (("ALTER TABLE t ADD x INT", Method.INSTANT), (WIDEN, Method.COPY)):
            (made,) = plan(dsn, parse_change(sql, schema.name))
            assert (made.method, made.refused) == (method, False)
        assert look_up(dsn, "t").nothing
    finally:
        schema.execute("DROP USER poor")


class TestLeftovers:
    """What a killed plan left behind is recognised by its name, its age and its emptiness."""

    def test_a_scratch_table_is_dropped_when_asking_fails(
        self, schema: Schema, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_numbers(schema, "t", 10)
        seen: list[set[str]] = []

        def fail(*_: object) -> None:
            seen.append(tables_of(schema))
            raise KeyboardInterrupt

        monkeypatch.setattr(scratch, "_make_change", fail)
        with pytest.raises(KeyboardInterrupt):
            plan_of(schema, WIDEN)
        assert len(seen[0]) == 2
        assert tables_of(schema) == {"t"}

    def test_only_old_and_empty_ones_of_this_table_are_dropped(
        self, schema: Schema, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        make_numbers(schema, "t", 10)
        mine, full, others = (
            TableNames("", table).scratch(token)
            for table, token in (("t", "0" * 12), ("t", "1" * 12), ("u", "2" * 12))
        )
        for name in (mine, full, others, "_t_plan_of_mine"):
            schema.execute(f"CREATE TABLE `{name}` (id INT PRIMARY KEY)")
        schema.execute(f"INSERT INTO `{full}` VALUES (1)")
        plan_of(schema, WIDEN)
        assert mine in tables_of(schema)
        monkeypatch.setattr(scratch, "_LEFTOVER_SECS", -1)
        plan_of(schema, WIDEN)
        assert tables_of(schema) == {"t", full, others, "_t_plan_of_mine"}

    def test_long_names_stay_names(self, schema: Schema) -> None:
        table = "a_table_with_a_name_that_is_as_long_as_mysql_allows_" + "x" * 12
        schema.execute(f"CREATE TABLE {table} (id INT PRIMARY KEY, v INT)")
        made = plan_of(schema, f"ALTER TABLE {table} MODIFY v BIGINT")
        assert made.method is Method.COPY
        assert f"CREATE TABLE `{table}`" in made.after_sql
        assert tables_of(schema) == {table}
