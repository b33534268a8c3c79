"""Runs killed at a chosen moment, workers that freeze: each request comes to its right end, once.

A script that stands in for manage.py ends its own process with SIGKILL at one place of the engine,
the first time it gets there; another process takes over as after any other crash.
"""

from __future__ import annotations

import datetime as dt
import os
import pathlib
import signal

import pytest
from django.utils import timezone

from migrations_app import commands, queue
from migrations_app.models import MigrationRequest, Run, State
from tests.app.support import wait_for
from tests.app.worker_support import (
    CHECKOUT,
    Workers,
    assert_swapped,
    current,
    kinds,
    make_orders,
    operator,
    processes_of,
    start_request,
    wait_for_copy,
    wait_for_state,
)
from tests.conftest import Schema
from tests.engine.test_rules import open_connection

ROWS = 3_000
SOON = {"LEASE_SECS": "3", "SUPERVISE_EVERY_SECS": "1"}
KILLING = f"""
import functools, importlib, os, signal, sys
sys.path.insert(0, {str(CHECKOUT)!r})
MODULE, NAME, WHEN = os.environ["KILL_AT"].split(":")
module = importlib.import_module("migrations_app.engine." + MODULE)
owner, _, name = NAME.rpartition(".")
place = getattr(module, owner) if owner else module
whole = getattr(place, name)

def die_once():
    try:
        os.close(os.open(os.environ["KILLED_MARK"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)

@functools.wraps(whole)
def wrapper(*arguments, **named):
    if WHEN == "before":
        die_once()
    result = whole(*arguments, **named)
    if WHEN == "after":
        die_once()
    return result

setattr(place, name, wrapper)
from manage import main
main()
"""

PLACES = {
    "setup": "begin:Beginning.afresh:before",
    "shadow made": "begin:Beginning.afresh:after",
    "copied": "tablerun:TableRun.copy_rows:after",
    "indexes to build": "tablerun:TableRun.restore_indexes:before",
    "indexes built": "tablerun:TableRun.restore_indexes:after",
    "to verify": "tablerun:TableRun.verify:before",
    "verified": "tablerun:TableRun.verify:after",
    "before the rename": "cutover:CutOver._rename:before",
    "after the rename": "cutover:CutOver._rename:after",
    "to tidy up": "phases:Phases._tidy:before",
    "tidied up": "phases:Phases._tidy:after",
    "not yet told": "migration:Migration._ended:before",
}


def start_killing(workers: Workers, place: str) -> pathlib.Path:
    """A worker whose run kills itself there; returns the file that appears when it has."""
    script = workers.folder / "killing.py"
    script.write_text(KILLING)
    mark = workers.folder / "killed"
    workers.start(script, KILL_AT=place, KILLED_MARK=str(mark), **SOON)
    return mark


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_run_killed_anywhere_is_brought_to_its_right_end_once(
    place: str, workers: Workers, schema: Schema
) -> None:
    make_orders(schema, ROWS)
    request = start_request(schema, defer_indexes="on")
    mark = start_killing(workers, place)
    wait_for_state(request, State.COMPLETED)
    assert mark.exists(), "the run was not killed"
    assert kinds(request).count("completed") == 1
    assert kinds(request).count("runner_lost") == 1
    assert request.runs.filter(outcome=Run.LOST).count() == 1
    assert_swapped(schema, ROWS)


def test_a_change_made_at_once_before_the_kill_is_not_made_again(
    workers: Workers, schema: Schema
) -> None:
    make_orders(schema, ROWS)
    request = start_request(schema, statement="ALTER TABLE orders ADD COLUMN note VARCHAR(40)")
    mark = start_killing(workers, "begin:Beginning.afresh:after")
    wait_for_state(request, State.COMPLETED)
    assert mark.exists()
    assert "the table is as asked for" in current(request).message
    assert_swapped(schema, ROWS)


def test_a_worker_frozen_past_its_lease_writes_nothing_when_it_thaws(
    workers: Workers, schema: Schema
) -> None:
    """It freezes while it waits for the cut-over order; another takes over, waits, and swaps."""
    make_orders(schema, ROWS)
    request = start_request(schema, defer_cutover=True)
    workers.start(**SOON)
    wait_for_state(request, State.WAITING_FOR_CUTOVER)
    frozen = processes_of(workers.folder)
    zombie = request.runs.get()
    assert zombie.pid in frozen
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        workers.start(**SOON)
        wait_for("a second run", lambda: request.runs.count() == 2)
        wait_for_state(request, State.WAITING_FOR_CUTOVER)
        written = request.runs.get(pk=zombie.pk)
        assert written.outcome == Run.LOST
        commands.cut_over(operator(), current(request))
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    wait_for_state(request, State.COMPLETED)
    wait_for("the zombie's run to end", lambda: zombie.pid not in processes_of(workers.folder))
    after = request.runs.get(pk=zombie.pk)
    assert (after.outcome, after.ended_at, after.message) == (
        Run.LOST,
        written.ended_at,
        written.message,
    )
    lost_at = request.events.get(kind="runner_lost").pk
    assert not request.events.filter(run=zombie, pk__gt=lost_at).exists()
    assert kinds(request).count("completed") == 1
    assert kinds(request).count("cutover_done") == 1
    assert_swapped(schema, ROWS)


def test_a_request_delivered_twice_has_one_run(workers: Workers, schema: Schema) -> None:
    make_orders(schema, ROWS)
    request = start_request(schema, defer_cutover=True)
    for _ in range(2):
        workers.start()
    for _ in range(3):
        queue.enqueue(current(request))
    wait_for_state(request, State.WAITING_FOR_CUTOVER)
    assert request.runs.count() == 1
    commands.cut_over(operator(), current(request))
    wait_for_state(request, State.COMPLETED)
    assert request.runs.count() == 1
    assert_swapped(schema, ROWS)


def test_an_order_given_while_no_worker_lives_is_obeyed_later(
    workers: Workers, schema: Schema
) -> None:
    make_orders(schema, ROWS)
    request = start_request(schema, defer_cutover=True)
    first = workers.start()
    wait_for_state(request, State.WAITING_FOR_CUTOVER)
    first.terminate()
    first.wait(30)
    assert current(request).state == State.INTERRUPTED
    order = commands.cut_over(operator(), request)
    assert order.is_open
    workers.start()
    wait_for_state(request, State.COMPLETED)
    order.refresh_from_db()
    assert (order.result, order.answer) == ("done", "The tables are swapped.")
    assert_swapped(schema, ROWS)


def test_a_cut_over_that_is_blocked_says_by_whom_and_can_be_taken_back(
    workers: Workers, schema: Schema
) -> None:
    make_orders(schema, ROWS)
    request = start_request(schema, defer_cutover=True)
    workers.start()
    wait_for_state(request, State.WAITING_FOR_CUTOVER)
    with open_connection(schema) as other:
        other.query("UPDATE orders SET word = 'mine' WHERE id = 1")
        order = commands.cut_over(operator(), current(request))

        def told() -> bool:
            order.refresh_from_db()
            return f"blocked by session {other.thread_id()}" in order.answer

        wait_for("the order to name who is in the way", told)
        assert order.result == "trying"
        hold = commands.hold_cutover(operator(), current(request))
        wait_for_state(request, State.WAITING_FOR_CUTOVER)
        other.commit()
    hold.refresh_from_db()
    order.refresh_from_db()
    assert (hold.result, order.result) == ("done", "taken_back")
    commands.cut_over(operator(), current(request))
    wait_for_state(request, State.COMPLETED)
    assert schema.execute("SELECT word FROM orders WHERE id = 1") == [("mine",)]
    assert_swapped(schema, ROWS)


def test_a_table_that_was_changed_since_its_approval_needs_a_new_look(
    workers: Workers, schema: Schema
) -> None:
    make_orders(schema, ROWS)
    request = start_request(schema)
    schema.execute("ALTER TABLE orders ADD COLUMN sneaked INT")
    workers.start()
    wait_for_state(request, State.DRAFT)
    drift = request.events.get(kind="schema_drift")
    assert "orders has changed" in drift.message
    assert "sneaked" in drift.data["diff"]
    assert not request.approvals.filter(voided_at=None).exists()
    assert not request.runs.exists()
    commands.submit(request.requester, request)
    assert current(request).state == State.SUBMITTED


def test_a_cancelled_copy_is_dropped_by_a_worker(workers: Workers, schema: Schema) -> None:
    make_orders(schema, 200_000)
    request = start_request(schema)
    workers.start()
    wait_for_copy(request)
    commands.stop(operator(), current(request))
    wait_for_state(request, State.STOPPED)
    assert len(schema.execute("SHOW TABLES")) > 1
    order = commands.cancel(operator(), current(request))
    wait_for_state(request, State.CANCELLED)
    order.refresh_from_db()
    assert order.result == "done"
    assert schema.execute("SHOW TABLES") == [("orders",)]


def test_closed_hours_keep_the_tables_and_the_order_until_they_open(
    workers: Workers, schema: Schema
) -> None:
    make_orders(schema, ROWS)
    request = start_request(schema, defer_cutover=True, hours="Mon-Sun")
    workers.start()
    wait_for_state(request, State.WAITING_FOR_CUTOVER)
    rows = MigrationRequest.objects.filter(pk=request.pk)
    in_three_days = (timezone.now() + dt.timedelta(days=3)).strftime("%a")
    rows.update(hours=in_three_days)
    order = commands.cut_over(operator(), current(request))

    def told() -> bool:
        order.refresh_from_db()
        return "Waiting for the allowed hours" in order.answer

    wait_for("the order to say what it waits for", told)
    assert (order.result, current(request).state) == ("pending", State.WAITING_FOR_CUTOVER)
    rows.update(hours="")
    wait_for_state(request, State.COMPLETED)
    order.refresh_from_db()
    assert order.result == "done"
    assert_swapped(schema, ROWS)
