"""Figures for Prometheus, read from the control database with each scrape.

Nothing is counted in a process: whichever web server is asked gives the same answer. A request's
own figures are there while it is under way, so that there are never many.
"""

from __future__ import annotations

from collections.abc import Iterator

import prometheus_client
from django.db.models import Count, Max, Min, Q, Sum
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from migrations_app import heartbeat
from migrations_app.models import (
    ACTIVE_STATES,
    Checkpoint,
    Command,
    MigrationRequest,
    NoticeDelivery,
    Run,
    Sample,
    State,
)

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
_OF_REQUEST = ("request", "target", "table")
_MOST_REQUESTS = 500


def text() -> bytes:
    """All of them, in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Figures())
    return prometheus_client.generate_latest(registry)


class _Figures(Collector):
    """A bounded number of queries, however many rows there are."""

    def describe(self) -> list[Metric]:
        return []  # so that registering asks the database nothing

    def collect(self) -> Iterator[Metric]:
        yield from _requests()
        yield from _active()
        yield from _queue()
        yield from _runs()
        yield from _workers()
        yield from _notices()


def _gauge(name: str, help_text: str, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"spirit_{name}", help_text, labels=labels)


def _requests() -> Iterator[Metric]:
    family = _gauge("requests", "Requests by state and target.", ("state", "target"))
    rows = MigrationRequest.objects.order_by().values_list("state", "target__name")
    for state, target, number in rows.annotate(number=Count("pk")):
        family.add_metric([state, target], number)
    yield family


def _active() -> Iterator[Metric]:
    """What is under way, request by request."""
    rows = list(
        MigrationRequest.objects.filter(
            Q(state__in=ACTIVE_STATES) | Q(state=State.STOPPED), runs__isnull=False
        )
        .select_related("target")
        .distinct()
        .order_by("-pk")[:_MOST_REQUESTS]
    )
    now = timezone.now()
    checkpoints, samples = _newest_checkpoints(rows), _newest_samples(rows)
    rate = _gauge("rows_per_second", "Rows copied or verified a second.", _OF_REQUEST)
    fraction = _gauge("fraction", "Of the phase, 0 to 1; 0 where uncounted.", _OF_REQUEST)
    copied = _gauge("rows_copied", "Rows copied, earlier runs included.", _OF_REQUEST)
    deltas = _gauge("deltas_waiting", "Changes read and not applied yet.", _OF_REQUEST)
    lease = _gauge("lease_age_seconds", "Since its run last showed itself.", _OF_REQUEST)
    lag = _gauge("replica_lag_seconds", "Of the replica that lags most.", _OF_REQUEST)
    age = _gauge("checkpoint_age_seconds", "Of the newest checkpoint.", _OF_REQUEST)
    left = _gauge(
        "checkpoint_log_hours_left",
        "Until the server may delete the log that the newest checkpoint needs.",
        _OF_REQUEST,
    )
    for row in rows:
        labels = [str(row.pk), row.target.name, row.table_name]
        rate.add_metric(labels, row.rows_per_sec)
        fraction.add_metric(labels, row.fraction)
        copied.add_metric(labels, row.rows_copied)
        deltas.add_metric(labels, row.deltas_waiting)
        if row.lease_expires_at and row.last_heartbeat_at:
            lease.add_metric(labels, (now - row.last_heartbeat_at).total_seconds())
        newest, sample = checkpoints.get(row.pk), samples.get(row.pk)
        if sample is not None and sample.replica_lag_secs is not None:
            lag.add_metric(labels, sample.replica_lag_secs)
        if newest is not None:
            age.add_metric(labels, (now - newest.received_at).total_seconds())
            if newest.log_expires_at is not None:
                left.add_metric(labels, (newest.log_expires_at - now).total_seconds() / 3600)
    yield from (rate, fraction, copied, deltas, lease, lag, age, left)


def _newest_checkpoints(requests: list[MigrationRequest]) -> dict[int, Checkpoint]:
    """By request; two queries."""
    newest = (
        MigrationRequest.objects.filter(pk__in=[row.pk for row in requests])
        .order_by()
        .annotate(newest=Max("checkpoints"))
        .values_list("newest", flat=True)
    )
    rows = Checkpoint.objects.filter(pk__in=[pk for pk in newest if pk])
    return {row.request_id: row for row in rows}


def _newest_samples(requests: list[MigrationRequest]) -> dict[int, Sample]:
    """By request: the last reading of its newest run; three queries."""
    pks = [row.pk for row in requests]
    runs = MigrationRequest.objects.filter(pk__in=pks).order_by().annotate(newest=Max("runs"))
    samples = (
        Run.objects.filter(pk__in=[pk for pk in runs.values_list("newest", flat=True) if pk])
        .order_by()
        .annotate(newest=Max("samples"))
        .values_list("newest", flat=True)
    )
    rows = Sample.objects.filter(pk__in=[pk for pk in samples if pk]).select_related("run")
    return {row.run.request_id: row for row in rows}


def _queue() -> Iterator[Metric]:
    now = timezone.now()
    waiting = MigrationRequest.objects.filter(state=State.QUEUED).aggregate(
        number=Count("pk"), oldest=Min("queued_at")
    )
    orders = Command.objects.filter(obeyed_at=None).aggregate(
        number=Count("pk"), oldest=Min("asked_at")
    )
    for name, found, what in (
        ("queue", waiting, "requests that wait for a place"),
        ("open_orders", orders, "orders that nobody has carried out yet"),
    ):
        length = _gauge(f"{name}_length", f"Number of {what}.")
        length.add_metric([], found["number"])
        oldest = _gauge(f"{name}_oldest_seconds", f"Age of the oldest of the {what}.")
        oldest.add_metric([], (now - found["oldest"]).total_seconds() if found["oldest"] else 0)
        yield from (length, oldest)


def _runs() -> Iterator[Metric]:
    """By how they ended; how many resumed and how many began afresh."""
    family = _gauge("runs", "Runs by how they ended; running: not yet.", ("outcome",))
    for outcome, number in Run.objects.order_by().values_list("outcome").annotate(n=Count("pk")):
        family.add_metric([outcome or "running"], number)
    yield family
    resumed = _gauge("runs_resumed", "Runs that went on from a checkpoint.")
    resumed.add_metric([], Run.objects.filter(resumed_from__isnull=False).count())
    yield resumed


def _workers() -> Iterator[Metric]:
    found = heartbeat.live().aggregate(number=Count("pk"), places=Sum("concurrency"))
    live = _gauge("workers", "Workers that live and take requests up.")
    live.add_metric([], found["number"])
    places = _gauge("worker_places", "Runs that they can have at once.")
    places.add_metric([], found["places"] or 0)
    yield from (live, places)


def _notices() -> Iterator[Metric]:
    rows = NoticeDelivery.objects.aggregate(
        waiting=Count("pk", filter=Q(delivered_at=None, failed_at=None)),
        failed=Count("pk", filter=Q(failed_at__isnull=False)),
    )
    family = _gauge("notices", "Notices that wait, or were given up.", ("state",))
    for state in ("waiting", "failed"):
        family.add_metric([state], rows[state])
    yield family
