"""What approvers do: consent to a request, or decline it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from migrations_app import lifecycle
from migrations_app.commands.common import (
    OrderRefused,
    changed_meanwhile,
    move,
    require,
    require_text,
)
from migrations_app.models import Approval, MigrationRequest

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def approve(actor: User, request: MigrationRequest, comment: str = "") -> None:
    """Record one person's consent; with the last one needed the request is approved."""
    require("approve", request, actor)
    comment = require_text(comment, "A comment")
    with transaction.atomic():
        # One at a time: two approvers at once must both be counted.
        seen = MigrationRequest.objects.filter(pk=request.pk, version=request.version)
        if not seen.update(version=request.version + 1):
            raise OrderRefused(changed_meanwhile(request))
        request.refresh_from_db()
        Approval.objects.create(request=request, approver=actor, comment=comment)
        missing = request.approvals_missing
        if missing:
            words = f"Approved by {actor.get_username()}; {missing} more needed."
            lifecycle.record(
                request, "approval_given", words, actor=actor, data={"comment": comment}
            )
            return
        move(
            request,
            "approve",
            f"Approved by {actor.get_username()}.",
            actor,
            {"comment": comment},
            approved_at=timezone.now(),
        )


def reject(actor: User, request: MigrationRequest, reason: str) -> None:
    """End the request before it runs, with a reason its requester can act on."""
    require("reject", request, actor)
    reason = require_text(reason, "The reason")
    if not reason:
        raise OrderRefused("Say why it is rejected, so that its requester can act on it.")
    words = f"Rejected by {actor.get_username()}: {reason}"
    move(request, "reject", words, actor, ended_at=timezone.now())
