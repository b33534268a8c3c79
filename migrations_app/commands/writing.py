"""What its requester does with a request: write, change and submit it; and what anybody says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from migrations_app import lifecycle, snapshots
from migrations_app.commands.common import (
    OrderRefused,
    changed_meanwhile,
    move,
    require,
    require_start,
    require_text,
)
from migrations_app.engine import RefusedError, parse_change
from migrations_app.models import MigrationRequest, State
from migrations_app.models.request import WRITTEN_BY_PEOPLE

if TYPE_CHECKING:
    from django.contrib.auth.models import User

_LONGEST_STATEMENT = 1_000_000
_LONGEST_TEXT = 20_000
_EDITABLE = (State.DRAFT, State.SUBMITTED, State.APPROVED)


class AcknowledgementNeededError(OrderRefused):
    """The statement has unsafe parts, and nobody has said yet why they are meant."""

    def __init__(self, findings: list[snapshots.Found]) -> None:
        self.findings = findings
        parts = "\n".join(f"- {found.message}" for found in findings)
        super().__init__(
            f"Say why this is meant, since it can lose something or fail late:\n{parts}"
        )


def require_requester(actor: User) -> None:
    """Raise OrderRefused for who may not write requests; to be asked before targets are named."""
    if not lifecycle.may(actor, lifecycle.SUBMIT):
        raise OrderRefused("Only requesters may write requests, and you are not one.")


def draft(actor: User, request: MigrationRequest) -> None:
    """Store a new request, which is not saved yet, as a draft of the actor's."""
    require_requester(actor)
    request.requester = actor
    _require_valid(request)
    request.save()


def read_statement(request: MigrationRequest) -> None:
    """Fill in schema and table from the statement. Raises OrderRefused when it cannot be read."""
    try:
        change = parse_change(request.statement, request.target.database)
    except RefusedError as error:
        raise OrderRefused(str(error)) from None
    request.schema_name, request.table_name = change.schema, change.tables[:1000]


def _require_valid(request: MigrationRequest) -> None:
    """What a person wrote can be stored and means something. Raises OrderRefused with all of it."""
    for name, longest in (("statement", _LONGEST_STATEMENT), ("reason", _LONGEST_TEXT),
                          ("acknowledgement", _LONGEST_TEXT), ("title", 200)):  # fmt: skip
        require_text(getattr(request, name), f"The {name}", longest)
    require_start(request.start_after)
    read_statement(request)
    others = {field.name for field in request._meta.concrete_fields} - set(WRITTEN_BY_PEOPLE)
    try:
        request.clean_fields(exclude={*others, "target", "updated_at"})
    except ValidationError as error:
        raise OrderRefused(
            "\n".join(
                f"{name.replace('_', ' ').capitalize()}: {' '.join(texts)}"
                for name, texts in error.message_dict.items()
            )
        ) from None
    highest = request.target.max_volume
    if request.volume > highest:
        raise OrderRefused(
            f"{request.target} allows a volume of {highest} at most, not {request.volume}."
        )


def submit(actor: User, request: MigrationRequest, acknowledgement: str = "") -> None:
    """Look at the statement and at the table on the target, keep what was seen, and send the draft
    to the approvers.

    acknowledgement: why unsafe parts are meant. Raises AcknowledgementNeededError when there are
    some and none was given here or with the draft.
    """
    require("submit", request, actor)
    read_statement(request)
    try:
        snapshot = snapshots.take(request)
    except snapshots.CannotLookError as error:
        raise OrderRefused(str(error)) from None
    if snapshot.refusals:
        raise OrderRefused("\n".join(found.words for found in snapshot.refusals))
    acknowledgement = (
        require_text(acknowledgement, "The reason", _LONGEST_TEXT)
        or request.acknowledgement.strip()
    )
    if snapshot.unsafe and not acknowledgement:
        raise AcknowledgementNeededError(snapshot.unsafe)
    data = {"unsafe": [found.rule for found in snapshot.unsafe]}
    if snapshot.unsafe:
        data["acknowledgement"] = [acknowledgement]
    move(
        request,
        "submit",
        f"Submitted for approval: {request.table} on {request.target}.",
        actor,
        dict(data),
        submitted_at=timezone.now(),
        schema_name=request.schema_name,
        table_name=request.table_name,
        snapshot=snapshot.stored(),
        is_unsafe=bool(snapshot.unsafe),
        acknowledgement=acknowledgement,
        acknowledged_by=actor if snapshot.unsafe else None,
        acknowledged_at=timezone.now() if snapshot.unsafe else None,
    )


def edit(actor: User, request: MigrationRequest, version: int | None = None) -> None:
    """Save a changed statement or options. Approvals, the snapshot and the acknowledgement were
    for the old ones and no longer count.

    version: the request's as the person saw it (default: as this object was read).
    """
    if not lifecycle.may(actor, lifecycle.SUBMIT) or request.requester_id != actor.pk:
        raise OrderRefused("Only its requester may change a request.")
    _require_valid(request)
    seen = request.version if version is None else version
    acknowledgement = request.acknowledgement
    with transaction.atomic():
        rows = MigrationRequest.objects.filter(pk=request.pk, version=seen, state__in=_EDITABLE)
        if request.state not in _EDITABLE or not rows.update(version=F("version") + 1):
            _raise_not_editable(request)
        voided = request.approvals.filter(voided_at=None).update(voided_at=timezone.now())
        if request.state != State.DRAFT:
            words = "Changed by its requester: it must be submitted and approved again."
            lifecycle.move(
                _fresh(request), "edit", words, actor=actor, data={"approvals_voided": voided}
            )
        request.save()
        MigrationRequest.objects.filter(pk=request.pk).update(
            snapshot={},
            is_unsafe=False,
            acknowledgement=acknowledgement,
            acknowledged_by=None,
            acknowledged_at=None,
        )
    request.refresh_from_db()


def comment(actor: User, request: MigrationRequest, text: str) -> None:
    """Add a remark to the request's history."""
    require("comment", request, actor)
    text = require_text(text, "A comment")
    if not text:
        raise OrderRefused("Write something first.")
    lifecycle.record(request, "commented", text, actor=actor)


def _fresh(request: MigrationRequest) -> MigrationRequest:
    """The row as it is: the move reads its own copy anew, not what the person has just typed."""
    return MigrationRequest.objects.get(pk=request.pk)


def _raise_not_editable(request: MigrationRequest) -> None:
    now = MigrationRequest.objects.get(pk=request.pk)
    if now.state in _EDITABLE:
        raise OrderRefused(changed_meanwhile(request))
    raise OrderRefused(
        f"Request #{request.pk} is “{State(now.state).label}”: its statement and options can only "
        f"be changed before it is started."
    )
