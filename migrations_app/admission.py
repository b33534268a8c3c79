"""Which queued request may begin now, and why the others wait.

First come, first served, as far as limits, hours and start times allow. The queue's wake-ups name
a request but only mean that a place is free: the first that may begin is taken. One admission at a
time, under a row lock, so that limits hold for any number of workers.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from migrations_app import hours, lifecycle
from migrations_app.models import LEASED_STATES, DesiredState, Latch, MigrationRequest, State

_LATCH = "admission"
_LOOK_AT_MOST = 500


def admit(owner: str, lease_secs: float) -> MigrationRequest | None:
    """Give the lease of the first queued request that may begin to ``owner``; None: none may."""
    with transaction.atomic():
        # Where rows cannot be locked (SQLite), transactions that write are one at a time anyway.
        Latch.objects.select_for_update().filter(pk=_LATCH).first()
        for request in may_begin()[:1]:
            return lifecycle.take_lease(request.pk, owner, lease_secs)
    return None


def may_begin() -> list[MigrationRequest]:
    """Queued requests that may begin now, in their order and within the limits. What the others
    wait for is written to ``waiting_for``."""
    running = Counter(
        MigrationRequest.objects.filter(state__in=LEASED_STATES).values_list("target_id", flat=True)
    )
    total = running.total()
    chosen = []
    now = timezone.now()
    for request in queued().select_related("target")[:_LOOK_AT_MOST]:
        reason = _why_waiting(request, running[request.target_id], total, now)
        if not reason:
            chosen.append(request)
            running[request.target_id] += 1
            total += 1
        if reason != request.waiting_for:
            MigrationRequest.objects.filter(pk=request.pk, state=State.QUEUED).update(
                waiting_for=reason
            )
    return chosen


def queued() -> QuerySet[MigrationRequest]:
    """Queued requests that are wanted to run, the first first."""
    return MigrationRequest.objects.filter(
        state=State.QUEUED, desired_state=DesiredState.RUN
    ).order_by("queued_at", "id")


def place(request: MigrationRequest) -> int | None:
    """Its place in the queue, 1 for the next one; None when it is not in it, or very far back."""
    if request.state != State.QUEUED:
        return None
    first = list(queued().values_list("pk", flat=True)[:_LOOK_AT_MOST])
    return first.index(request.pk) + 1 if request.pk in first else None


def hours_are_open(request: MigrationRequest, now: dt.datetime | None = None) -> bool:
    """Whether the target's and the request's own hours allow what is risky now."""
    at = now or timezone.now()
    zone = request.target.time_zone
    return all(
        hours.is_open(text, zone, at) for text in (request.target.allowed_hours, request.hours)
    )


def hours_words(request: MigrationRequest) -> str:
    """Which hours are waited for, and when they begin; "" when they are open."""
    if hours_are_open(request):
        return ""
    target, now = request.target, timezone.now()
    limits = [text for text in (target.allowed_hours, request.hours) if text]
    opens = [hours.next_open(text, target.time_zone, now) for text in limits]
    known = [at for at in opens if at is not None]
    words = f"Waiting for the allowed hours: {' and '.join(limits)} ({target.time_zone})"
    if len(known) < len(limits):
        return f"{words}, which never come."
    return f"{words}; from {max(known):%Y-%m-%d %H:%M} UTC at the earliest."


def _why_waiting(
    request: MigrationRequest, running_there: int, running: int, now: dt.datetime
) -> str:
    if request.start_after is not None and request.start_after > now:
        return f"Waiting for its time: {request.start_after:%Y-%m-%d %H:%M} UTC."
    if not hours_are_open(request, now):
        return hours_words(request)
    if running_there >= request.target.max_concurrent_runs:
        return (
            f"Waiting: {request.target.name} has {running_there} migration(s) running, which is "
            f"its limit."
        )
    if running >= settings.MAX_CONCURRENT_RUNS:
        return f"Waiting: {running} migrations are running, which is the limit in total."
    return ""
