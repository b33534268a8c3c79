"""A checkpoint whose binary log was purged while the request was stopped; and changes of volume."""

from __future__ import annotations

import itertools

import pytest

from migrations_app import commands
from migrations_app.models import CommandResult, MigrationRequest, Run, State, Target
from tests.app.support import wait_for
from tests.app.worker_support import (
    Workers,
    assert_swapped,
    current,
    kinds,
    make_orders,
    operator,
    start_request,
    wait_for_copy,
    wait_for_state,
)
from tests.conftest import Schema

ROWS = 200_000


@pytest.fixture
def stopped(
    workers: Workers, any_scheme: Schema, request: pytest.FixtureRequest
) -> MigrationRequest:
    """A request that was stopped in mid-copy, whose binary log is gone; its worker lives."""
    make_orders(any_scheme, ROWS)
    row = start_request(any_scheme, strict=getattr(request, "param", False))
    workers.start()
    wait_for_copy(row)
    commands.stop(operator(), current(row))
    wait_for_state(row, State.STOPPED)
    any_scheme.execute("FLUSH BINARY LOGS")
    newest = any_scheme.execute("SHOW BINARY LOGS")[-1][0]
    any_scheme.execute(f"PURGE BINARY LOGS TO '{newest}'")
    return row


def test_a_purged_log_lets_the_copy_begin_again_and_says_what_was_lost(
    stopped: MigrationRequest, any_scheme: Schema
) -> None:
    saved = stopped.latest_checkpoint
    assert saved is not None
    assert saved.rows_copied > 0
    commands.start(operator(), stopped)
    wait_for_state(stopped, State.COMPLETED)
    told = [kind for kind in kinds(stopped) if kind in ("resume_failed", "fresh_start")]
    assert told == ["resume_failed", "fresh_start"]
    failed = stopped.events.get(kind="resume_failed")
    fresh = stopped.events.get(kind="fresh_start")
    assert fresh.data["rows_lost"] == saved.rows_copied
    assert fresh.data["old_position"] == saved.position
    assert fresh.data["new_position"]
    assert fresh.data["age_secs"] >= 0
    assert fresh.data["reason"] == failed.data["reason"]
    assert_swapped(any_scheme, ROWS)


@pytest.mark.parametrize("stopped", [True], indirect=True)
def test_strict_keeps_all_and_offers_to_start_afresh(
    stopped: MigrationRequest, any_scheme: Schema
) -> None:
    left = any_scheme.execute("SHOW TABLES")
    commands.start(operator(), stopped)
    wait_for_state(stopped, State.FAILED)
    assert any_scheme.execute("SHOW TABLES") == left
    assert "fresh_start" not in kinds(stopped)
    offers = {offer.kind: offer for offer in commands.available_orders(stopped, operator())}
    assert offers["start_afresh"].is_allowed
    commands.start_afresh(operator(), stopped)
    wait_for_state(stopped, State.COMPLETED)
    assert_swapped(any_scheme, ROWS)


def test_volume_3_8_2_during_a_copy_is_three_runs_and_nobody_saw_it_rest(
    workers: Workers, schema: Schema
) -> None:
    make_orders(schema, 500_000)
    request = start_request(schema, volume=3)
    # The copy is paused before it can end; each run writes a checkpoint soon after its beginning.
    workers.start()
    wait_for_copy(request)
    Target.objects.update(max_threads_running=0)
    seen: set[str] = set()
    for volume in (8, 2):
        order = commands.set_volume(operator(), current(request), volume)

        def changed(wanted: int = volume) -> bool:
            seen.add(current(request).state)
            return request.running_volume == wanted

        wait_for(f"volume {volume}", changed, 60)
        order.refresh_from_db()
        assert order.result == CommandResult.DONE
        wait_for("its threads", lambda: request.runs.first().threads)  # type: ignore[union-attr]
    assert seen == {State.RUNNING}
    Target.objects.update(max_threads_running=None)
    # The running run reads its target's limits when it begins: this one goes on as the fourth.
    commands.set_volume(operator(), current(request), 3)
    wait_for_state(request, State.COMPLETED)
    runs = list(request.runs.order_by("number"))
    assert [run.volume for run in runs] == [3, 8, 2, 3]
    assert threads_of(8, runs) > threads_of(2, runs)
    for earlier, later in itertools.pairwise(runs):
        # What the checkpoint held was not copied again.
        assert later.resumed_from is not None
        assert later.resumed_from.rows_copied == earlier.rows_at_end == later.rows_at_start
    assert_swapped(schema, 500_000)


def threads_of(volume: int, runs: list[Run]) -> int:
    return next(run.threads or 0 for run in runs if run.volume == volume)
