"""An order that a person gave: a row, so that it survives whoever should obey it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from migrations_app.models.request import MigrationRequest


class CommandKind(models.TextChoices):
    START = "start", "Start"
    STOP = "stop", "Stop"
    SET_VOLUME = "set_volume", "Set volume"
    CUT_OVER = "cut_over", "Cut over"
    CANCEL = "cancel", "Cancel"
    RETRY = "retry", "Retry"
    START_AFRESH = "start_afresh", "Start afresh"


class Command(models.Model):
    """obeyed_at, answer: set once, by whoever carried it out or found that it no longer applies."""

    request = models.ForeignKey(MigrationRequest, on_delete=models.CASCADE, related_name="commands")
    kind = models.CharField(max_length=20, choices=CommandKind.choices)
    argument = models.JSONField(default=dict, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    asked_at = models.DateTimeField(auto_now_add=True)
    obeyed_at = models.DateTimeField(null=True, blank=True)
    answer = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("request", "obeyed_at"), name="command_of_request"),)

    def __str__(self) -> str:
        return f"{self.kind} #{self.request_id}"

    def answered(self, answer: str) -> None:
        """Note that it was obeyed, or found not to apply any more: once, by whoever did it."""
        now = timezone.now()
        rows = Command.objects.filter(pk=self.pk, obeyed_at=None)
        if rows.update(obeyed_at=now, answer=answer):
            self.obeyed_at, self.answer = now, answer

    @property
    def is_open(self) -> bool:
        return self.obeyed_at is None
