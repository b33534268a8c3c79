"""What is removed when it is old: readings (thinned first), and what only served its day.

Events, orders, runs, checkpoints and requests stay: they say who did what and why. All deletes are
of few rows at a time, so that a run's next heartbeat never waits long for one.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import close_old_connections
from django.db.models import Count, Max, Min, Q, QuerySet
from django.utils import timezone
from django_q.models import Task

from migrations_app.models import ApiToken, NoticeDelivery, Sample

BLOCK_ROWS = 500
# The cluster ends a task after two minutes; the rest is removed in the next hour.
_ROUND_SECS = 60.0
_MINUTE_SECS = 60
_QUARTER_SECS = 900


class _OutOfTime(Exception):
    """This round has lasted long enough."""


def tidy_up() -> None:
    """Thin the readings and remove what is too old, for a minute at most."""
    close_old_connections()
    deadline = time.monotonic() + _ROUND_SECS
    try:
        for rows in _too_old(timezone.now()):
            _delete(rows, deadline)
        _thin(timezone.now(), deadline)
    except _OutOfTime:
        pass


def _before(now: dt.datetime, days: int) -> dt.datetime | None:
    """The moment so many days ago; None for 0: that is kept for ever."""
    return now - dt.timedelta(days=days) if days > 0 else None


def _too_old(now: dt.datetime) -> Iterator[QuerySet[Any]]:
    if past := _before(now, settings.RETENTION_SAMPLES_DAYS):
        yield Sample.objects.filter(taken_at__lt=past)
    if past := _before(now, settings.RETENTION_TASKS_DAYS):
        yield Task.objects.filter(stopped__lt=past)
    if past := _before(now, settings.RETENTION_SESSIONS_DAYS):
        yield Session.objects.filter(expire_date__lt=past)
    if past := _before(now, settings.RETENTION_NOTICES_DAYS):
        yield NoticeDelivery.objects.filter(Q(delivered_at__lt=past) | Q(failed_at__lt=past))
    if past := _before(now, settings.RETENTION_TOKENS_DAYS):
        yield ApiToken.objects.filter(revoked_at__lt=past)


def _delete(rows: QuerySet[Any], deadline: float) -> None:
    """By primary key, block after block: a DELETE of all at once would lock the table for long."""
    while True:
        if time.monotonic() > deadline:
            raise _OutOfTime
        block = list(rows.order_by("pk").values_list("pk", flat=True)[:BLOCK_ROWS])
        if not block:
            return
        rows.model._default_manager.filter(pk__in=block).delete()


def _thin(now: dt.datetime, deadline: float) -> None:
    """One reading a minute of the days after the first, then one in a quarter of an hour."""
    full, minute = settings.RETENTION_SAMPLES_FULL_DAYS, settings.RETENTION_SAMPLES_MINUTE_DAYS
    newest = _before(now, full)
    middle = _before(now, minute)
    if newest is None:
        return
    days = Q(taken_at__lt=newest)
    if middle is not None:
        _thin_to(Q(taken_at__lt=middle), _QUARTER_SECS, deadline)
        days &= Q(taken_at__gte=middle)
    _thin_to(days, _MINUTE_SECS, deadline)


def _thin_to(days: Q, bucket_secs: int, deadline: float) -> None:
    """Keep the first reading of each run in each span of so many seconds.

    Runs that can have no more than that are passed over, so that a look each hour costs one query.
    """
    runs = (
        Sample.objects.filter(days)
        .order_by()
        .values("run")
        .annotate(readings=Count("id"), first=Min("taken_at"), last=Max("taken_at"))
    )
    for run in list(runs):
        spans = _bucket(run["last"], bucket_secs) - _bucket(run["first"], bucket_secs) + 1
        if run["readings"] <= spans:
            continue
        readings = Sample.objects.filter(days, run=run["run"]).order_by("id")
        kept: set[int] = set()
        surplus: list[int] = []
        for pk, taken_at in readings.values_list("pk", "taken_at").iterator():
            bucket = _bucket(taken_at, bucket_secs)
            if bucket in kept:
                surplus.append(pk)
            kept.add(bucket)
        for start in range(0, len(surplus), BLOCK_ROWS):
            if time.monotonic() > deadline:
                raise _OutOfTime
            Sample.objects.filter(pk__in=surplus[start : start + BLOCK_ROWS]).delete()


def _bucket(moment: dt.datetime, secs: int) -> int:
    return int(moment.timestamp()) // secs
