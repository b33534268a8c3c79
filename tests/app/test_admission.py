"""Who begins next, who waits, and what they are told."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.db.models.functions import Now
from django.utils import timezone

from migrations_app import admission, commands, lifecycle, supervisor
from migrations_app.commands import Arguments, OrderRefused
from migrations_app.models import (
    CommandResult,
    DesiredState,
    MigrationRequest,
    State,
    Target,
)
from tests.app.support import make_request, make_target, put_in_state

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def never_now() -> str:
    """Hours that are closed now and for a day at least."""
    return DAYS[(timezone.now().weekday() + 3) % 7]


def queue(target: Target, requester: User, **fields: Any) -> MigrationRequest:
    request = make_request(target, requester)
    put_in_state(
        request, State.QUEUED, desired_state=DesiredState.RUN, **{"queued_at": Now(), **fields}
    )
    return request


def waiting_for(request: MigrationRequest) -> str:
    request.refresh_from_db()
    return request.waiting_for


def test_first_come_first_served_within_the_limits(requester: User, settings: LazySettings) -> None:
    busy = make_target(name="busy", max_concurrent_runs=1)
    idle = make_target(name="idle", max_concurrent_runs=5)
    first, second = queue(busy, requester), queue(busy, requester)
    third, fourth = queue(idle, requester), queue(idle, requester)
    settings.MAX_CONCURRENT_RUNS = 2
    assert [admission.place(one) for one in (first, second, third, fourth)] == [1, 2, 3, 4]
    admitted = [admission.admit("worker", 30) for _ in range(3)]
    assert [one and one.pk for one in admitted] == [first.pk, third.pk, None]
    assert "busy has 1 migration(s) running" in waiting_for(second)
    assert "limit in total" in waiting_for(fourth)
    assert admission.place(second) == 1
    assert admission.place(first) is None

    put_in_state(first, State.COMPLETED)
    taken = admission.admit("worker", 30)
    assert taken is not None
    assert taken.pk == second.pk


def test_one_begins_after_its_time(target: Target, requester: User) -> None:
    later = queue(target, requester, start_after=timezone.now() + dt.timedelta(hours=1))
    assert admission.admit("worker", 30) is None
    assert "Waiting for its time" in waiting_for(later)
    put_in_state(later, State.QUEUED, start_after=timezone.now() - dt.timedelta(seconds=1))
    assert admission.admit("worker", 30) is not None


def test_hours_of_the_target_and_of_the_request_must_both_be_open(requester: User) -> None:
    never = never_now()
    target = make_target(allowed_hours=never)
    closed = queue(target, requester)
    assert admission.admit("worker", 30) is None
    assert f"allowed hours: {never} (UTC); from 20" in waiting_for(closed)
    Target.objects.update(allowed_hours="")
    put_in_state(closed, State.QUEUED, hours=never)
    assert admission.admit("worker", 30) is None
    put_in_state(closed, State.QUEUED, hours="Mon-Sun")
    assert admission.admit("worker", 30) is not None


def test_a_wake_up_is_sent_when_the_wait_is_over(target: Target, requester: User) -> None:
    request = queue(target, requester, start_after=timezone.now() + dt.timedelta(hours=1))
    supervisor.supervise()
    request.refresh_from_db()
    assert request.enqueued_at is None
    put_in_state(request, State.QUEUED, start_after=None)
    supervisor.supervise()
    request.refresh_from_db()
    assert request.enqueued_at is not None


def test_a_schedule_is_kept_and_refused_in_words(draft: MigrationRequest, operator: User) -> None:
    put_in_state(draft, State.APPROVED)
    at = timezone.now() + dt.timedelta(hours=2)
    commands.give("schedule", operator, draft, Arguments(start_after=at, hours="Sat-Sun"))
    assert (draft.start_after, draft.hours) == (at, "Sat-Sun")
    assert draft.events.get(kind="scheduled").actor == operator
    with pytest.raises(OrderRefused, match="not understood"):
        commands.give("schedule", operator, draft, Arguments(hours="at night"))
    put_in_state(draft, State.RUNNING)
    with pytest.raises(OrderRefused, match="this needs it to be"):
        commands.give("schedule", operator, draft, Arguments())


def test_a_cut_over_order_can_be_taken_back(draft: MigrationRequest, operator: User) -> None:
    put_in_state(draft, State.WAITING_FOR_CUTOVER, defer_cutover=True, lease_owner="w")
    commands.cut_over(operator, draft)
    with pytest.raises(OrderRefused, match="ordered already"):
        commands.cut_over(operator, draft)
    commands.hold_cutover(operator, draft)
    order = draft.commands.get(kind="cut_over")
    assert (order.result, order.actor) == (CommandResult.TAKEN_BACK, operator)
    assert draft.cutover_held
    with pytest.raises(OrderRefused, match="held already"):
        commands.hold_cutover(operator, draft)
    commands.cut_over(operator, draft)
    assert not draft.cutover_held


def test_a_run_that_would_swap_by_itself_can_be_held(
    draft: MigrationRequest, operator: User
) -> None:
    put_in_state(draft, State.RUNNING)
    with pytest.raises(OrderRefused, match="by itself"):
        commands.cut_over(operator, draft)
    commands.hold_cutover(operator, draft)
    assert draft.waits_for_order
    assert draft.options().defer_cutover
    commands.cut_over(operator, draft)
    assert not draft.options().defer_cutover


def test_a_worker_cancels_what_has_run(draft: MigrationRequest, operator: User) -> None:
    """Its target cannot be reached: nothing is dropped, nothing is given up."""
    draft.runs.create(number=1, lease_token=1, worker="w", pid=1, volume=3)
    put_in_state(draft, State.STOPPED)
    commands.cancel(operator, draft)
    assert draft.state == State.STOPPING
    with pytest.raises(OrderRefused, match="being cancelled already"):
        commands.cancel(operator, draft)
    supervisor.supervise()
    draft.refresh_from_db()
    assert draft.state == State.FAILED
    order = draft.commands.get(kind="cancel")
    assert order.result == CommandResult.FAILED
    assert "Cancel it again" in draft.message
    assert "runner_lost" not in draft.events.values_list("kind", flat=True)


def test_a_lease_is_for_one_however_many_ask(target: Target, requester: User) -> None:
    request = queue(target, requester)
    taken = admission.admit("one", 30)
    assert taken is not None
    assert admission.admit("two", 30) is None
    assert lifecycle.holds_lease(request, taken.lease_token)
