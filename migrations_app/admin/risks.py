"""What is at risk, for the home page: work that may be lost, or that does not get on."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from migrations_app import expiries, mirrors, words
from migrations_app.admin.links import request_url
from migrations_app.models import LEASED_STATES, Checkpoint, MigrationRequest, State

SHOWN = 8
# A queued request is taken up within seconds; after this long something is wrong with the workers.
QUEUED_TOO_LONG_SECS = 120


@dataclasses.dataclass(frozen=True, slots=True)
class Risk:
    """Something at risk. url: where to act on it, "" for nowhere; tone: a colour of the sheet."""

    heading: str
    words: str
    tone: str
    url: str = ""
    where: str = ""


def of_workers(active: Iterable[MigrationRequest]) -> list[Risk]:
    """That nobody takes up what is queued."""
    now = timezone.now()
    stuck = [
        row
        for row in active
        if row.state == State.QUEUED
        and (now - row.updated_at).total_seconds() > QUEUED_TOO_LONG_SECS
    ]
    if not stuck:
        return []
    return [
        Risk(
            heading="No worker takes up what is queued",
            words=f"{len(stuck)} queued for more than {words.duration(QUEUED_TOO_LONG_SECS)}."
            " Either every worker is busy, or none runs: see that `manage.py worker` is up.",
            tone="warn",
        )
    ]


def of_requests(rows: QuerySet[MigrationRequest]) -> list[Risk]:
    """Checkpoints that are lost or soon will be, and copies held back for long; the worst first."""
    now = timezone.now()
    newest = Checkpoint.objects.filter(request=OuterRef("pk")).order_by("-id")
    lost = Checkpoint.objects.filter(pk=OuterRef("newest_checkpoint"), resumable=False).exclude(
        why_not=mirrors.SUPERSEDED
    )
    resting = rows.filter(state__in=mirrors.RESTING, fresh_wanted=False).annotate(
        newest_checkpoint=Subquery(newest.values("pk")[:1])
    )
    at_rest = resting.annotate(is_lost=Exists(lost)).filter(
        Q(is_lost=True) | Q(expiry_warned_at__isnull=False)
    )
    since = now - dt.timedelta(seconds=settings.THROTTLED_LONG_SECS)
    held = rows.filter(state__in=LEASED_STATES, throttled_since__lte=since).exclude(throttled="")
    found = list(at_rest[:SHOWN])
    checkpoints = Checkpoint.objects.in_bulk([row.newest_checkpoint for row in found])
    risks = [_of_checkpoint(row, checkpoints[row.newest_checkpoint], now) for row in found]
    risks += [_held_back(row, now) for row in held[:SHOWN]]
    return sorted(risks, key=lambda risk: risk.tone != "bad")


def _of_checkpoint(row: MigrationRequest, checkpoint: Checkpoint, now: dt.datetime) -> Risk:
    rows_copied = words.grouped(checkpoint.rows_copied)
    if checkpoint.resumable is False:
        then = (
            "a start is refused until somebody orders “start afresh”"
            if row.strict
            else "a start begins again at the first row"
        )
        return Risk(
            heading=_title(row),
            words=f"Its checkpoint cannot be resumed: {then}. {checkpoint.why_not}",
            tone="bad",
            url=request_url(row.pk),
            where=_where(row),
        )
    hours = expiries.end_of(checkpoint, row).hours_left(now)
    left = f"for {words.about(hours * 3600)} more" if hours else "perhaps no more"
    return Risk(
        heading=_title(row),
        words=f"Its checkpoint can be resumed {left}; then {rows_copied} copied rows are lost."
        " Start it before.",
        tone="warn",
        url=request_url(row.pk),
        where=_where(row),
    )


def _held_back(row: MigrationRequest, now: dt.datetime) -> Risk:
    since = row.throttled_since or now
    return Risk(
        heading=_title(row),
        words=f"Held back for {words.duration((now - since).total_seconds())}: {row.throttled}.",
        tone="warn",
        url=request_url(row.pk),
        where=_where(row),
    )


def _title(row: MigrationRequest) -> str:
    return row.title or row.table


def _where(row: MigrationRequest) -> str:
    return f"#{row.pk}, {row.table} on {row.target.name}"
