"""One person's consent to a request."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from migrations_app.models.request import MigrationRequest


class Approval(models.Model):
    """Valid until the statement or an option changes; then it is voided, not deleted."""

    request = models.ForeignKey(
        MigrationRequest, on_delete=models.CASCADE, related_name="approvals"
    )
    approver = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    comment = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    voided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(
                fields=("request", "approver"),
                condition=models.Q(voided_at=None),
                name="approval_once_each",
            ),
        )

    def __str__(self) -> str:
        return f"approval of #{self.request_id} by {self.approver_id}"
