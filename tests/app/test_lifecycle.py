"""Who may move a request from where, and what one move leaves behind."""

from __future__ import annotations

import pathlib

import pytest
from django.contrib.auth.models import User

from migrations_app import commands, diagram, lifecycle, supervisor
from migrations_app.commands import OrderRefused
from migrations_app.lifecycle import ConflictError, LeaseLostError
from migrations_app.models import (
    LEASED_STATES,
    Approval,
    DesiredState,
    Event,
    MigrationRequest,
    State,
    Target,
)
from migrations_app.models.event import AppendOnlyError
from tests.app.support import make_person, make_request, make_target, put_in_state

DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs/lifecycle.md"

# order -> the role that may give it
ROLES = {
    "approve": "axel", "reject": "axel", "start": "olga", "stop": "olga", "set_volume": "olga",
    "schedule": "olga", "cut_over": "olga", "hold_cutover": "olga", "retry": "olga",
    "start_afresh": "olga", "cancel": "olga",
}  # fmt: skip
_ACTIVE = {"queued", "running", "waiting_for_cutover", "cutting_over", "interrupted"}
ALLOWED_IN = {
    "approve": {"submitted"},
    "reject": {"submitted", "approved"},
    "start": {"approved", "stopped"},
    "stop": _ACTIVE,
    "schedule": {"approved", "queued", "stopped", "interrupted", "failed"},
    "set_volume": set(State.values)
    - {"completed", "rejected", "cancelled", "waiting_for_cutover", "cutting_over"},
    # Of a request that is not deferred: it swaps by itself, and can be kept from it.
    "cut_over": set(),
    "hold_cutover": _ACTIVE | {"stopped", "failed"},
    "retry": {"failed", "interrupted"},
    "start_afresh": {"failed", "stopped"},
    "cancel": set(State.values) - {"completed", "rejected", "cancelled"},
}


@pytest.mark.parametrize("state", State.values)
@pytest.mark.parametrize("kind", ALLOWED_IN)
def test_an_order_is_open_to_its_role_in_its_states_and_to_nobody_else(
    kind: str, state: str, draft: MigrationRequest, requester: User, approver: User, operator: User
) -> None:
    put_in_state(draft, State(state))
    for person in (requester, approver, operator):
        offer = next(o for o in commands.available_orders(draft, person) if o.kind == kind)
        expected = person.username == ROLES[kind] and state in ALLOWED_IN[kind]
        if kind == "cancel" and person == requester:
            expected = state in {"draft", "submitted", "approved"}
        assert offer.is_allowed is expected, (person.username, offer.reason)
        assert bool(offer.reason) is not expected


def test_nobody_approves_their_own_request_not_even_a_superuser(target: Target) -> None:
    root = make_person("root", is_superuser=True)
    request = make_request(target, root)
    put_in_state(request, State.SUBMITTED)
    with pytest.raises(OrderRefused, match="somebody else must approve"):
        commands.approve(root, request)
    assert not Approval.objects.exists()


def test_as_many_approvals_as_the_target_asks_for(requester: User, approver: User) -> None:
    request = make_request(make_target(required_approvals=2), requester)
    put_in_state(request, State.SUBMITTED)
    commands.approve(approver, request, "fine")
    assert request.state == State.SUBMITTED
    with pytest.raises(OrderRefused, match="already"):
        commands.approve(approver, request)
    commands.approve(make_person("anna", "Approvers"), request)
    assert request.state == State.APPROVED


def test_an_edit_voids_approvals_and_returns_the_request_to_a_draft(
    draft: MigrationRequest, requester: User, approver: User
) -> None:
    put_in_state(draft, State.SUBMITTED)
    commands.approve(approver, draft)
    draft.statement = "ALTER TABLE orders DROP COLUMN note"
    commands.edit(requester, draft)
    assert draft.state == State.DRAFT
    assert draft.valid_approvals == 0
    assert Approval.objects.get().voided_at is not None


def test_a_move_and_its_event_are_written_together_or_not_at_all(
    draft: MigrationRequest, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("no room for events")

    monkeypatch.setattr(lifecycle, "record", fail)
    with pytest.raises(RuntimeError):
        lifecycle.move(draft, "submit", "Submitted.", actor=requester)
    draft.refresh_from_db()
    assert draft.state == State.DRAFT


def test_two_people_at_once_get_one_winner_and_one_message(
    draft: MigrationRequest, approver: User
) -> None:
    put_in_state(draft, State.SUBMITTED)
    second = MigrationRequest.objects.get(pk=draft.pk)
    commands.reject(approver, draft, "not now")
    with pytest.raises(OrderRefused, match=r"is rejected now|same moment"):
        commands.approve(approver, second)


def test_the_state_cannot_be_assigned_and_a_stale_save_does_not_bring_it_back(
    draft: MigrationRequest,
) -> None:
    stale = MigrationRequest.objects.get(pk=draft.pk)
    with pytest.raises(AttributeError):
        stale.state = State.APPROVED
    put_in_state(draft, State.RUNNING, lease_token=3)
    stale.title = "better title"
    stale.save()
    draft.refresh_from_db()
    assert (draft.state, draft.lease_token, draft.title) == (State.RUNNING, 3, "better title")


def test_a_lease_is_taken_once_and_an_old_token_is_refused_every_write(
    draft: MigrationRequest,
) -> None:
    put_in_state(draft, State.QUEUED, desired_state=DesiredState.RUN)
    first = lifecycle.take_lease(draft.pk, "one", 30)
    assert first is not None
    assert lifecycle.take_lease(draft.pk, "two", 30) is None
    assert lifecycle.holds_lease(first, first.lease_token)

    MigrationRequest.objects.filter(pk=draft.pk).update(lease_expires_at=lifecycle.in_secs(-1))
    supervisor.supervise()
    draft.refresh_from_db()
    assert draft.state == State.QUEUED
    second = lifecycle.take_lease(draft.pk, "two", 30)
    assert second is not None
    assert second.lease_token > first.lease_token
    with pytest.raises(LeaseLostError):
        lifecycle.renew_lease(first, first.lease_token, 30, rows_copied=7)
    with pytest.raises(LeaseLostError):
        lifecycle.move(first, "complete", "Done.", token=first.lease_token)
    assert not lifecycle.holds_lease(first, first.lease_token)
    draft.refresh_from_db()
    assert (draft.state, draft.rows_copied) == (State.RUNNING, 0)
    assert list(draft.events.order_by("id").values_list("kind", flat=True)) == [
        "taken_up", "runner_lost", "requeued", "taken_up",
    ]  # fmt: skip


@pytest.mark.parametrize("wanted", [DesiredState.STOP, DesiredState.IDLE])
def test_what_a_person_stopped_is_never_started_by_a_machine(
    wanted: DesiredState, draft: MigrationRequest
) -> None:
    for state in (State.STOPPED, State.INTERRUPTED, State.QUEUED):
        put_in_state(draft, state, desired_state=wanted)
        supervisor.supervise()
        draft.refresh_from_db()
        assert draft.state == state
        assert lifecycle.take_lease(draft.pk, "worker", 30) is None


def test_a_stop_that_lost_its_worker_ends_as_stopped(
    draft: MigrationRequest, operator: User
) -> None:
    put_in_state(draft, State.QUEUED, desired_state=DesiredState.RUN)
    lifecycle.take_lease(draft.pk, "worker", 30)
    draft.refresh_from_db()
    commands.stop(operator, draft)
    assert draft.state == State.STOPPING
    MigrationRequest.objects.filter(pk=draft.pk).update(lease_expires_at=lifecycle.in_secs(-1))
    supervisor.supervise()
    draft.refresh_from_db()
    assert draft.state == State.STOPPED
    assert not draft.commands.filter(obeyed_at=None).exists()


def test_a_stop_that_meets_a_worker_stops_its_run_and_not_only_the_request(
    draft: MigrationRequest, operator: User
) -> None:
    put_in_state(draft, State.QUEUED, desired_state=DesiredState.RUN)
    seen_queued = MigrationRequest.objects.get(pk=draft.pk)
    leased = lifecycle.take_lease(draft.pk, "worker", 30)
    assert leased is not None
    with pytest.raises(ConflictError):
        lifecycle.move(seen_queued, "stopped", "Stopped before a worker took it up.")
    commands.stop(operator, seen_queued)
    assert (seen_queued.state, seen_queued.lease_owner) == (State.STOPPING, "worker")
    assert draft.commands.filter(kind="stop", obeyed_at=None).exists()


def test_a_cancel_before_the_start_needs_no_server(
    draft: MigrationRequest, requester: User
) -> None:
    command = commands.cancel(requester, draft)
    assert draft.state == State.CANCELLED
    assert command.answer


def test_a_move_from_elsewhere_is_refused_in_words(draft: MigrationRequest) -> None:
    with pytest.raises(ConflictError, match="is draft now"):
        lifecycle.move(draft, "complete", "Done.")
    assert draft.state not in LEASED_STATES


def test_events_can_be_added_and_nothing_else(draft: MigrationRequest) -> None:
    event = lifecycle.record(draft, "note", "It happened.")
    with pytest.raises(AppendOnlyError):
        event.save()
    with pytest.raises(AppendOnlyError):
        event.delete()
    with pytest.raises(AppendOnlyError):
        Event.objects.all().delete()
    with pytest.raises(AppendOnlyError):
        Event.objects.update(message="It did not.")


def test_the_diagram_in_the_docs_is_the_lifecycle() -> None:
    assert DOCUMENT.read_text() == diagram.as_markdown(), "run manage.py lifecycle_diagram"
