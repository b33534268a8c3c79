"""What happened to a request, for ever."""

from __future__ import annotations

from typing import Any, ClassVar, NoReturn

from django.conf import settings
from django.db import models

from migrations_app.engine import Level
from migrations_app.models.request import MigrationRequest
from migrations_app.models.run import Run


class AppendOnlyError(Exception):
    """An event can be added, and nothing else."""


class EventQuerySet(models.QuerySet["Event"]):
    def update(self, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("Events are append-only: they cannot be changed.")

    def delete(self) -> NoReturn:
        raise AppendOnlyError("Events are append-only: they cannot be deleted.")


class Event(models.Model):
    """kind: a short name; message: a sentence for people; data: details, never a secret."""

    LEVELS: ClassVar = [(level.value, level.value.capitalize()) for level in Level]

    request = models.ForeignKey(
        MigrationRequest, on_delete=models.PROTECT, related_name="events", null=True, blank=True
    )
    run = models.ForeignKey(Run, on_delete=models.PROTECT, null=True, blank=True)
    kind = models.CharField(max_length=40)
    level = models.CharField(max_length=10, choices=LEVELS, default=Level.INFO.value)
    message = models.TextField()
    data = models.JSONField(default=dict, blank=True)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("request", "-id"), name="event_of_request"),
            models.Index(fields=("kind", "-id"), name="event_kind"),
        )

    def __str__(self) -> str:
        return f"{self.kind}: {self.message[:80]}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError("Events are append-only: this one cannot be changed.")
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AppendOnlyError("Events are append-only: this one cannot be deleted.")
