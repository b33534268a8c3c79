"""Workers that live, by the control database's clock."""

from __future__ import annotations

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from migrations_app.engine.checkpoint import ENGINE_VERSION
from migrations_app.lifecycle import in_secs
from migrations_app.models import Worker

# Three looks of the supervisor.
LIVE_SECS = 30.0
_FORGOTTEN_SECS = 24 * 3600.0


def beat(name: str, concurrency: int) -> None:
    """Show that a worker lives; the first time, that it began. Old rows of others are removed."""
    rows = Worker.objects.filter(name=name)
    if not rows.update(seen_at=Now(), concurrency=concurrency):
        Worker.objects.create(
            name=name,
            concurrency=concurrency,
            version=ENGINE_VERSION,
            started_at=Now(),
            seen_at=Now(),
        )
        Worker.objects.filter(seen_at__lt=in_secs(-_FORGOTTEN_SECS)).delete()


def draining(name: str) -> None:
    """It takes nothing up any more."""
    Worker.objects.filter(name=name).update(draining=True, seen_at=Now())


def restarted(name: str) -> None:
    """One of its clusters had to be started again."""
    Worker.objects.filter(name=name).update(restarts=F("restarts") + 1)


def ended(name: str) -> None:
    """It has ended in order."""
    Worker.objects.filter(name=name).delete()


def live() -> QuerySet[Worker]:
    """Workers that can take something up."""
    return Worker.objects.filter(seen_at__gt=in_secs(-LIVE_SECS), draining=False)
