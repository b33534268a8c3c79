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
    HOLD_CUTOVER = "hold_cutover", "Hold the cut-over"
    SCHEDULE = "schedule", "Schedule"
    CANCEL = "cancel", "Cancel"
    RETRY = "retry", "Retry"
    START_AFRESH = "start_afresh", "Start afresh"


class CommandResult(models.TextChoices):
    """What became of an order."""

    PENDING = "pending", "Pending"
    TRYING = "trying", "Being tried"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    MOOT = "moot", "No longer applied"
    TAKEN_BACK = "taken_back", "Taken back"


class Command(models.Model):
    """obeyed_at: when it was settled, once, by whoever carried it out or found that it no longer
    applies; until then the result is pending or being tried. answer: what became of it."""

    request = models.ForeignKey(MigrationRequest, on_delete=models.CASCADE, related_name="commands")
    kind = models.CharField(max_length=20, choices=CommandKind.choices)
    argument = models.JSONField(default=dict, blank=True)
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT)
    asked_at = models.DateTimeField(auto_now_add=True)
    obeyed_at = models.DateTimeField(null=True, blank=True)
    result = models.CharField(
        max_length=12, choices=CommandResult.choices, default=CommandResult.PENDING
    )
    answer = models.TextField(blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("request", "obeyed_at"), name="command_of_request"),)

    def __str__(self) -> str:
        return f"{self.kind} #{self.request_id}"

    def settle(self, answer: str, result: CommandResult = CommandResult.DONE) -> bool:
        """Note what became of it: once, by whoever did it. Returns whether that was this call."""
        now = timezone.now()
        rows = Command.objects.filter(pk=self.pk, obeyed_at=None)
        if not rows.update(obeyed_at=now, answer=answer, result=result):
            return False
        self.obeyed_at, self.answer, self.result = now, answer, result
        return True

    def being_tried(self, answer: str) -> None:
        """Note how far carrying it out has come. Does nothing once it is settled."""
        Command.objects.filter(pk=self.pk, obeyed_at=None).update(
            answer=answer, result=CommandResult.TRYING
        )

    @property
    def is_open(self) -> bool:
        return self.obeyed_at is None
