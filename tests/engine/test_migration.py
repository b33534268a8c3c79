"""Whole runs: what they make of a table, and every way they can end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from migrations_app.engine import (
    DeferIndexes,
    Dsn,
    Method,
    Migration,
    Options,
    OutcomeKind,
    Phase,
    clean_up,
    inspect_table,
    inspect_target,
)
from playground.server import PrivateServer, find_free_port
from tests.conftest import Schema, fresh_schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import (
    Recorder,
    RunInThread,
    assert_same_as_native,
    make_numbers,
    migrate,
    rows_of,
    tables_of,
    wait_until,
)

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


@pytest.mark.parametrize(
    "statement",
    [
        ("ALTER TABLE t ADD COLUMN n INT NOT NULL DEFAULT 5, MODIFY v BIGINT NOT NULL,"
        " ADD KEY nv (n, v)"),
        "ALTER TABLE t CHANGE v w BIGINT NOT NULL FIRST, DROP COLUMN note",
        "ALTER TABLE t MODIFY note VARCHAR(300) CHARACTER SET latin1, ADD KEY (note)",
        "ALTER TABLE t ADD UNIQUE KEY u (v), FORCE",
        "ALTER TABLE t MODIFY id INT UNSIGNED NOT NULL AUTO_INCREMENT, COMMENT 'a;b%s'",
    ],
)  # fmt: skip
def test_the_result_is_what_a_native_alter_makes(any_scheme: Schema, statement: str) -> None:
    schema = any_scheme
    make_numbers(schema, "t", 5_000, "v INT NOT NULL, note VARCHAR(20) DEFAULT 'é;%s', KEY v (v)")
    schema.execute("CREATE TABLE native LIKE t")
    schema.execute("INSERT INTO native SELECT * FROM t")
    outcome, recorder = migrate(schema, statement, Options(repair_differences=False))
    assert (outcome.kind, outcome.method) == (OutcomeKind.COMPLETED, Method.COPY), outcome.message
    assert_same_as_native(schema, "t", statement, "native")
    assert tables_of(schema) == {"t", "native"}
    assert recorder.phases[-1] is Phase.COMPLETED


def test_a_composite_key_is_walked_and_its_table_equals_a_native_alter(any_scheme: Schema) -> None:
    schema = any_scheme
    schema.execute(
        "CREATE TABLE t (a INT NOT NULL, b SMALLINT UNSIGNED NOT NULL, c BIGINT NOT NULL, v INT, "
        "PRIMARY KEY (a, b, c))"
    )
    make_numbers(schema, "n", 20_000)
    schema.execute("INSERT INTO t SELECT -(id % 7), id % 90, id * 3, v FROM n")
    schema.execute("CREATE TABLE native LIKE t")
    schema.execute("INSERT INTO native SELECT * FROM t")
    statement = "ALTER TABLE t MODIFY v BIGINT, ADD COLUMN w INT NOT NULL DEFAULT 1"
    outcome, _ = migrate(schema, statement, Options(repair_differences=False))
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert_same_as_native(schema, "t", statement, "native")


def test_indexes_built_after_the_copy_are_those_of_a_native_alter(schema: Schema) -> None:
    make_numbers(schema, "t", 5_000, "v INT NOT NULL, note VARCHAR(20) DEFAULT 'x', KEY v (v)")
    schema.execute("CREATE TABLE native LIKE t")
    schema.execute("INSERT INTO native SELECT * FROM t")
    statement = "ALTER TABLE t MODIFY v BIGINT NOT NULL, ADD KEY n (note(5), v DESC) COMMENT 'k'"
    outcome, recorder = migrate(schema, statement, Options(defer_indexes=DeferIndexes.ON))
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert {"indexes_deferred", "indexes_restored"} <= set(recorder.kinds())
    assert_same_as_native(schema, "t", statement, "native")


@pytest.mark.parametrize(
    ("statement", "method"),
    [
        ("ALTER TABLE t ADD COLUMN x INT", Method.INSTANT),
        ("ALTER TABLE t DROP INDEX k", Method.INPLACE),
        ("ALTER TABLE t RENAME INDEX k TO l", Method.INPLACE),
    ],
)
def test_the_server_makes_the_change_itself_where_it_can(
    schema: Schema, statement: str, method: Method
) -> None:
    make_numbers(schema, "t", 100, "v INT NOT NULL, KEY k (v)")
    outcome, _ = migrate(schema, statement)
    assert (outcome.kind, outcome.method) == (OutcomeKind.COMPLETED, method), outcome.message
    assert tables_of(schema) == {"t"}


def test_a_stopped_run_goes_on_where_it_was(
    any_scheme: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = any_scheme
    make_numbers(schema, "t", 50_000)
    gate = ChunkGate(monkeypatch, chunks=4)
    options = Options(threads=1, repair_differences=False)
    with RunInThread(schema, WIDEN, options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        schema.execute("UPDATE t SET v = -1 WHERE id IN (1, 40000)")
        run.stop.set()
        outcome = run.outcome()
        stopped = run.recorder
    assert outcome.kind is OutcomeKind.STOPPED, outcome.message
    saved = stopped.checkpoints[-1]
    assert saved.rows_copied > 1_000
    schema.execute("DELETE FROM t WHERE id IN (2, 40001)")
    schema.execute("UPDATE t SET id = 60000 WHERE id = 3")
    monkeypatch.undo()
    outcome, recorder = migrate(schema, WIDEN, options)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    resumed = recorder.event("resumed")
    assert resumed.data["checkpoint_id"] == saved.id
    copied_after = max(reading.rows_copied for reading in recorder.readings)
    assert copied_after >= saved.rows_copied
    assert schema.execute("SELECT COUNT(*), SUM(v < 0) FROM t") == [(49_998, 2)]
    assert schema.execute("SELECT v FROM t WHERE id = 60000") == [(3,)]


def stop_early(schema: Schema, monkeypatch: pytest.MonkeyPatch, options: Options) -> Recorder:
    """A run that is stopped after two chunks of t."""
    gate = ChunkGate(monkeypatch, chunks=2)
    with RunInThread(schema, WIDEN, options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        run.stop.set()
        assert run.outcome().kind is OutcomeKind.STOPPED
    monkeypatch.undo()
    return run.recorder


@pytest.fixture(params=[True, False], ids=["gtid", "file_position"])
def purging_schema(request: pytest.FixtureRequest) -> Iterator[Schema]:
    """A schema on a server of its own, whose binary logs may be purged."""
    with PrivateServer(gtid=request.param) as server, fresh_schema(server) as schema:
        yield schema


def purge(schema: Schema) -> None:
    schema.execute("INSERT INTO t VALUES (1000001, 0)")
    schema.execute("FLUSH BINARY LOGS")
    newest = schema.execute("SHOW BINARY LOGS")[-1][0]
    schema.execute(f"PURGE BINARY LOGS TO '{newest}'")


def test_a_purged_position_leads_to_a_fresh_start_that_says_what_was_lost(
    purging_schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = purging_schema
    make_numbers(schema, "t", 5_000)
    saved = stop_early(schema, monkeypatch, Options(threads=1)).checkpoints[-1]
    purge(schema)
    outcome, recorder = migrate(schema, WIDEN)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    fresh = [event for event in recorder.events if event.kind == "fresh_start"]
    assert len(fresh) == 1
    assert fresh[0].data["rows_lost"] == saved.rows_copied > 0
    assert fresh[0].data["position"] == saved.position
    assert schema.execute("SELECT COUNT(*) FROM t") == [(5_001,)]


def test_strict_mode_refuses_a_fresh_start_and_keeps_everything(
    purging_schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = purging_schema
    make_numbers(schema, "t", 5_000)
    options = Options(threads=1, strict=True)
    stop_early(schema, monkeypatch, options)
    purge(schema)
    outcome, recorder = migrate(schema, WIDEN, options)
    assert (outcome.kind, outcome.exit_code) == (OutcomeKind.STRICT, 4)
    assert "resume_failed" in recorder.kinds()
    assert tables_of(schema) == {"t", "_t_new", "_t_chkpnt"}
    assert schema.execute("SELECT COUNT(*) FROM _t_new")[0][0] > 0
    outcome, _ = migrate(schema, WIDEN, Options(fresh=True, strict=True))
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message


def test_another_statement_does_not_resume_from_a_checkpoint(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 5_000)
    stop_early(schema, monkeypatch, Options(threads=1))
    outcome, recorder = migrate(schema, "ALTER TABLE t MODIFY v BIGINT NOT NULL DEFAULT 1")
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "another statement" in recorder.event("fresh_start").message


def test_a_server_that_is_down_at_resume_keeps_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with PrivateServer() as server, fresh_schema(server) as schema:
        make_numbers(schema, "t", 5_000)
        saved = stop_early(schema, monkeypatch, Options(threads=1)).checkpoints[-1]
        server.stop()
        outcome, _ = migrate(schema, WIDEN)
        assert (outcome.kind, outcome.exit_code) == (OutcomeKind.TRANSIENT, 5)
        assert "cannot be reached" in outcome.message
        server.start()
        outcome, recorder = migrate(schema, WIDEN)
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
        assert recorder.event("resumed").data["checkpoint_id"] == saved.id


def test_a_second_run_on_the_same_table_is_refused_and_the_first_goes_on(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 5_000)
    gate = ChunkGate(monkeypatch, chunks=1)
    with RunInThread(schema, WIDEN) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        outcome, _ = migrate(schema, WIDEN)
        assert (outcome.kind, outcome.exit_code) == (OutcomeKind.REFUSED, 2)
        assert "Another run is working on" in outcome.message
        gate.open()
        assert run.outcome().kind is OutcomeKind.COMPLETED


def test_a_deferred_cut_over_waits_for_the_order(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000)
    with RunInThread(schema, WIDEN, Options(defer_cutover=True)) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        schema.execute("UPDATE t SET v = -5 WHERE id = 5")
        assert "_spirit_sentinel" in tables_of(schema)
        run.migration.allow_cut_over()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT v FROM t WHERE id = 5") == [(-5,)]
    assert tables_of(schema) == {"t"}


def test_a_deferred_cut_over_waits_for_the_sentinel_table(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000)
    with RunInThread(schema, WIDEN, Options(defer_cutover=True)) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        schema.execute("DROP TABLE _spirit_sentinel")
        assert run.outcome().kind is OutcomeKind.COMPLETED


def test_a_number_given_to_a_row_that_is_gone_is_not_given_again(schema: Schema) -> None:
    schema.execute("CREATE TABLE t (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, v INT NOT NULL)")
    schema.execute("INSERT INTO t (v) VALUES (1), (2)")
    with RunInThread(schema, WIDEN, Options(defer_cutover=True)) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        schema.execute("INSERT INTO t (v) VALUES (3), (4), (5)")
        schema.execute("DELETE FROM t WHERE v > 2")
        run.migration.allow_cut_over()
        assert run.outcome().kind is OutcomeKind.COMPLETED
    schema.execute("INSERT INTO t (v) VALUES (6)")
    assert schema.execute("SELECT MAX(id) FROM t") == [(6,)]


def test_a_swap_that_the_caller_forbids_is_not_made(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000)
    recorder = Recorder()
    recorder.cut_over_allowed = False
    outcome = Migration(schema.dsn, WIDEN, Options(), recorder).run()
    assert outcome.kind is OutcomeKind.STOPPED
    assert "int" in schema.execute("SHOW CREATE TABLE t")[0][1]
    assert {"_t_new", "_t_chkpnt"} <= tables_of(schema)


def test_an_exception_of_the_observer_ends_the_run_and_leaves_it(schema: Schema) -> None:
    class LostLease(Exception):
        pass

    class Observer(Recorder):
        def progressed(self, progress: object) -> None:
            raise LostLease

    make_numbers(schema, "t", 1_000)
    with pytest.raises(LostLease):
        Migration(schema.dsn, WIDEN, Options(), Observer()).run()
    assert not [thread.name for thread in threading.enumerate() if "spirit" in thread.name]


def test_a_lock_held_by_others_delays_the_swap_and_its_holder_is_ended(schema: Schema) -> None:
    from tests.engine.test_rules import open_connection

    make_numbers(schema, "t", 1_000)
    options = Options(lock_wait_timeout_secs=2, defer_cutover=True)
    with open_connection(schema) as other, RunInThread(schema, WIDEN, options) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        other.query("SELECT * FROM t LIMIT 1")
        other.store_result()
        run.migration.allow_cut_over()
        outcome = run.outcome()
        killed = run.recorder.event("session_killed")
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "open transaction" in killed.message


def test_nothing_is_left_after_any_end(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    make_numbers(schema, "t", 5_000)
    stop_early(schema, monkeypatch, Options())
    assert not [thread.name for thread in threading.enumerate() if "spirit" in thread.name]
    wait_until(
        lambda: (
            not schema.execute(
                "SELECT 1 FROM performance_schema.user_variables_by_thread "
                "WHERE VARIABLE_NAME = 'spirit_run'"
            )
        ),
        "the server to have no session of the run",
    )
    assert set(clean_up(schema.dsn, WIDEN)) == {"_t_new", "_t_chkpnt"}
    assert tables_of(schema) == {"t"}


class TestData:
    """Data that cannot take its new shape ends the run, and names the row."""

    def test_a_value_that_does_not_fit_names_its_row(self, schema: Schema) -> None:
        make_numbers(schema, "t", 3_000)
        schema.execute("UPDATE t SET v = 40000 WHERE id = 2500")
        outcome, _ = migrate(schema, "ALTER TABLE t MODIFY v SMALLINT NOT NULL")
        assert outcome.kind is OutcomeKind.FAILED
        assert "id=2500" in outcome.message
        assert "'v'" in outcome.message
        assert rows_of(schema, "t")[2499] == (2500, 40000)

    def test_a_null_that_is_not_allowed_any_more_names_its_row(self, schema: Schema) -> None:
        make_numbers(schema, "t", 1_500, "v INT NULL")
        schema.execute("UPDATE t SET v = NULL WHERE id = 700")
        outcome, _ = migrate(schema, WIDEN)
        assert outcome.kind is OutcomeKind.FAILED
        assert "id=700" in outcome.message

    def test_duplicates_for_a_new_unique_index_are_named(self, schema: Schema) -> None:
        make_numbers(schema, "t", 3_000)
        schema.execute("UPDATE t SET v = 17 WHERE id = 2900")
        outcome, _ = migrate(schema, "ALTER TABLE t ADD UNIQUE KEY u (v), FORCE")
        assert outcome.kind is OutcomeKind.FAILED
        assert "id=2900" in outcome.message
        assert "id=17" in outcome.message
        assert "'17'" in outcome.message


class TestRefusals:
    """Before anything is touched, with every reason, in words."""

    def refused(self, schema: Schema, statement: str) -> str:
        before = tables_of(schema)
        outcome, _ = migrate(schema, statement)
        assert (outcome.kind, outcome.exit_code) == (OutcomeKind.REFUSED, 2), outcome
        assert tables_of(schema) == before
        return outcome.message

    def test_a_table_that_is_not_there(self, schema: Schema) -> None:
        assert "There is no table" in self.refused(schema, "ALTER TABLE nowhere ADD x INT")

    def test_a_column_that_is_not_there(self, schema: Schema) -> None:
        make_numbers(schema, "t", 10)
        message = self.refused(schema, "ALTER TABLE t DROP COLUMN nothing")
        assert "does not accept the change" in message
        assert "nothing" in message

    def test_a_table_without_a_usable_key(self, schema: Schema) -> None:
        schema.execute("CREATE TABLE t (a INT, b INT, UNIQUE KEY (a))")
        assert "no usable key" in self.refused(schema, "ALTER TABLE t MODIFY b BIGINT")

    def test_triggers_and_foreign_keys_are_reported_together(self, schema: Schema) -> None:
        make_numbers(schema, "p", 10)
        schema.execute(
            "CREATE TABLE t (id INT PRIMARY KEY, p BIGINT, FOREIGN KEY (p) REFERENCES p (id))"
        )
        schema.execute("CREATE TRIGGER trg BEFORE INSERT ON t FOR EACH ROW SET NEW.p = 1")
        message = self.refused(schema, "ALTER TABLE t MODIFY id BIGINT")
        assert "trg" in message
        assert "foreign keys" in message

    def test_a_view_and_another_engine(self, schema: Schema) -> None:
        make_numbers(schema, "t", 10)
        schema.execute("CREATE VIEW w AS SELECT * FROM t")
        schema.execute("CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM")
        assert "view" in self.refused(schema, "ALTER TABLE w ADD x INT")
        assert "InnoDB" in self.refused(schema, "ALTER TABLE m MODIFY id BIGINT")

    def test_an_old_table_in_the_way(self, schema: Schema) -> None:
        make_numbers(schema, "t", 10)
        schema.execute("CREATE TABLE _t_old (id INT)")
        assert "_t_old exists" in self.refused(schema, WIDEN)

    def test_missing_privileges_are_named_with_their_grant(self, schema: Schema) -> None:
        make_numbers(schema, "t", 10)
        schema.execute("CREATE USER poor IDENTIFIED BY 'pw'")
        try:
            schema.execute(f"GRANT SELECT, INSERT ON `{schema.name}`.* TO poor")
            dsn = Dsn.parse(f"mysql://poor:pw@127.0.0.1:{schema.server.port}/{schema.name}")
            problems = " ".join(inspect_table(dsn, WIDEN))
        finally:
            schema.execute("DROP USER poor")
        assert "REPLICATION SLAVE, REPLICATION CLIENT" in problems
        assert "DELETE" in problems
        assert "GRANT" in problems


class TestTargets:
    """A connection test says in words what is wrong."""

    def test_a_good_target_has_no_problems(self, schema: Schema) -> None:
        report = inspect_target(schema.dsn)
        assert report.problems == []
        assert report.version

    def test_a_wrong_password(self, schema: Schema) -> None:
        dsn = Dsn.parse(f"mysql://root:wrong@127.0.0.1:{schema.server.port}/{schema.name}")
        (problem,) = inspect_target(dsn).problems
        assert "wrong password" in problem
        assert "'root'" in problem

    def test_a_server_that_is_down(self) -> None:
        dsn = Dsn.parse(f"mysql://root:x@127.0.0.1:{find_free_port()}/d")
        (problem,) = inspect_target(dsn).problems
        assert "cannot be reached" in problem

    def test_a_schema_that_is_not_there(self, schema: Schema) -> None:
        dsn = Dsn.parse(schema.server.root_dsn("no_such_schema"))
        (problem,) = inspect_target(dsn).problems
        assert "no schema 'no_such_schema'" in problem
