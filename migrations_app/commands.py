"""What a person can order, whoever asks: the pages, the command line, an API.

Every order is a function ``(actor, request, …)`` that checks permission and state, writes what it
decided, and raises OrderRefused with a sentence for people otherwise. ``available_orders`` says
beforehand which are allowed, and why the others are not (``offers`` has the rules).

Orders to a run are rows: they are kept while no worker lives, and obeyed when one does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone

from migrations_app import lifecycle, offers, queue
from migrations_app.crypto import SecretUnavailableError
from migrations_app.engine import (
    MAX_VOLUME,
    MIN_VOLUME,
    EngineError,
    RefusedError,
    clean_up,
    inspect_table,
    parse_change,
)
from migrations_app.lifecycle import LifecycleError
from migrations_app.models import (
    Approval,
    Command,
    CommandKind,
    DesiredState,
    MigrationRequest,
    State,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User


# What is offered is part of what can be ordered: pages ask here for both.
Offer = offers.Offer
ORDERS = offers.ORDERS
available_orders = offers.available_orders


class OrderRefused(Exception):
    """The order was not accepted and nothing was changed; str() says why, for people."""


@dataclasses.dataclass(frozen=True, slots=True)
class Arguments:
    """What comes with an order. comment: a reason or remark; volume: for ``set_volume``;
    version: the request's as the person saw it, when the order is to count for nothing else."""

    comment: str = ""
    volume: int | None = None
    version: int | None = None


def give(kind: str, actor: User, request: MigrationRequest, arguments: Arguments) -> None:
    """Give any order of ``ORDERS``: the one way in for pages, command line and API.

    Raises OrderRefused, with nothing changed; KeyError for an order there is not.
    """
    order = _GIVE[kind]
    if arguments.version is not None and arguments.version != request.version:
        raise OrderRefused(_changed_meanwhile(request))
    order(actor, request, arguments)


def draft(actor: User, request: MigrationRequest) -> None:
    """Store a new request, which is not saved yet, as a draft of the actor's."""
    if not lifecycle.may(actor, lifecycle.SUBMIT):
        raise OrderRefused("Only requesters may write requests, and you are not one.")
    request.requester = actor
    read_statement(request)
    request.save()


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
        "submit",
        f"Submitted for approval: {request.table} on {request.target}.",
        actor,
        submitted_at=timezone.now(),
        schema_name=request.schema_name,
        table_name=request.table_name,
    )


def read_statement(request: MigrationRequest) -> None:
    """Fill in schema and table from the statement. Raises OrderRefused when it cannot be read."""
    try:
        change = parse_change(request.statement, request.target.database)
    except RefusedError as error:
        raise OrderRefused(str(error)) from None
    request.schema_name, request.table_name = change.schema, change.tables[:1000]


def edit(actor: User, request: MigrationRequest) -> None:
    """Save a changed statement or options. Approvals given for the old ones no longer count."""
    if request.state not in (State.DRAFT, State.SUBMITTED, State.APPROVED):
        raise OrderRefused(
            f"Request #{request.pk} is “{State(request.state).label}”: its statement and options "
            f"can only be changed before it is started."
        )
    if request.requester_id != actor.pk or not lifecycle.may(actor, lifecycle.SUBMIT):
        raise OrderRefused("Only its requester may change a request.")
    read_statement(request)
    with transaction.atomic():
        request.save()
        voided = request.approvals.filter(voided_at=None).update(voided_at=timezone.now())
        if request.state != State.DRAFT:
            words = "Changed by its requester: it must be submitted and approved again."
            _move(request, "edit", words, actor, {"approvals_voided": voided})


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
            "approve",
            f"Approved by {actor.get_username()}.",
            actor,
            {"comment": comment},
            approved_at=timezone.now(),
        )


def reject(actor: User, request: MigrationRequest, reason: str) -> None:
    """End the request before it runs, with a reason its requester can act on."""
    _require("reject", request, actor)
    if not reason.strip():
        raise OrderRefused("Say why it is rejected, so that its requester can act on it.")
    words = f"Rejected by {actor.get_username()}: {reason.strip()}"
    _move(request, "reject", words, actor, ended_at=timezone.now())


# -- to a run


def start(actor: User, request: MigrationRequest) -> Command:
    """Queue it: the next free worker takes it up, and resumes if there is a checkpoint."""
    return _queue(CommandKind.START, actor, request, fresh=False)


def retry(actor: User, request: MigrationRequest) -> Command:
    """Queue it again after a failure, with a new count of attempts."""
    return _queue(CommandKind.RETRY, actor, request, fresh=False)


def start_afresh(actor: User, request: MigrationRequest) -> Command:
    """Queue it, and let the run drop an existing checkpoint and shadow table first."""
    return _queue(CommandKind.START_AFRESH, actor, request, fresh=True)


def stop(actor: User, request: MigrationRequest) -> Command:
    """Let the run write a checkpoint and end; one that is only queued is held at once."""
    _require("stop", request, actor)
    with transaction.atomic():
        if request.state in offers.NOT_RUNNING:
            _move(
                request,
                "stopped",
                "Stopped before a worker took it up.",
                actor,
                desired_state=DesiredState.STOP,
                next_attempt_at=None,
            )
            return _obeyed(CommandKind.STOP, request, actor, "Stopped; no run was under way.")
        _move(
            request,
            "stopping",
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
        if request.state in offers.RUNNING:
            _move(
                request,
                "stopping",
                f"{who} cancelled it: the run ends, and its tables are dropped.",
                actor,
                desired_state=DesiredState.CANCEL,
            )
            return _write(CommandKind.CANCEL, request, actor)
        if request.state == State.STOPPING:
            MigrationRequest.objects.filter(pk=request.pk).update(desired_state=DesiredState.CANCEL)
            words = f"{who} cancelled it while it was stopping."
            lifecycle.record(request, "cancel_ordered", words, actor=actor)
            return _write(CommandKind.CANCEL, request, actor)
    if request.state in offers.NOT_RUNNING:
        # So that no worker takes it up while its tables are being dropped.
        _move(
            request, "stopped", f"{who} is cancelling it.", actor, desired_state=DesiredState.STOP
        )
    dropped = _drop_what_is_left(request)
    with transaction.atomic():
        _move(
            request,
            "cancel",
            f"Cancelled by {who}. {_dropped_words(dropped)}",
            actor,
            {"dropped": dropped},
            desired_state=DesiredState.CANCEL,
            next_attempt_at=None,
            ended_at=timezone.now(),
        )
        return _obeyed(CommandKind.CANCEL, request, actor, _dropped_words(dropped))


def _drop_what_is_left(request: MigrationRequest) -> list[str]:
    """Drop what earlier runs left on the target; returns the names of the tables.

    Without a run there is nothing to drop, and no server is needed.
    """
    if not request.runs.exists():
        return []
    try:
        return clean_up(request.target.dsn(), request.statement)
    except (EngineError, SecretUnavailableError) as error:
        raise OrderRefused(
            f"Not cancelled, since what was copied could not be dropped: {error} Try again."
        ) from None


def _dropped_words(dropped: list[str]) -> str:
    return f"Dropped: {', '.join(dropped)}." if dropped else "There was nothing to drop."


# -- what they have in common


def _queue(kind: CommandKind, actor: User, request: MigrationRequest, *, fresh: bool) -> Command:
    _require(kind.value, request, actor)
    with transaction.atomic():
        _move(
            request,
            "queue",
            f"Queued by {actor.get_username()}.",
            actor,
            {"order": kind.value, "fresh": fresh},
            desired_state=DesiredState.RUN,
            fresh_wanted=fresh,
            failed_attempts=0,
            next_attempt_at=None,
            ended_at=None,
        )
        command = _obeyed(kind, request, actor, "Queued for the next free worker.")
        queue.enqueue(request)
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
    command.settle(answer)
    return command


def _move(
    request: MigrationRequest,
    name: str,
    message: str,
    actor: User,
    data: dict[str, Any] | None = None,
    **changes: Any,
) -> None:
    """A move whose permission was checked already, by ``_require``."""
    try:
        lifecycle.move(request, name, message, actor=actor, data=data, changes=changes)
    except LifecycleError as error:
        raise OrderRefused(str(error)) from None


def _require(kind: str, request: MigrationRequest, actor: User) -> None:
    reason = offers.why_not(offers.ORDERS[kind], request, actor)
    if reason:
        raise OrderRefused(reason)


def _volume_of(arguments: Arguments) -> int:
    if arguments.volume is None:
        raise OrderRefused(f"Say which volume, from {MIN_VOLUME} to {MAX_VOLUME}.")
    return arguments.volume


_GIVE: dict[str, Callable[[User, MigrationRequest, Arguments], object]] = {
    "submit": lambda actor, request, _: submit(actor, request),
    "approve": lambda actor, request, said: approve(actor, request, said.comment),
    "reject": lambda actor, request, said: reject(actor, request, said.comment),
    "start": lambda actor, request, _: start(actor, request),
    "stop": lambda actor, request, _: stop(actor, request),
    "set_volume": lambda actor, request, said: set_volume(actor, request, _volume_of(said)),
    "cut_over": lambda actor, request, _: cut_over(actor, request),
    "retry": lambda actor, request, _: retry(actor, request),
    "start_afresh": lambda actor, request, _: start_afresh(actor, request),
    "cancel": lambda actor, request, _: cancel(actor, request),
}


def _changed_meanwhile(request: MigrationRequest) -> str:
    return f"Somebody else changed request #{request.pk} at the same moment. Look again."
