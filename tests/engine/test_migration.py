"""Whole runs: what they make of a table, and every way they can end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from migrations_app.engine import (
    DeferIndexes,
    Method,
    Migration,
    Options,
    OutcomeKind,
    Phase,
    clean_up,
)
from playground.server import PrivateServer
from tests.conftest import Schema, fresh_schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import (
    Recorder,
    RunInThread,
    assert_same_as_native,
    make_numbers,
    migrate,
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
    assert fresh[0].data["old_position"] == saved.position
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
