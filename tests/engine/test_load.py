"""When much comes at once, or others are in the way: bounded memory, lock waits, busy servers."""

from __future__ import annotations

from typing import Any

import pytest

from migrations_app.engine import DeferIndexes, Options, OutcomeKind, Phase, shadow
from migrations_app.engine.binlog import stream
from migrations_app.engine.server import ServerFacts
from tests.conftest import Schema
from tests.engine.stepping import ApplierGate, ChunkGate
from tests.engine.support import RunInThread, make_numbers, migrate, wait_until
from tests.engine.test_rules import open_connection

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


def test_too_many_waiting_keys_hold_the_reader_back_and_say_so(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 5_000)
    # So that no more than a transaction comes at once.
    monkeypatch.setattr(stream, "_RECEIVED_BYTES", 4_096)
    gate, applier = ChunkGate(monkeypatch, chunks=3), ApplierGate(monkeypatch)
    options = Options(repair_differences=False, threads=1, max_buffered_keys=1_000)
    with RunInThread(schema, WIDEN, options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        for first in range(0, 3_000, 200):
            schema.execute("UPDATE t SET v = -v WHERE id > %s AND id <= %s", first, first + 200)
        held = run.wait_for_event("reader_held")
        assert held.data["waiting"] > 1_000
        # One more transaction may have been on its way.
        assert run.recorder.readings[-1].deltas_waiting <= 1_400
        applier.open()
        run.wait_for_event("reader_released")
        gate.open()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT SUM(v < 0) FROM t") == [(3_000,)]


@pytest.mark.parametrize("can", [True, False])
def test_the_new_table_is_at_rest_while_its_indexes_are_built_where_the_server_needs_it(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, can: bool
) -> None:
    """MySQL 8.0 may stand still for good when a table is written to meanwhile."""
    monkeypatch.setattr(ServerFacts, "builds_indexes_beside_writes", can)
    make_numbers(schema, "t", 1_000, "v INT NOT NULL, KEY (v)")
    restore = shadow.restore_indexes
    value = "SELECT v FROM _t_new WHERE id = 7"

    def watched(*arguments: Any, **options: Any) -> list[str]:
        schema.execute("UPDATE t SET v = -1 WHERE id = 7")
        if can:
            wait_until(lambda: schema.execute(value) == [(-1,)], "the change to be applied")
        else:
            wait_until(lambda: run.recorder.readings[-1].deltas_waiting == 1, "it to wait")
            assert schema.execute(value) == [(7,)]
        return restore(*arguments, **options)

    monkeypatch.setattr(shadow, "restore_indexes", watched)
    run = RunInThread(schema, WIDEN, Options(defer_indexes=DeferIndexes.ON))
    with run:
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT v FROM t WHERE id = 7") == [(-1,)]


def test_a_lock_wait_that_runs_out_is_tried_again(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 2_000)
    gate = ChunkGate(monkeypatch)
    timeouts = (
        "SELECT SUM_ERROR_RAISED FROM performance_schema.events_errors_summary_global_by_error "
        "WHERE ERROR_NAME = 'ER_LOCK_WAIT_TIMEOUT'"
    )
    before = schema.execute(timeouts)[0][0]
    schema.execute("SET GLOBAL innodb_lock_wait_timeout = 1")
    try:
        with (
            open_connection(schema) as blocker,
            RunInThread(schema, WIDEN, Options(threads=1, repair_differences=False)) as run,
        ):
            run.wait_for_phase(Phase.COPY_ROWS)
            blocker.query("INSERT INTO _t_new (id, v) VALUES (100, 0)")
            gate.open()
            wait_until(lambda: schema.execute(timeouts)[0][0] >= before + 2, "two timeouts")
            blocker.rollback()
            outcome = run.outcome()
    finally:
        schema.execute("SET GLOBAL innodb_lock_wait_timeout = DEFAULT")
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message


def test_a_busy_server_pauses_the_copy_until_it_is_less_busy(schema: Schema) -> None:
    make_numbers(schema, "t", 2_000)
    # A status variable that the test can move: each prepared statement counts.
    options = Options(max_load=(("Prepared_stmt_count", 0),), repair_differences=False)
    busy = schema.server._connect(schema.name)
    try:
        busy.query("PREPARE p FROM 'SELECT 1'")
        with RunInThread(schema, WIDEN, options) as run:
            throttled = run.wait_for_event("throttled")
            assert "Prepared_stmt_count is 1, above its limit of 0" in throttled.message
            assert run.recorder.readings[-1].rows_copied == 0
            busy.query("DEALLOCATE PREPARE p")
            run.wait_for_event("unthrottled")
            assert run.outcome().kind is OutcomeKind.COMPLETED
    finally:
        busy.close()


def test_a_limit_that_cannot_be_read_pauses_the_copy_too(schema: Schema) -> None:
    make_numbers(schema, "t", 2_000)
    options = Options(max_load=(("No_such_variable", 1),))
    with RunInThread(schema, WIDEN, options) as run:
        assert "cannot be read" in run.wait_for_event("throttled").message
        run.stop.set()
        assert run.outcome().kind is OutcomeKind.STOPPED


def test_a_replica_that_is_not_replicating_pauses_the_copy(
    schema: Schema, schema_file_position: Schema
) -> None:
    """The other server replicates nothing from anybody."""
    make_numbers(schema, "t", 2_000)
    replica = schema_file_position.server.root_dsn(schema_file_position.name)
    with RunInThread(schema, WIDEN, Options(replica_dsns=(replica,))) as run:
        assert "is not replicating" in run.wait_for_event("throttled").message
        run.stop.set()
        assert run.outcome().kind is OutcomeKind.STOPPED


def test_keys_and_statements_of_any_length_are_sent_in_pieces(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server takes packets of a megabyte only; the keys of one batch would need four."""
    schema.execute("CREATE TABLE t (k VARBINARY(2000) PRIMARY KEY, v INT NOT NULL)")
    make_numbers(schema, "n", 2_000)
    schema.execute("INSERT INTO t SELECT CONCAT(REPEAT('x', 1990), id), id FROM n")
    schema.execute("SET GLOBAL max_allowed_packet = 1048576")
    try:
        gate = ChunkGate(monkeypatch, chunks=2)
        with RunInThread(schema, WIDEN, Options(threads=1, repair_differences=False)) as run:
            run.wait_for_phase(Phase.COPY_ROWS)
            assert gate.held.wait(30)
            schema.execute("UPDATE t SET v = -v")
            gate.open()
            outcome = run.outcome()
    finally:
        schema.execute("SET GLOBAL max_allowed_packet = DEFAULT")
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT COUNT(*), SUM(v < 0) FROM t") == [(2_000, 2_000)]


def test_a_comment_of_a_hundred_kilobytes_is_kept_with_the_statement(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 2_000)
    statement = f"{WIDEN} /* {'long ' * 20_000} */"
    gate = ChunkGate(monkeypatch, chunks=1)
    with RunInThread(schema, statement, Options(threads=1)) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        run.stop.set()
        assert run.outcome().kind is OutcomeKind.STOPPED
    monkeypatch.undo()
    assert len(schema.execute("SELECT MAX(statement) FROM _t_chkpnt")[0][0]) > 100_000
    outcome, recorder = migrate(schema, statement)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "resumed" in recorder.kinds()
