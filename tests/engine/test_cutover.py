"""The swap when others are in the way, and when the connection is lost around it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from migrations_app.engine import Migration, Options, OutcomeKind, Phase
from migrations_app.engine import phases as engine_phases
from migrations_app.engine.cutover import CutOver
from migrations_app.engine.errors import ServerLostError
from migrations_app.engine.feed import CATCH_UP_SECS, Feed
from tests.conftest import Schema
from tests.engine.support import Recorder, RunInThread, make_numbers, migrate, tables_of, wait_until
from tests.engine.test_rules import open_connection

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


def test_a_short_transaction_in_the_way_is_waited_for_and_not_ended(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000)
    with (
        open_connection(schema) as other,
        RunInThread(schema, WIDEN, Options(defer_cutover=True)) as run,
    ):
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        other.query("UPDATE t SET v = -1 WHERE id = 1")
        run.migration.allow_cut_over()
        blocked = run.wait_for_event("cutover_blocked")
        assert blocked.data["attempt"] == 1
        # The application is not kept waiting between two attempts.
        schema.execute("UPDATE t SET v = -2 WHERE id = 2")
        other.commit()
        outcome = run.outcome()
        other.query("SELECT 1")
        other.store_result()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    done = run.recorder.event("cutover_done")
    assert done.data["attempts"] >= 2
    # The event before rounds its figure to milliseconds.
    assert round(done.data["stall_secs"], 3) >= blocked.data["stall_secs"] > 0
    assert "session_killed" not in run.recorder.kinds()
    assert schema.execute("SELECT v FROM t WHERE id <= 2 ORDER BY id") == [(-1,), (-2,)]


def test_who_has_locked_the_table_on_purpose_is_spared_and_named(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000)
    options = Options(defer_cutover=True, lock_wait_timeout_secs=1)
    with open_connection(schema) as other, RunInThread(schema, WIDEN, options) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        holder = other.thread_id()
        other.query("LOCK TABLES t READ")
        run.migration.allow_cut_over()
        wait_until(
            lambda: any("LOCK TABLES" in event.message for event in run.recorder.events),
            "the holder to be named",
        )
        other.query("UNLOCK TABLES")
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    named = next(e for e in run.recorder.events if "LOCK TABLES" in e.message)
    assert named.data["session_id"] == holder
    assert "session_killed" not in run.recorder.kinds()


@pytest.mark.parametrize(
    "behind_secs, waits",
    [([2.5, 1.2, 0.0], 3), ([1.2, 2.5, 2.5], 2)],
    ids=["comes closer", "never comes closer"],
)
def test_the_table_is_locked_when_the_reader_is_close_or_comes_no_closer(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, behind_secs: list[float], waits: int
) -> None:
    """Whoever holds the lock has to wait for it, and the application for them."""
    make_numbers(schema, "t", 1_000)
    wait_for, attempt = Feed.wait_for, CutOver._attempt
    left = iter(behind_secs)
    waited: list[float] = []
    before_lock: list[float] = []

    def slow(feed: Feed, position: Any, deadline_secs: float = CATCH_UP_SECS) -> None:
        waited.append(next(left, 0.0))
        time.sleep(waited[-1])
        wait_for(feed, position, deadline_secs)

    def watched(cut_over: CutOver, session: Any, lock_wait_secs: int) -> int:
        before_lock.extend(waited)
        return attempt(cut_over, session, lock_wait_secs)

    with RunInThread(schema, WIDEN, Options(defer_cutover=True)) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        monkeypatch.setattr(Feed, "wait_for", slow)
        monkeypatch.setattr(CutOver, "_attempt", watched)
        run.migration.allow_cut_over()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert before_lock == behind_secs[:waits]


def test_an_order_to_hold_is_obeyed_while_the_reader_is_behind(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 1_000)
    wait_for = Feed.wait_for
    with RunInThread(schema, WIDEN, Options(defer_cutover=True)) as run:

        def slow(feed: Feed, position: Any, deadline_secs: float = CATCH_UP_SECS) -> None:
            run.migration.hold_cut_over()
            time.sleep(1.2)
            wait_for(feed, position, deadline_secs)

        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        with monkeypatch.context() as patch:
            patch.setattr(Feed, "wait_for", slow)
            patch.setattr(CutOver, "_attempt", None)
            run.migration.allow_cut_over()
            run.wait_for_event("cutover_held")
        run.migration.allow_cut_over()
        assert run.outcome().kind is OutcomeKind.COMPLETED


@pytest.mark.parametrize("renamed", [True, False], ids=["after", "before"])
def test_a_connection_lost_around_the_rename_leaves_no_doubt(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, renamed: bool
) -> None:
    """It is killed on the server right before or right after the rename; the answer never comes."""
    make_numbers(schema, "t", 1_000)
    rename = CutOver._rename
    killed: list[int] = []

    def losing(cut_over: CutOver, session: Any) -> None:
        if not killed:
            if renamed:
                rename(cut_over, session)
            killed.append(session.id)
            schema.execute(f"KILL {session.id}")
            session.query("DO 1")
        rename(cut_over, session)

    monkeypatch.setattr(CutOver, "_rename", losing)
    outcome, recorder = migrate(schema, WIDEN)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert killed
    assert ("cutover_blocked" in recorder.kinds()) is not renamed
    assert "bigint" in schema.execute("SHOW CREATE TABLE t")[0][1]
    assert schema.execute("SELECT COUNT(*) FROM t") == [(1_000,)]
    assert tables_of(schema) == {"t"}


def test_a_run_that_ended_right_after_the_rename_is_finished_by_the_next(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 1_000)

    def lost(*_: Any) -> str:
        raise ServerLostError("Lost before anything could be tidied up.")

    monkeypatch.setattr(engine_phases, "tidy", lost)
    outcome = Migration(schema.dsn, WIDEN, Options(reconnect_secs=0), Recorder()).run()
    assert outcome.kind is OutcomeKind.COMPLETED
    assert "still there: Lost before anything could be tidied up" in outcome.message
    assert tables_of(schema) == {"t", "_t_old", "_t_chkpnt"}
    schema.execute("INSERT INTO t VALUES (5000000000, 5000000000)")
    monkeypatch.undo()
    outcome, recorder = migrate(schema, WIDEN)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "started" not in recorder.kinds()
    assert tables_of(schema) == {"t"}
    assert schema.execute("SELECT COUNT(*) FROM t") == [(1_001,)]
