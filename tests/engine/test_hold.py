"""Taking back the order to swap: before the attempts, between them, and under the lock."""

from __future__ import annotations

from migrations_app.engine import Options, OutcomeKind, Phase
from tests.conftest import Schema
from tests.engine.support import Recorder, RunInThread, make_numbers, wait_until
from tests.engine.test_rules import open_connection

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


def column_type(schema: Schema) -> str:
    return str(schema.execute("SHOW COLUMNS FROM t LIKE 'v'")[0][1])


def test_an_order_taken_back_between_two_attempts_leaves_the_tables_until_the_next(
    schema: Schema,
) -> None:
    make_numbers(schema, "t", 1_000)
    with (
        open_connection(schema) as other,
        RunInThread(schema, WIDEN, Options(defer_cutover=True)) as run,
    ):
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        other.query("UPDATE t SET v = -1 WHERE id = 1")
        run.migration.allow_cut_over()
        blocked = run.wait_for_event("cutover_blocked")
        assert [one["session_id"] for one in blocked.data["blockers"]] == [other.thread_id()]
        assert f"blocked by session {other.thread_id()}" in blocked.message
        run.migration.hold_cut_over()
        run.wait_for_event("cutover_held")
        other.commit()
        wait_until(lambda: run.recorder.phases[-1] is Phase.WAITING_FOR_CUTOVER, "it to wait again")
        assert column_type(schema) == "int"
        schema.execute("UPDATE t SET v = -2 WHERE id = 2")
        schema.execute("DELETE FROM t WHERE id = 3")
        run.migration.allow_cut_over()
        outcome = run.outcome()
        other.query("SELECT 1")
        other.store_result()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert column_type(schema) == "bigint"
    assert schema.execute("SELECT id, v FROM t WHERE id <= 3 ORDER BY id") == [(1, -1), (2, -2)]


def test_an_order_taken_back_under_the_lock_lets_go_of_it(schema: Schema) -> None:
    class HoldsOnce(Recorder):
        asked = 0

        def may_cut_over(self) -> bool:
            self.asked += 1
            if self.asked == 1:
                run.migration.hold_cut_over()
                return False
            return True

    make_numbers(schema, "t", 1_000)
    observer = HoldsOnce()
    run = RunInThread(schema, WIDEN, recorder=observer)
    with run:
        run.wait_for_event("cutover_held")
        assert column_type(schema) == "int"
        # Nobody is kept waiting.
        schema.execute("UPDATE t SET v = -5 WHERE id = 5")
        assert schema.execute("SELECT cutover_intent FROM _t_chkpnt ORDER BY id DESC LIMIT 1")
        run.migration.allow_cut_over()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert observer.asked == 2
    assert schema.execute("SELECT v FROM t WHERE id = 5") == [(-5,)]
    assert column_type(schema) == "bigint"


def test_a_run_that_is_held_while_it_copies_waits_although_it_was_not_deferred(
    schema: Schema,
) -> None:
    make_numbers(schema, "t", 1_000)
    run = RunInThread(schema, WIDEN)
    run.migration.hold_cut_over()
    with run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        run.stop.set()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.STOPPED
    assert column_type(schema) == "int"
    with RunInThread(schema, WIDEN) as run:
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED
    assert "resumed" in run.recorder.kinds()
