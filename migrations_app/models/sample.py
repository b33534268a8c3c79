"""A reading of a run now and then, for charts."""

from __future__ import annotations

from django.db import models

from migrations_app.models.run import Run


class Sample(models.Model):
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="samples")
    taken_at = models.DateTimeField(auto_now_add=True)
    phase = models.CharField(max_length=30)
    rows_copied = models.PositiveBigIntegerField()
    rows_checked = models.PositiveBigIntegerField(default=0)
    rows_per_sec = models.FloatField()
    deltas_waiting = models.PositiveBigIntegerField()
    chunk_time_secs = models.FloatField(default=0.0)
    replica_lag_secs = models.FloatField(null=True, blank=True)

    class Meta:
        ordering = ("id",)
        indexes = (models.Index(fields=("run", "id"), name="sample_of_run"),)

    def __str__(self) -> str:
        return f"run {self.run_id} at {self.taken_at:%H:%M:%S}"
