"""Which orders there are, and which are open to a person: the rules of permission and state.

``commands`` refuses by these same rules, so that what a page offers is what is accepted.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, TypeAlias

from django.contrib.auth.models import AnonymousUser

from migrations_app import lifecycle
from migrations_app.models import LEASED_STATES, DesiredState, MigrationRequest, State

if TYPE_CHECKING:
    from django.contrib.auth.models import User

SUBMIT = f"{lifecycle.APP}.{lifecycle.SUBMIT}"
APPROVE = f"{lifecycle.APP}.{lifecycle.APPROVE}"
OPERATE = f"{lifecycle.APP}.{lifecycle.OPERATE}"
VIEW = f"{lifecycle.APP}.view_migrationrequest"
Person: TypeAlias = "User | AnonymousUser"


@dataclasses.dataclass(frozen=True, slots=True)
class Offer:
    """One order as it stands for one person. reason: why not, "" when it is allowed."""

    kind: str
    label: str
    help: str
    is_allowed: bool
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Order:
    """permission: what it takes; states: where a request may be for it."""

    kind: str
    label: str
    help: str
    permission: str
    states: frozenset[State]


RUNNING = frozenset({State.RUNNING, State.WAITING_FOR_CUTOVER, State.CUTTING_OVER})
NOT_RUNNING = frozenset({State.QUEUED, State.INTERRUPTED})
NOT_BEGUN = frozenset({State.DRAFT, State.SUBMITTED, State.APPROVED})
_ENDED = frozenset({State.COMPLETED, State.REJECTED, State.CANCELLED})
_UNLEASED = NOT_RUNNING | {State.APPROVED, State.STOPPED, State.FAILED}

ORDERS: dict[str, Order] = {
    order.kind: order
    for order in (
        Order(
            "submit",
            "Submit",
            "Sends the draft to the approvers.",
            SUBMIT,
            lifecycle.TRANSITIONS["submit"].sources,
        ),
        Order(
            "approve",
            "Approve",
            "Allows the change to be started.",
            APPROVE,
            lifecycle.TRANSITIONS["approve"].sources,
        ),
        Order(
            "reject",
            "Reject",
            "Ends the request before it runs; say why.",
            APPROVE,
            lifecycle.TRANSITIONS["reject"].sources,
        ),
        Order(
            "schedule",
            "Schedule",
            "Says from when on, and in which hours, it may begin and swap its tables.",
            OPERATE,
            _UNLEASED,
        ),
        Order(
            "start",
            "Start",
            "Queues it for the next free worker, which resumes from a checkpoint if there is one.",
            OPERATE,
            frozenset({State.APPROVED, State.STOPPED}),
        ),
        Order(
            "stop",
            "Stop",
            "Writes a checkpoint and ends the run; start it again to go on from there.",
            OPERATE,
            RUNNING | NOT_RUNNING,
        ),
        Order(
            "set_volume",
            "Set volume",
            "Changes how hard the copy works, 1 to 11; nothing that was copied is lost.",
            OPERATE,
            frozenset(State) - _ENDED - {State.WAITING_FOR_CUTOVER, State.CUTTING_OVER},
        ),
        Order(
            "cut_over",
            "Cut over",
            "Swaps the tables as soon as they are ready. This cannot be undone from here.",
            OPERATE,
            frozenset({State.RUNNING, State.WAITING_FOR_CUTOVER}) | NOT_RUNNING,
        ),
        Order(
            "hold_cutover",
            "Hold the cut-over",
            "Takes the order to cut over back, or keeps the run from swapping by itself.",
            OPERATE,
            RUNNING | NOT_RUNNING | {State.STOPPED, State.FAILED},
        ),
        Order(
            "retry",
            "Retry",
            "Queues it again; it goes on from its checkpoint if there is one.",
            OPERATE,
            frozenset({State.FAILED, State.INTERRUPTED}),
        ),
        Order(
            "start_afresh",
            "Start afresh",
            "Drops the checkpoint and the shadow table, and copies every row again.",
            OPERATE,
            frozenset({State.FAILED, State.STOPPED}),
        ),
        Order(
            "cancel",
            "Cancel",
            "Gives the change up for good and drops the shadow and checkpoint tables.",
            OPERATE,
            frozenset(State) - _ENDED,
        ),
        Order(
            "comment",
            "Comment",
            "Adds a remark to the history.",
            VIEW,
            frozenset(State),
        ),
    )
}

_ROLE_WORDS = {
    SUBMIT: "requesters",
    APPROVE: "approvers",
    OPERATE: "operators",
    VIEW: "people who may see requests",
}


def available_orders(request: MigrationRequest, user: Person) -> list[Offer]:
    """Every order for this person, allowed or not, in the order in which they are shown."""
    offers = []
    for order in ORDERS.values():
        reason = why_not(order, request, user)
        offers.append(Offer(order.kind, order.label, order.help, not reason, reason))
    return offers


def why_not(order: Order, request: MigrationRequest, user: Person) -> str:
    """Why this person may not give this order now; "" when they may."""
    if not user.is_active or not _has_permission(order, request, user):
        return f"Only {_ROLE_WORDS[order.permission]} may do this, and you are not one."
    if request.state not in order.states:
        return _state_words(order, request)
    mine = request.requester_id == user.pk
    match order.kind:
        case "submit" if not mine:
            return "Only its requester may submit a draft."
        case "approve":
            return _why_not_approve(request, user)
        case "cut_over":
            return _why_not_cut_over(request)
        case "hold_cutover":
            return _why_not_hold(request)
        case "cancel" if request.desired_state == DesiredState.CANCEL:
            return "It is being cancelled already."
    return ""


def _why_not_approve(request: MigrationRequest, user: Person) -> str:
    if request.requester_id == user.pk:
        return "You asked for this change: somebody else must approve it."
    groups = set(request.target.approver_groups.values_list("name", flat=True))
    if groups and not user.groups.filter(name__in=groups).exists():
        return f"On {request.target} only members of {_either(sorted(groups))} approve."
    if request.approvals.filter(approver_id=user.pk, voided_at=None).exists():
        return "You have approved it already."
    return ""


def _why_not_cut_over(request: MigrationRequest) -> str:
    if not request.waits_for_order:
        return "It swaps the tables by itself, as soon as it is ready and the hours allow it."
    if request.open_cut_over:
        return "The cut-over has been ordered already."
    return ""


def _why_not_hold(request: MigrationRequest) -> str:
    if request.cutover_held:
        return "The cut-over is held already."
    tried = request.state == State.CUTTING_OVER or request.open_cut_over is not None
    if request.defer_cutover and not tried:
        return "It waits for the order to cut over in any case."
    return ""


def _has_permission(order: Order, request: MigrationRequest, user: Person) -> bool:
    if order.kind == "cancel" and request.state in NOT_BEGUN and request.requester_id == user.pk:
        return user.has_perm(SUBMIT) or user.has_perm(order.permission)
    return user.has_perm(order.permission)


def _state_words(order: Order, request: MigrationRequest) -> str:
    allowed = [state.label.lower() for state in State if state in order.states]
    if request.is_final:
        return f"The request has ended: it is “{_label(request)}”."
    if order.kind == "stop" and request.state not in LEASED_STATES:
        return f"Nothing is running: the request is “{_label(request)}”."
    if order.kind == "set_volume":
        return "Every row is copied and verified by now: the volume no longer matters."
    return f"It is “{_label(request)}”; this needs it to be {_either(allowed)}."


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _label(request: MigrationRequest) -> str:
    return State(request.state).label
