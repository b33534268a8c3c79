"""A secret with which a program acts as a person."""

from __future__ import annotations

import datetime as dt

from django.conf import settings
from django.db import models


class Scope(models.TextChoices):
    """What a token may be used for; never more than its person may do."""

    READ = "read", "Read requests, checkpoints and events"
    SUBMIT = "submit", "Write and submit requests"
    APPROVE = "approve", "Approve and reject"
    OPERATE = "operate", "Start, stop, change the volume, cut over, cancel"


class ApiToken(models.Model):
    """digest: SHA-256 of the secret, which is shown once and kept nowhere; prefix: its beginning,
    to know it by."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_tokens"
    )
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    def is_valid(self, now: dt.datetime) -> bool:
        """Neither revoked nor expired, and its person still active."""
        return (
            self.revoked_at is None
            and (self.expires_at is None or self.expires_at > now)
            and self.user.is_active
        )
