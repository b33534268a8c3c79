"""Where news of requests is sent, and what became of each piece of it."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from migrations_app import crypto
from migrations_app.models.event import Event
from migrations_app.models.target import Target


def validate_kinds(value: object) -> None:
    """Refuse what is no list of event kinds."""
    if not isinstance(value, list) or not all(isinstance(kind, str) and kind for kind in value):
        raise ValidationError("Kinds are a list of event kinds, such as failed or completed.")


class NoticeChannel(models.Model):
    """An address in apprise's form, stored encrypted, and which events go there.

    owner: whose own channel it is, and then only of requests that concern them; None: the team's.
    targets: only of these; empty: of all. kinds: of events; empty: the usual ones.
    """

    name = models.CharField(max_length=100)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="notice_channels",
    )
    targets = models.ManyToManyField(Target, blank=True, related_name="notice_channels")
    kinds = models.JSONField(default=list, blank=True, validators=[validate_kinds])
    stored_address = models.TextField(editable=False)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("name", "id")

    def __str__(self) -> str:
        return self.name

    def set_address(self, address: str) -> None:
        """Encrypt and keep an address, or keep a reference ``env:NAME``. Not saved yet."""
        self.stored_address = crypto.encrypt(address)

    def address(self) -> str:
        """Raises crypto.SecretUnavailableError."""
        return crypto.decrypt(self.stored_address)


class NoticeDelivery(models.Model):
    """One event for one channel: written with the event, sent afterwards.

    delivered_at, failed_at: when it was settled, one way or the other; error: the last one, without
    the address.
    """

    channel = models.ForeignKey(NoticeChannel, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="deliveries")
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    delivered_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "notice deliveries"
        ordering = ("-id",)
        indexes = (
            models.Index(
                fields=("delivered_at", "failed_at", "next_attempt_at"), name="delivery_due"
            ),
        )

    def __str__(self) -> str:
        return f"notice {self.pk}"
