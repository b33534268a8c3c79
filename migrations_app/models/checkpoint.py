"""The mirror of a checkpoint row on the target; kept when the target's own row is pruned."""

from __future__ import annotations

from django.db import models

from migrations_app.models.request import MigrationRequest
from migrations_app.models.run import Run


class Checkpoint(models.Model):
    """engine_id: the row's id in the checkpoint table; the rest as the engine wrote it."""

    request = models.ForeignKey(
        MigrationRequest, on_delete=models.CASCADE, related_name="checkpoints"
    )
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="checkpoints")
    engine_id = models.PositiveBigIntegerField()
    copier_watermark = models.TextField(blank=True)
    checksum_watermark = models.TextField(blank=True)
    binlog_name = models.CharField(max_length=255)
    binlog_pos = models.PositiveBigIntegerField()
    gtid_set = models.TextField(blank=True)
    phase = models.CharField(max_length=30)
    deferred_indexes = models.TextField(blank=True)
    cutover_intent = models.BooleanField(default=False)
    rows_copied = models.PositiveBigIntegerField(default=0)
    engine_version = models.CharField(max_length=32)
    created_at = models.DateTimeField(help_text="By the target server's clock.")
    received_at = models.DateTimeField(auto_now_add=True)
    # What the last look at the server found; None before the first.
    resumable = models.BooleanField(null=True, blank=True)
    why_not = models.TextField(blank=True)
    log_expires_at = models.DateTimeField(
        null=True, blank=True, help_text="When the server may delete the log it needs; a forecast."
    )
    oldest_log = models.CharField(
        max_length=255, blank=True, help_text="The server's oldest binary log at that look."
    )
    newest_log = models.CharField(max_length=255, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = (models.Index(fields=("request", "-id"), name="checkpoint_of_request"),)

    def __str__(self) -> str:
        return f"checkpoint {self.engine_id} of #{self.request_id} at {self.position}"

    @property
    def position(self) -> str:
        return f"{self.binlog_name}:{self.binlog_pos}"
