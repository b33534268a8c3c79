"""Noticing a cluster that lives but no longer executes tasks (a known deadlock of the queue).

The queue's own status stays "idle" then, so only what does not happen can be seen: a scheduled task
of ``control`` that has not been executed for minutes; a request that stays queued although this
worker has a free place for it.
"""

from __future__ import annotations

import time

from django.utils import timezone
from django_q.models import Task

from migrations_app import queue
from migrations_app.models import LEASED_STATES, DesiredState, MigrationRequest, State

# The supervisor's task is due each minute, and the queue looks at its schedule every 30 s.
_CONTROL_SILENT_SECS = 300.0
# Twice the time after which a wake-up is repeated: the repetition went unheard as well.
_QUEUED_UNHEARD_SECS = 150.0


class Watch:
    """What one worker has seen of its clusters."""

    def __init__(self, worker_name: str, concurrency: int) -> None:
        self._worker_name = worker_name
        self._concurrency = concurrency
        now = time.monotonic()
        self._since = {"control": now, "runner": now}
        # request and its version -> since when it has been seen queued
        self._queued: dict[tuple[int, int], float] = {}

    def restarted(self, name: str) -> None:
        """A cluster was started anew: it has all the time again."""
        self._since[name] = time.monotonic()
        self._queued.clear()

    def stuck_clusters(self) -> list[tuple[str, str]]:
        """Names of clusters to be restarted, with the reason."""
        stuck = []
        if self._control_is_silent():
            stuck.append(("control", "it has not executed its scheduled task for minutes"))
        if self._runner_is_deaf():
            stuck.append(("runner", "it takes up no request although it has a free place"))
        return stuck

    def _control_is_silent(self) -> bool:
        if time.monotonic() < self._since["control"] + _CONTROL_SILENT_SECS:
            return False
        last = (
            Task.objects.filter(func=queue.SUPERVISE_TASK)
            .order_by("-stopped")
            .values_list("stopped", flat=True)
            .first()
        )
        return last is None or (timezone.now() - last).total_seconds() > _CONTROL_SILENT_SECS

    def _runner_is_deaf(self) -> bool:
        now = time.monotonic()
        queued = MigrationRequest.objects.filter(
            state=State.QUEUED, desired_state=DesiredState.RUN, enqueued_at__isnull=False
        ).values_list("pk", "version")
        self._queued = {key: self._queued.get(key, now) for key in queued}
        own = MigrationRequest.objects.filter(
            state__in=LEASED_STATES, lease_owner__startswith=f"{self._worker_name}:"
        ).count()
        if own >= self._concurrency:
            self._queued = dict.fromkeys(self._queued, now)
            return False
        return any(now - since > _QUEUED_UNHEARD_SECS for since in self._queued.values())
