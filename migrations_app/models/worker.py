"""A worker that lives: its heartbeat, for readiness and for people."""

from __future__ import annotations

from django.db import models


class Worker(models.Model):
    """name: host and pid of ``manage.py worker``; seen_at: by the control database's clock."""

    name = models.CharField(max_length=120, unique=True)
    concurrency = models.PositiveSmallIntegerField()
    version = models.CharField(max_length=32)
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    draining = models.BooleanField(default=False)
    restarts = models.PositiveIntegerField(
        default=0, help_text="How often a cluster of it had to be started again."
    )

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
