"""The states of a request, who may move it, and what each move means. The only place that does.

A move is one guarded UPDATE (it compares the state and, for a run, the lease's token) together
with its event, in one database transaction. When two act at once, one wins and the other gets a
ConflictError with a message for people.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, Value
from django.db.models.functions import Now

from migrations_app.engine import Level
from migrations_app.models import Event, MigrationRequest, Run, State
from migrations_app.models.request import LEASED_STATES
from migrations_app.notices import outbox

APP = "migrations_app"
SUBMIT = "submit_migrationrequest"
APPROVE = "approve_migrationrequest"
OPERATE = "operate_migrationrequest"


class LifecycleError(Exception):
    """A move that is not possible; str() says why, to a person."""


class ConflictError(LifecycleError):
    """Somebody or something else moved the request first."""


class NotAllowedError(LifecycleError):
    """The person lacks the permission."""


class LeaseLostError(Exception):
    """The run that asks no longer holds the request's lease: it must write nothing more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """A way between states. permission: "" for moves that only the system makes."""

    sources: frozenset[State]
    target: State
    event: str
    permission: str = ""
    level: Level = Level.INFO


def _from(*states: State) -> frozenset[State]:
    return frozenset(states)


_RESTING = _from(State.APPROVED, State.STOPPED, State.FAILED, State.INTERRUPTED)
_DRIVEN = frozenset(LEASED_STATES)

TRANSITIONS: Mapping[str, Transition] = {
    "submit": Transition(_from(State.DRAFT), State.SUBMITTED, "submitted", SUBMIT),
    "edit": Transition(
        _from(State.DRAFT, State.SUBMITTED, State.APPROVED), State.DRAFT, "edited", SUBMIT
    ),
    "approve": Transition(_from(State.SUBMITTED), State.APPROVED, "approved", APPROVE),
    "reject": Transition(
        _from(State.SUBMITTED, State.APPROVED), State.REJECTED, "rejected", APPROVE
    ),
    "drift": Transition(_from(State.RUNNING), State.DRAFT, "schema_drift", level=Level.WARNING),
    "queue": Transition(_RESTING, State.QUEUED, "queued", OPERATE),
    "requeue": Transition(_from(State.INTERRUPTED), State.QUEUED, "requeued"),
    "begin": Transition(_from(State.QUEUED), State.RUNNING, "taken_up"),
    "copy": Transition(
        _from(State.WAITING_FOR_CUTOVER, State.CUTTING_OVER), State.RUNNING, "running"
    ),
    "wait": Transition(
        _from(State.RUNNING, State.CUTTING_OVER), State.WAITING_FOR_CUTOVER, "waiting_for_cutover"
    ),
    "cut_over": Transition(
        _from(State.RUNNING, State.WAITING_FOR_CUTOVER), State.CUTTING_OVER, "cutting_over"
    ),
    "stopping": Transition(
        _from(State.RUNNING, State.WAITING_FOR_CUTOVER, State.CUTTING_OVER),
        State.STOPPING,
        "stopping",
        OPERATE,
    ),
    # Its tables are dropped by a worker: by its run, or by the supervisor when there is none.
    "cancelling": Transition(
        _DRIVEN | _RESTING | {State.QUEUED}, State.STOPPING, "cancel_ordered", OPERATE
    ),
    "stopped": Transition(_DRIVEN | {State.QUEUED, State.INTERRUPTED}, State.STOPPED, "stopped"),
    "interrupt": Transition(_DRIVEN, State.INTERRUPTED, "interrupted", level=Level.WARNING),
    "lose": Transition(_DRIVEN, State.INTERRUPTED, "runner_lost", level=Level.WARNING),
    "complete": Transition(_DRIVEN, State.COMPLETED, "completed"),
    "fail": Transition(_DRIVEN | {State.INTERRUPTED}, State.FAILED, "failed", level=Level.ERROR),
    "cancel": Transition(
        _RESTING | _from(State.DRAFT, State.SUBMITTED, State.QUEUED),
        State.CANCELLED,
        # An operator's order; before its start, its requester's too: commands.cancel checks it.
        "cancelled",
    ),
    "cancelled": Transition(_DRIVEN, State.CANCELLED, "cancelled"),
}

_LEASE_ENDS = {"lease_owner": "", "lease_expires_at": None}


def in_secs(secs: float) -> ExpressionWrapper[Any]:
    """An instant by the database's clock, which is the same for every worker."""
    return ExpressionWrapper(
        Now() + Value(dt.timedelta(seconds=secs)), output_field=DateTimeField()
    )


def may(user: User, permission: str) -> bool:
    return user.has_perm(f"{APP}.{permission}")


def require(user: User, permission: str, what: str) -> None:
    """Raise NotAllowedError unless the person has the permission."""
    if not may(user, permission):
        raise NotAllowedError(f"You may not {what}: your role does not include it.")


def can(request: MigrationRequest, name: str) -> bool:
    """Whether a move is open from the request's present state."""
    return request.state in TRANSITIONS[name].sources


def move(
    request: MigrationRequest,
    name: str,
    message: str,
    *,
    actor: User | None = None,
    token: int | None = None,
    run: Run | None = None,
    data: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    level: Level | None = None,
) -> None:
    """Move a request, and write down that it happened.

    actor: the person, who must have the move's permission; None for the system. token: of the run
    that moves it; LeaseLostError is raised when it is not the request's any more. changes: other
    fields to set in the same UPDATE. Raises ConflictError when the request is no longer where the
    move begins. The instance is brought up to date.
    """
    transition = TRANSITIONS[name]
    if actor is not None and transition.permission:
        require(actor, transition.permission, name.replace("_", " "))
    with transaction.atomic():
        rows = MigrationRequest.objects.filter(pk=request.pk, state__in=transition.sources)
        if token is not None:
            rows = rows.filter(lease_token=token)
        elif transition.target not in _DRIVEN:
            # Only its run, or who took the lease from it, may bring a driven request to rest: a
            # worker may have taken it up since it was seen waiting.
            rows = rows.filter(lease_expires_at=None)
        moved = rows.update(
            state=transition.target,
            version=F("version") + 1,
            updated_at=Now(),
            message=message,
            **dict(changes or {}),
        )
        if moved != 1:
            _raise_conflict(request, name, token)
        record(
            request,
            transition.event,
            message,
            actor=actor,
            run=run,
            data=data,
            level=level or transition.level,
        )
    request.refresh_from_db()


def _raise_conflict(request: MigrationRequest, name: str, token: int | None) -> None:
    now = MigrationRequest.objects.get(pk=request.pk)
    if token is not None and now.lease_token != token:
        raise LeaseLostError(
            f"Run with token {token} of #{request.pk}: the token is {now.lease_token}"
        )
    raise ConflictError(
        f"Request #{request.pk} is {State(now.state).label.lower()} now, so "
        f"{name.replace('_', ' ')!r} is not possible. Somebody may have acted at the same time: "
        f"look at it again."
    )


def record(
    request: MigrationRequest,
    kind: str,
    message: str,
    *,
    actor: User | None = None,
    run: Run | None = None,
    data: Mapping[str, Any] | None = None,
    level: Level = Level.INFO,
) -> Event:
    """Write an event that moves nothing, and who is to be told of it."""
    with transaction.atomic(savepoint=False):
        event = Event.objects.create(
            request=request,
            run=run,
            kind=kind,
            level=level.value,
            message=message,
            data=dict(data or {}),
            actor=actor,
        )
        outbox.post(event)
    return event


# -- leases


def take_lease(request_id: int, owner: str, secs: float) -> MigrationRequest | None:
    """Become the one run of a queued request, by compare-and-set; None when it is not to be had.

    The returned request's lease_token is the run's from now on.
    """
    free = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
    with transaction.atomic():
        taken = MigrationRequest.objects.filter(
            free, pk=request_id, state=State.QUEUED, desired_state="run"
        ).update(
            state=State.RUNNING,
            version=F("version") + 1,
            lease_owner=owner,
            lease_token=F("lease_token") + 1,
            lease_expires_at=in_secs(secs),
            last_heartbeat_at=Now(),
            updated_at=Now(),
            ended_at=None,
            message="",
            waiting_for="",
        )
        if taken != 1:
            return None
        request = MigrationRequest.objects.select_related("target").get(pk=request_id)
        record(request, "taken_up", f"Taken up by the worker {owner}.")
    return request


def renew_lease(request: MigrationRequest, token: int, secs: float, **changes: Any) -> None:
    """Show that the run lives, and write its reading. Raises LeaseLostError."""
    renewed = MigrationRequest.objects.filter(
        pk=request.pk, lease_token=token, state__in=LEASED_STATES
    ).update(lease_expires_at=in_secs(secs), last_heartbeat_at=Now(), **changes)
    if renewed != 1:
        raise LeaseLostError(f"The lease with token {token} of #{request.pk} is lost.")


def holds_lease(request: MigrationRequest, token: int) -> bool:
    """Whether a token is still the request's, and its lease has not run out."""
    return MigrationRequest.objects.filter(
        pk=request.pk, lease_token=token, state__in=LEASED_STATES, lease_expires_at__gt=Now()
    ).exists()


def expired() -> list[MigrationRequest]:
    """Requests whose run ought to be alive and has not shown it in time."""
    late = Q(lease_expires_at=None) | Q(lease_expires_at__lt=Now())
    return list(
        MigrationRequest.objects.filter(late, state__in=LEASED_STATES).select_related("target")
    )


def ends_lease(**changes: Any) -> dict[str, Any]:
    """Changes for a move that ends a run: nobody holds the request, and an old token is worth
    nothing, even to a run that wakes up later."""
    return {**_LEASE_ENDS, "lease_token": F("lease_token") + 1, "running_volume": None, **changes}
