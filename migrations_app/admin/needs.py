"""What waits for a person: which requests somebody must act on, by what that person may do.

A requester is waited for where their own work is at rest (a draft, a failure), an approver where
somebody else's request is undecided and they have not spoken, an operator where a run waits for an
order.
"""

from __future__ import annotations

from django.db.models import Exists, OuterRef, Q, QuerySet

from migrations_app.admin.access import APPROVE, OPERATE, SUBMIT, Reader, may
from migrations_app.models import Approval, MigrationRequest, State

OPERATOR_STATES = (State.APPROVED, State.STOPPED, State.FAILED, State.WAITING_FOR_CUTOVER)

ASKS: dict[str, str] = {
    State.DRAFT: "Finish it and submit it, or cancel it.",
    State.SUBMITTED: "Read it, then approve or reject it.",
    State.APPROVED: "It may be started.",
    State.STOPPED: "Start it again before the server expires its binary logs, or cancel it.",
    State.FAILED: "See why it failed; then retry it or cancel it.",
    State.WAITING_FOR_CUTOVER: "Every row is copied and verified. Order the cut-over.",
}


def condition(user: Reader) -> Q:
    """Which requests wait for this person."""
    found = Q(pk__in=[])
    if may(user, SUBMIT):
        found |= Q(requester_id=user.pk, state=State.DRAFT)
    if may(user, APPROVE):
        spoken = Approval.objects.filter(
            request=OuterRef("pk"), approver_id=user.pk, voided_at=None
        )
        undecided = Q(state=State.SUBMITTED) & ~Q(requester_id=user.pk)
        found |= undecided & Q(~Exists(spoken))
    if may(user, OPERATE):
        found |= Q(state__in=OPERATOR_STATES)
    return found


def needing(user: Reader) -> QuerySet[MigrationRequest]:
    """The requests that wait for this person, those that waited longest first."""
    return MigrationRequest.objects.filter(condition(user)).order_by("updated_at")


def count_needing(user: Reader) -> int:
    """How many requests wait for this person."""
    return needing(user).count()


def ask(state: str) -> str:
    """What a person is asked to do about a request in a state."""
    return ASKS.get(state, "See what it needs.")
