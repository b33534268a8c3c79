"""Until when a checkpoint can be resumed, and warning people before it cannot.

Two things end it: the target deletes the binary log it needs (a forecast), and the request's own
limit on a checkpoint's age.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from migrations_app import lifecycle, words
from migrations_app.engine import Level
from migrations_app.models import Checkpoint, Event, MigrationRequest

EXPIRING = "checkpoint_expiring"
STALE = "checkpoint_stale"
# The second warning, as an error, comes at this part of the time of the first.
_ERROR_PART = 1 / 6
_SEVERITY = {Level.INFO: 0, Level.WARNING: 1, Level.ERROR: 2}


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """When a checkpoint ceases to be resumable, at the earliest; by_age: for the request's own
    limit, not for the log."""

    at: dt.datetime
    by_age: bool

    def hours_left(self, now: dt.datetime) -> float:
        """0.0 when it is past."""
        return max(0.0, (self.at - now).total_seconds() / 3600)


def end_of(checkpoint: Checkpoint, request: MigrationRequest) -> End:
    """Of a checkpoint that is resumable now."""
    # Its age is measured by the target's clock; it was received here when it was written there.
    too_old_at = checkpoint.received_at + dt.timedelta(seconds=request.checkpoint_max_age_secs)
    log_at = checkpoint.log_expires_at
    if log_at is not None and log_at < too_old_at:
        return End(log_at, by_age=False)
    return End(too_old_at, by_age=True)


def warn(request: MigrationRequest, newest: Checkpoint, log_reason: str) -> None:
    """Write the event that a checkpoint at rest expires soon: once, and again as an error when it
    is near. A new checkpoint, run or start order begins this anew."""
    now = timezone.now()
    end = end_of(newest, request)
    hours = end.hours_left(now)
    level = _level(hours)
    said = _said_since(request, _news_at(request, newest))
    if _SEVERITY[level] <= _SEVERITY[said]:
        return
    with transaction.atomic():
        # One guarded step: of two looks at once, and of an order given meanwhile.
        noted = MigrationRequest.objects.filter(
            pk=request.pk, version=request.version, expiry_warned_at=request.expiry_warned_at
        ).update(expiry_warned_at=now)
        if noted != 1:
            return
        lifecycle.record(
            request,
            EXPIRING,
            _expiring_words(request, newest, end, hours, log_reason),
            level=level,
            data={
                "checkpoint": newest.engine_id,
                "position": newest.position,
                "rows": newest.rows_copied,
                "expires_at": end.at.isoformat(timespec="seconds"),
                "hours": round(hours, 2),
                "cause": "age" if end.by_age else "log",
                "reason": log_reason,
            },
        )
    request.expiry_warned_at = now


def forget(request: MigrationRequest) -> None:
    """The request runs again: its next stop is warned of anew."""
    if request.expiry_warned_at is not None:
        MigrationRequest.objects.filter(pk=request.pk).update(expiry_warned_at=None)
        request.expiry_warned_at = None


def tell_stale(request: MigrationRequest, newest: Checkpoint, why_not: str) -> None:
    """Write the event that a checkpoint cannot be resumed any more."""
    rows = words.grouped(newest.rows_copied)
    then = (
        "The next start is refused, since the request is strict: order “start afresh”"
        if request.strict
        else "The next start begins again at the first row"
    )
    lifecycle.record(
        request,
        STALE,
        f"The checkpoint at {newest.position} cannot be resumed any more. {why_not} {then}; the "
        f"{rows} copied rows are copied again. The table itself is as it was.",
        level=Level.WARNING,
        data={
            "checkpoint": newest.engine_id,
            "position": newest.position,
            "rows_lost": newest.rows_copied,
            "age_secs": round((timezone.now() - newest.received_at).total_seconds()),
            "reason": why_not,
        },
    )


def _level(hours: float) -> Level:
    warn_hours = float(settings.CHECKPOINT_WARN_HOURS)
    if hours >= warn_hours:
        return Level.INFO
    return Level.ERROR if hours < warn_hours * _ERROR_PART else Level.WARNING


def _news_at(request: MigrationRequest, newest: Checkpoint) -> dt.datetime:
    """Since when the request rests as it does."""
    run = request.runs.order_by("-id").first()
    moments = (newest.received_at, request.queued_at, run.started_at if run else None)
    return max(moment for moment in moments if moment is not None)


def _said_since(request: MigrationRequest, since: dt.datetime) -> Level:
    """The worst that was said since; INFO: nothing."""
    if request.expiry_warned_at is None or request.expiry_warned_at < since:
        return Level.INFO
    events = Event.objects.filter(request=request, kind=EXPIRING, created_at__gte=since)
    levels = [Level(level) for level in events.values_list("level", flat=True)[:2]]
    return max(levels, key=lambda level: _SEVERITY[level], default=Level.INFO)


def _expiring_words(
    request: MigrationRequest, newest: Checkpoint, end: End, hours: float, log_reason: str
) -> str:
    until = f"{end.at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
    left = f"can be resumed for another {words.duration(hours * 3600)} (until {until}) at the least"
    if not hours:
        left = f"may be lost at any moment (since {until})"
    rows = words.grouped(newest.rows_copied)
    if end.by_age:
        why = f"from then on it is older than the request allows, which is {_span(request)}"
        remedy = "Start it before."
    else:
        why = f"the target may delete the binary log from then on. {_sentence(log_reason)}"
        remedy = f"Start it before, or raise binlog_expire_logs_seconds on {request.target}."
    afterwards = "a start is refused" if request.strict else "a start begins again at the first row"
    return (
        f"The checkpoint at {newest.position} {left}: {why.rstrip('.')}. Afterwards "
        f"{afterwards}, and the {rows} copied rows are lost. {remedy}"
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _span(request: MigrationRequest) -> str:
    return words.duration(request.checkpoint_max_age_secs)
