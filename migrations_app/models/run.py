"""One attempt of the engine at a request."""

from __future__ import annotations

from django.db import models

from migrations_app.models.request import MigrationRequest


class Run(models.Model):
    """A change of volume, a stop or a crash ends one run, and the next one resumes.

    outcome: as the engine says it; "" while it runs; ``lost`` when its worker vanished.
    """

    LOST = "lost"

    request = models.ForeignKey(MigrationRequest, on_delete=models.CASCADE, related_name="runs")
    number = models.PositiveIntegerField()
    lease_token = models.PositiveBigIntegerField()
    worker = models.CharField(max_length=120)
    pid = models.PositiveIntegerField()
    volume = models.PositiveSmallIntegerField()
    threads = models.PositiveSmallIntegerField(null=True, blank=True)
    method = models.CharField(max_length=10, blank=True)
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True)
    message = models.TextField(blank=True)
    resumed_from = models.ForeignKey(
        "Checkpoint", null=True, blank=True, on_delete=models.SET_NULL, related_name="resumed_by"
    )
    rows_at_start = models.PositiveBigIntegerField(default=0)
    rows_at_end = models.PositiveBigIntegerField(default=0)

    class Meta:
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("request", "number"), name="run_number_of_request"),
        )

    def __str__(self) -> str:
        return f"run {self.number} of #{self.request_id}"
