"""What a person can order, whoever asks: the pages, the command line, an API.

Every order is a function ``(actor, request, …)`` that checks permission and state, writes what it
decided, and raises OrderRefused with a sentence for people otherwise. ``available_orders`` says
beforehand which are allowed, and why the others are not.

Orders to a run are rows: they are kept while no worker lives, and obeyed when one does.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.utils import timezone

from migrations_app import lifecycle, wakeup
from migrations_app.crypto import SecretUnavailableError
from migrations_app.engine import (
    MAX_VOLUME,
    MIN_VOLUME,
    RefusedError,
    inspect_table,
    parse_statement,
)
from migrations_app.lifecycle import LostRaceError, Transition
from migrations_app.models import (
    LEASED_STATES,
    Approval,
    Command,
    CommandKind,
    DesiredState,
    MigrationRequest,
    State,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    Person = User | AnonymousUser


class OrderRefused(Exception):
    """The order was not accepted and nothing was changed; str() says why, for people."""


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """One order as it stands for one person. reason: why not, "" when it is allowed."""

    kind: str
    label: str
    help: str
    is_allowed: bool
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Order:
    kind: str
    label: str
    help: str
    permission: str
    states: frozenset[State]


def _order(kind: str, label: str, help_text: str, *ways: Transition) -> _Order:
    states = frozenset[State]().union(*(way.sources for way in ways))
    return _Order(kind, label, help_text, ways[0].permission, states)


_L = lifecycle
ORDERS: dict[str, _Order] = {
    order.kind: order
    for order in (
        _order("submit", "Submit", "Sends the draft to the approvers.", _L.SUBMITTING),
        _order("approve", "Approve", "Allows the change to be started.", _L.APPROVING),
        _order("reject", "Reject", "Ends the request; say why.", _L.REJECTING),
        _order(
            "start",
            "Start",
            "Queues it for the next free worker, which resumes from the checkpoint if there is one.",
            _L.STARTING,
        ),
        _order(
            "stop",
            "Stop",
            "Writes a checkpoint and ends the run; start it again to go on from there.",
            _L.STOPPING,
            _L.HOLDING,
        ),
        _Order(
            "set_volume",
            "Set volume",
            "Changes how hard the copy works, 1 to 11; nothing that was copied is lost.",
            _L.OPERATE,
            frozenset(State) - {State.COMPLETED, State.REJECTED, State.CANCELLED},
        ),
        _Order(
            "cut_over",
            "Cut over",
            "Swaps the tables now. This cannot be undone from here.",
            _L.OPERATE,
            frozenset({State.WAITING_FOR_CUTOVER}),
        ),
        _order("retry", "Retry", "Queues it again, from the checkpoint.", _L.RETRYING),
        _order(
            "start_afresh",
            "Start afresh",
            "Drops the checkpoint and the shadow table, and copies every row again.",
            _L.STARTING_AFRESH,
        ),
        _order(
            "cancel",
            "Cancel",
            "Gives the change up for good and drops the shadow and checkpoint tables.",
            _L.GIVING_UP,
            _L.WITHDRAWING,
        ),
    )
}

_ROLE_WORDS = {
    lifecycle.SUBMIT: "requesters",
    lifecycle.APPROVE: "approvers",
    lifecycle.OPERATE: "operators",
}


def available_orders(request: MigrationRequest, user: Person) -> list[Offer]:
    """Every order for this person, allowed or not, in the order in which they are shown."""
    offers = []
    for order in ORDERS.values():
        reason = _why_not(order, request, user)
        offers.append(Offer(order.kind, order.label, order.help, not reason, reason))
    return offers


# -- before it runs


def submit(actor: User, request: MigrationRequest) -> None:
    """Read the statement, look at the table on the target, and send the draft to the approvers."""
    _require("submit", request, actor)
    read_statement(request)
    try:
        problems = inspect_table(request.target.dsn(), request.statement)
    except SecretUnavailableError as error:
        raise OrderRefused(str(error)) from None
    if problems:
        raise OrderRefused("\n".join(problems))
    _move(
        request,
        lifecycle.SUBMITTING,
        f"Submitted for approval: {request.table} on {request.target}.",
        actor,
        submitted_at=timezone.now(),
        schema_name=request.schema_name,
        table_name=request.table_name,
        message="",
    )


def read_statement(request: MigrationRequest) -> None:
    """Fill in schema and table from the statement. Raises OrderRefused when it cannot be read."""
    try:
        statement = parse_statement(request.statement, request.target.database)
    except RefusedError as error:
        raise OrderRefused(str(error)) from None
    request.schema_name, request.table_name = statement.schema, statement.table


def edit(actor: User, request: MigrationRequest) -> None:
    """Save a changed statement or options. Approvals given for the old ones no longer count."""
    if request.state not in (State.DRAFT, State.SUBMITTED, State.APPROVED):
        raise OrderRefused(
            f"Request #{request.pk} is “{_label(request)}”: its statement and options can only be "
            f"changed before it is started."
        )
    if request.requester_id != actor.pk or not actor.has_perm(lifecycle.SUBMIT):
        raise OrderRefused("Only its requester may change a request.")
    read_statement(request)
    with transaction.atomic():
        request.save()
        voided = request.approvals.filter(voided_at=None).update(voided_at=timezone.now())
        if request.state != State.DRAFT:
            words = "Changed by its requester: it must be submitted and approved again."
            _move(request, lifecycle.RETURNING, words, actor, data={"approvals_voided": voided})


def approve(actor: User, request: MigrationRequest, comment: str = "") -> None:
    """Record one person's consent; with the last one needed the request is approved."""
    _require("approve", request, actor)
    with transaction.atomic():
        # One at a time: two approvers at once must both be counted.
        seen = MigrationRequest.objects.filter(pk=request.pk, version=request.version)
        if not seen.update(version=request.version + 1):
            raise OrderRefused(_changed_meanwhile(request))
        request.refresh_from_db()
        Approval.objects.create(request=request, approver=actor, comment=comment)
        missing = request.approvals_missing
        if missing:
            words = f"Approved by {actor.get_username()}; {missing} more needed."
            lifecycle.record(
                request, "approval_given", words, actor=actor, data={"comment": comment}
            )
            return
        _move(
            request,
            lifecycle.APPROVING,
            f"Approved by {actor.get_username()}.",
            actor,
            data={"comment": comment},
            approved_at=timezone.now(),
        )


def reject(actor: User, request: MigrationRequest, reason: str) -> None:
    """End the request before it runs, with a reason its requester can act on."""
    _require("reject", request, actor)
    if not reason.strip():
        raise OrderRefused("Say why it is rejected, so that its requester can act on it.")
    words = f"Rejected by {actor.get_username()}: {reason.strip()}"
    _move(
        request,
        lifecycle.REJECTING,
        words,
        actor,
        message=reason.strip(),
        desired_state=DesiredState.IDLE,
        ended_at=timezone.now(),
    )


# -- to a run


def start(actor: User, request: MigrationRequest) -> Command:
    """Queue it: the next free worker takes it up, and resumes if there is a checkpoint."""
    return _queue(CommandKind.START, lifecycle.STARTING, actor, request, fresh=False)


def retry(actor: User, request: MigrationRequest) -> Command:
    """Queue it again after a failure, with a new count of attempts."""
    return _queue(CommandKind.RETRY, lifecycle.RETRYING, actor, request, fresh=False)


def start_afresh(actor: User, request: MigrationRequest) -> Command:
    """Queue it, and let the run drop an existing checkpoint and shadow table first."""
    return _queue(CommandKind.START_AFRESH, lifecycle.STARTING_AFRESH, actor, request, fresh=True)


def stop(actor: User, request: MigrationRequest) -> Command:
    """Let the run write a checkpoint and end; one that is only queued is held at once."""
    _require("stop", request, actor)
    with transaction.atomic():
        if request.state in lifecycle.HOLDING.sources:
            _move(
                request,
                lifecycle.HOLDING,
                "Stopped before a worker took it up.",
                actor,
                desired_state=DesiredState.STOP,
                next_attempt_at=None,
            )
            return _obeyed(CommandKind.STOP, request, actor, "Stopped; no run was under way.")
        _move(
            request,
            lifecycle.STOPPING,
            f"{actor.get_username()} ordered it to stop.",
            actor,
            desired_state=DesiredState.STOP,
        )
        return _write(CommandKind.STOP, request, actor)


def set_volume(actor: User, request: MigrationRequest, volume: int) -> Command:
    """Set the volume, 1 to 11: a run changes to it within seconds; later runs start with it."""
    _require("set_volume", request, actor)
    highest = min(MAX_VOLUME, request.target.max_volume)
    if not MIN_VOLUME <= volume <= highest:
        raise OrderRefused(
            f"The volume must be between {MIN_VOLUME} and {highest} on {request.target}, "
            f"not {volume}."
        )
    with transaction.atomic():
        old = request.volume
        MigrationRequest.objects.filter(pk=request.pk).update(volume=volume)
        lifecycle.record(
            request,
            "volume_ordered",
            f"{actor.get_username()} set the volume from {old} to {volume}.",
            actor=actor,
            data={"old": old, "volume": volume},
        )
        request.refresh_from_db()
        if request.state == State.RUNNING:
            return _write(CommandKind.SET_VOLUME, request, actor, {"volume": volume})
        words = "Kept for the next run."
        return _obeyed(CommandKind.SET_VOLUME, request, actor, words, {"volume": volume})


def cut_over(actor: User, request: MigrationRequest) -> Command:
    """Let a run that waits for it swap the tables."""
    _require("cut_over", request, actor)
    with transaction.atomic():
        words = f"{actor.get_username()} ordered the cut-over."
        lifecycle.record(request, "cutover_ordered", words, actor=actor)
        return _write(CommandKind.CUT_OVER, request, actor)


def cancel(actor: User, request: MigrationRequest) -> Command:
    """Give the request up for good; what it left on the target is dropped by a worker."""
    _require("cancel", request, actor)
    who = actor.get_username()
    with transaction.atomic():
        if request.state in lifecycle.WITHDRAWING.sources:
            _move(
                request,
                lifecycle.WITHDRAWING,
                f"Cancelled by {who} before it was started.",
                actor,
                desired_state=DesiredState.CANCEL,
                ended_at=timezone.now(),
            )
            return _obeyed(CommandKind.CANCEL, request, actor, "Cancelled; nothing was begun.")
        _move(
            request,
            lifecycle.GIVING_UP,
            f"{who} cancelled it: the run ends, and its tables are dropped.",
            actor,
            desired_state=DesiredState.CANCEL,
            next_attempt_at=None,
        )
        command = _write(CommandKind.CANCEL, request, actor)
        if request.lease_expires_at is None:
            wakeup.finish_cancel(request.pk)
        return command


# -- what they have in common


def _queue(
    kind: CommandKind, way: Transition, actor: User, request: MigrationRequest, *, fresh: bool
) -> Command:
    _require(kind.value, request, actor)
    with transaction.atomic():
        _move(
            request,
            way,
            f"Queued by {actor.get_username()}.",
            actor,
            data={"order": kind.value, "fresh": fresh},
            desired_state=DesiredState.RUN,
            fresh_wanted=fresh,
            failed_attempts=0,
            next_attempt_at=None,
            enqueued_at=timezone.now(),
            message="",
            ended_at=None,
        )
        command = _obeyed(kind, request, actor, "Queued for the next free worker.")
        wakeup.run(request.pk)
    return command


def _write(
    kind: CommandKind,
    request: MigrationRequest,
    actor: User,
    argument: dict[str, Any] | None = None,
) -> Command:
    return Command.objects.create(request=request, kind=kind, actor=actor, argument=argument or {})


def _obeyed(
    kind: CommandKind,
    request: MigrationRequest,
    actor: User,
    answer: str,
    argument: dict[str, Any] | None = None,
) -> Command:
    command = _write(kind, request, actor, argument)
    command.answered(answer)
    return command


def _move(
    request: MigrationRequest, way: Transition, message: str, actor: User, **columns: Any
) -> None:
    try:
        lifecycle.move(request, way, message, actor=actor, **columns)
    except LostRaceError as error:
        raise OrderRefused(str(error)) from None


def _require(kind: str, request: MigrationRequest, actor: Person) -> None:
    reason = _why_not(ORDERS[kind], request, actor)
    if reason:
        raise OrderRefused(reason)


def _why_not(order: _Order, request: MigrationRequest, user: Person) -> str:
    """Why this person may not give this order now; "" when they may."""
    if not user.is_active or not _has_permission(order, request, user):
        return f"Only {_ROLE_WORDS[order.permission]} may do this, and you are not one."
    if request.state not in order.states:
        return _state_words(order, request)
    mine = request.requester_id == user.pk
    match order.kind:
        case "submit" if not mine:
            return "Only its requester may submit a draft."
        case "approve" if mine:
            return "You asked for this change: somebody else must approve it."
        case "approve" if request.approvals.filter(approver_id=user.pk, voided_at=None).exists():
            return "You have approved it already."
        case "cut_over" if request.commands.filter(kind="cut_over", obeyed_at=None).exists():
            return "The cut-over has been ordered already; the run is about to make it."
        case "cancel" if request.desired_state == DesiredState.CANCEL:
            return "It is being cancelled already."
    return ""


def _has_permission(order: _Order, request: MigrationRequest, user: Person) -> bool:
    if order.kind == "cancel" and request.state in lifecycle.WITHDRAWING.sources:
        mine = request.requester_id == user.pk and user.has_perm(lifecycle.SUBMIT)
        return mine or user.has_perm(lifecycle.OPERATE)
    return user.has_perm(order.permission)


def _state_words(order: _Order, request: MigrationRequest) -> str:
    allowed = [state.label.lower() for state in State if state in order.states]
    if request.is_final:
        return f"The request has ended: it is “{_label(request)}”."
    if order.kind == "stop" and request.state not in LEASED_STATES:
        return f"Nothing is running: the request is “{_label(request)}”."
    return f"It is “{_label(request)}”; this needs it to be {_either(allowed)}."


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _label(request: MigrationRequest) -> str:
    return State(request.state).label


def _changed_meanwhile(request: MigrationRequest) -> str:
    return f"Somebody else changed request #{request.pk} at the same moment. Look again."
