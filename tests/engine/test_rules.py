"""The rules that make a copy right. Each is shown at work in a race made for it, with the
checksum's repair off; and the same race, with the rule taken out, goes wrong."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import MySQLdb
import pytest

from migrations_app.engine import Options, Outcome, OutcomeKind, Phase, parse_change
from migrations_app.engine.checkpoint import CheckpointTable
from migrations_app.engine.copier import Copier
from migrations_app.engine.deltas import DeltaBuffer
from migrations_app.engine.session import Session
from migrations_app.engine.tablekey import TableKey
from migrations_app.engine.visibility import Visibility
from playground.semisync import semi_sync
from tests.conftest import Schema
from tests.engine.stepping import ApplierGate, ChunkGate, DeltaWatch
from tests.engine.support import RunInThread, make_numbers, migrate, rows_of, wait_until

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"
UNAIDED = Options(repair_differences=False)
STALL_MS = 3_000


@contextlib.contextmanager
def open_connection(schema: Schema) -> Iterator[MySQLdb.Connection]:
    dsn = schema.dsn
    connection = MySQLdb.connect(
        host=dsn.host,
        port=dsn.port,
        user=dsn.user,
        password=dsn.password,
        database=schema.name,
        autocommit=False,
    )
    try:
        yield connection
    finally:
        connection.close()


def schema_session(schema: Schema) -> contextlib.closing[Session]:
    return contextlib.closing(Session(schema.dsn, "test", ""))


def copy_while_a_commit_is_stalled(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> tuple[Outcome, int]:
    """Row 1500 is updated above the high watermark; its event comes at once, its commit seconds
    later, and its chunk is read in between. Returns the outcome and the row's value at the end."""
    make_numbers(schema, "t", 2_000)
    gate, watch = ChunkGate(monkeypatch), DeltaWatch(monkeypatch)
    with (
        semi_sync(schema.server, STALL_MS) as commits,
        RunInThread(schema, WIDEN, UNAIDED) as run,
    ):
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(60)
        commits.stall()
        update = "UPDATE t SET v = -1 WHERE id = 1500"
        writer = threading.Thread(target=schema.execute, args=(update,))
        writer.start()
        watch.wait_for_key(1500)
        assert schema.execute("SELECT v FROM t WHERE id = 1500") == [(1500,)], "not stalled"
        gate.open()
        outcome = run.outcome()
        writer.join()
    return outcome, schema.execute("SELECT v FROM t WHERE id = 1500")[0][0]


def test_rule_1_a_row_whose_commit_is_stalled_is_not_lost(
    any_scheme: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome, value = copy_while_a_commit_is_stalled(any_scheme, monkeypatch)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert value == -1


def test_without_rule_1_that_row_is_lost(
    any_scheme: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Visibility, "wait", lambda *_: None)
    outcome, value = copy_while_a_commit_is_stalled(any_scheme, monkeypatch)
    assert outcome.kind is not OutcomeKind.COMPLETED or value == 1500


def delete_a_row_of_a_chunk_in_flight(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """A chunk has begun to read and waits for a lock on row 100 of the shadow table; row 900 of
    the same chunk is deleted meanwhile."""
    make_numbers(schema, "t", 1_000)
    gate, watch = ChunkGate(monkeypatch), DeltaWatch(monkeypatch)
    with open_connection(schema) as blocker, RunInThread(schema, WIDEN, UNAIDED) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        blocker.query("INSERT INTO _t_new (id, v) VALUES (100, 0)")
        gate.open()
        wait_for_lock_wait(schema)
        schema.execute("DELETE FROM t WHERE id = 900")
        watch.wait_for_key(900)
        watch.wait_for_cycles(2)
        blocker.rollback()
        return run.outcome()


def wait_for_lock_wait(schema: Schema) -> None:
    from tests.engine.support import wait_until

    wait_until(
        lambda: schema.execute("SELECT 1 FROM performance_schema.data_lock_waits LIMIT 1"),
        "a session that waits for a row lock",
    )


def test_rule_3_a_delta_of_a_chunk_in_flight_waits(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = delete_a_row_of_a_chunk_in_flight(schema, monkeypatch)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT COUNT(*) FROM t WHERE id = 900") == [(0,)]


def test_without_rule_3_a_deleted_row_comes_back(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeltaBuffer, "_applicable", lambda _buffer, deltas: dict(deltas))
    outcome = delete_a_row_of_a_chunk_in_flight(schema, monkeypatch)
    assert outcome.kind is OutcomeKind.FAILED
    assert "id=900" in outcome.message


def hand_a_unique_value_on(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """Row 9 was copied with u=9; it gives that value to row 1500, which is above the high
    watermark and is copied while row 9's delta still waits."""
    make_numbers(schema, "t", 2_000, "u INT NOT NULL, v INT NOT NULL DEFAULT 0, UNIQUE KEY (u)")
    gate, watch = ChunkGate(monkeypatch, chunks=1), DeltaWatch(monkeypatch)
    applier = ApplierGate(monkeypatch)
    options = Options(repair_differences=False, threads=1)
    with RunInThread(schema, WIDEN, options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(60)
        schema.execute("UPDATE t SET u = -9 WHERE id = 9")
        schema.execute("UPDATE t SET u = 9 WHERE id = 1500")
        watch.wait_for_key(1500)
        gate.open()
        run.wait_for_phase(Phase.APPLY_CHANGESET)
        applier.open()
        return run.outcome()


def test_rule_8_a_row_is_not_left_out_for_a_stale_holder_of_its_unique_value(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = hand_a_unique_value_on(schema, monkeypatch)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT id, u FROM t WHERE id IN (9, 1500) ORDER BY id") == [
        (9, -9),
        (1500, 9),
    ]


def test_without_rule_8_that_row_is_missing(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Copier, "_fetch_skipped", lambda *_: None)
    outcome = hand_a_unique_value_on(schema, monkeypatch)
    assert outcome.kind is OutcomeKind.FAILED
    assert "id=1500" in outcome.message


def change_a_copied_row_with_a_text_key(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    """By its collation a0500 lies before B0000, where the copy has got to; by its bytes, behind."""
    make_numbers(schema, "n", 2_000)
    schema.execute(
        "CREATE TABLE t (id VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci "
        "NOT NULL PRIMARY KEY, v INT NOT NULL)"
    )
    schema.execute(
        "INSERT INTO t SELECT CONCAT(IF(id <= 1000, 'a', 'B'), LPAD(id % 1000, 4, '0')), id FROM n"
    )
    gate, watch = ChunkGate(monkeypatch, chunks=1), DeltaWatch(monkeypatch)
    with RunInThread(schema, WIDEN, Options(repair_differences=False, threads=1)) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(60)
        schema.execute("UPDATE t SET v = -1 WHERE id = 'a0500'")
        schema.execute("DELETE FROM t WHERE id = 'a0501'")
        schema.execute("INSERT INTO t VALUES ('A0501', -2)")
        schema.execute("DELETE FROM t WHERE id = 'b0600'")
        watch.wait_for_key(b"B0600")
        gate.open()
        return run.outcome()


def test_rule_4_keys_that_bytes_do_not_order_are_all_kept(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = change_a_copied_row_with_a_text_key(schema, monkeypatch)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    changed = "SELECT id, v FROM t WHERE id IN ('a0500', 'a0501', 'b0600') ORDER BY id"
    assert schema.execute(changed) == [("a0500", -1), ("A0501", -2)]
    assert schema.execute("SELECT COUNT(*) FROM t") == [(1_999,)]


def test_without_rule_4_such_a_change_is_lost(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TableKey, "comparable", True)
    outcome = change_a_copied_row_with_a_text_key(schema, monkeypatch)
    assert outcome.kind is OutcomeKind.FAILED


def test_rule_7_a_change_of_the_table_by_somebody_else_ends_the_run_and_its_checkpoint(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 3_000)
    gate = ChunkGate(monkeypatch, chunks=1)
    with RunInThread(schema, WIDEN) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(60)
        schema.execute("ALTER TABLE t ADD COLUMN theirs INT")
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.FAILED
    assert "theirs" in outcome.message
    monkeypatch.undo()
    outcome, recorder = migrate(schema, WIDEN)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "fresh_start" in recorder.kinds()
    assert [column[0] for column in schema.execute("SHOW COLUMNS FROM t")] == ["id", "v", "theirs"]


def test_rule_9_a_run_waits_for_what_a_dead_one_has_not_finished(schema: Schema) -> None:
    """A transaction of a dead run is still open on the shadow table when the next run begins."""
    make_numbers(schema, "t", 1_000)
    schema.execute("CREATE TABLE _t_new LIKE t")
    with schema_session(schema) as session:
        CheckpointTable(parse_change(WIDEN, schema.name)).create(session)
    with open_connection(schema) as dead:
        dead.query("INSERT INTO _t_new (id, v) VALUES (1, -1)")
        with RunInThread(schema, WIDEN) as run:
            waiting = (
                "SELECT 1 FROM performance_schema.metadata_locks WHERE LOCK_STATUS = 'PENDING'"
            )
            from tests.engine.support import wait_until

            wait_until(lambda: schema.execute(waiting), "the run to wait for the dead transaction")
            assert Phase.COPY_ROWS not in run.recorder.phases
            dead.commit()
            outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT v FROM t WHERE id = 1") == [(1,)]


def test_rule_9_a_run_whose_lock_is_lost_writes_nothing_more(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 3_000)
    gate = ChunkGate(monkeypatch, chunks=1)
    # Only the fence may notice, not the look once a second.
    monkeypatch.setattr("migrations_app.engine.fence.TableLock.keep_alive", lambda _lock: None)
    with RunInThread(schema, WIDEN, Options(threads=1, reconnect_secs=0)) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(60)
        before = rows_of(schema, "_t_new")
        holders = (
            "SELECT OWNER_THREAD_ID FROM performance_schema.metadata_locks "
            "WHERE OBJECT_TYPE = 'USER LEVEL LOCK' AND OBJECT_NAME LIKE 'spirit:%'"
        )
        [holder] = schema.execute(holders)
        session_id = schema.execute(
            "SELECT PROCESSLIST_ID FROM performance_schema.threads WHERE THREAD_ID = %s", *holder
        )[0][0]
        schema.execute(f"KILL {session_id}")
        wait_until(lambda: not schema.execute(holders), "the end of the lock")
        gate.open()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.TRANSIENT, outcome.message
    assert rows_of(schema, "_t_new") == before
