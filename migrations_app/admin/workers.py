"""The workers page: which ``manage.py worker`` processes live, and what they run."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString

from migrations_app import heartbeat
from migrations_app.admin.columns import age
from migrations_app.admin.readonly import ReadOnlyAdmin
from migrations_app.markup import badge
from migrations_app.models import LEASED_STATES, MigrationRequest, Worker


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin[Worker]):
    """One line a worker. One that ends in order takes its line along."""

    list_display = ("name", "state", "runs", "places", "since", "seen", "restarted")
    list_display_links = ("name",)
    fields = ("name", "state", "runs", "places", "since", "seen", "restarted", "version")
    readonly_fields = fields

    @admin.display(description="State")
    def state(self, worker: Worker) -> SafeString:
        silent_secs = (timezone.now() - worker.seen_at).total_seconds()
        if silent_secs > heartbeat.LIVE_SECS:
            return badge("silent", "bad")
        return badge("ending", "warn") if worker.draining else badge("live", "good")

    @admin.display(description="Runs")
    def runs(self, worker: Worker) -> str:
        numbers = self._runs_of(worker.name)
        return ", ".join(f"#{number}" for number in numbers) or "–"

    @admin.display(description="Places", ordering="concurrency")
    def places(self, worker: Worker) -> int:
        return worker.concurrency

    @admin.display(description="Since", ordering="started_at")
    def since(self, worker: Worker) -> str:
        return age(worker.started_at)

    @admin.display(description="Seen", ordering="seen_at")
    def seen(self, worker: Worker) -> str:
        return age(worker.seen_at)

    @admin.display(description="Clusters started again", ordering="restarts")
    def restarted(self, worker: Worker) -> int:
        return worker.restarts

    def _runs_of(self, name: str) -> list[int]:
        rows = MigrationRequest.objects.filter(
            state__in=LEASED_STATES, lease_owner__startswith=f"{name}:"
        )
        return list(rows.values_list("pk", flat=True))
