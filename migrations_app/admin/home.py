"""The home page: what needs its reader, what runs, what is at risk, and what ended lately."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from migrations_app import words
from migrations_app.admin import needs
from migrations_app.admin.access import SUBMIT, Reader, may
from migrations_app.admin.links import admin_url, request_url
from migrations_app.models import ACTIVE_STATES, FINAL_STATES, MigrationRequest, State, Target

SHOWN = 8
# A queued request is taken up within seconds; after this long something is wrong with the workers.
QUEUED_TOO_LONG_SECS = 120


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One request as a line of the home page."""

    title: str
    url: str
    state: str
    where: str
    since: dt.datetime
    ask: str
    fraction: float
    words: str


@dataclasses.dataclass(frozen=True, slots=True)
class Risk:
    """Something at risk, above everything else."""

    heading: str
    words: str
    tone: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add ``home`` to the index page's context."""
    user = request.user
    may_view = may(user, "view_migrationrequest")
    rows = MigrationRequest.objects.select_related("target")
    if not may_view:
        rows = rows.none()
    waiting = needs.needing(user).select_related("target") if may_view else rows.none()
    needs_me = list(waiting[:SHOWN])
    active = list(rows.filter(state__in=ACTIVE_STATES)[:SHOWN])
    recent = rows.filter(state__in=FINAL_STATES).order_by("-updated_at")[:SHOWN]
    context["title"] = "Home"
    context["home"] = {
        "warnings": _warnings(active),
        "needs_me": [_item(row) for row in needs_me],
        "needs_me_total": waiting.count() if len(needs_me) == SHOWN else len(needs_me),
        "active": [_item(row) for row in active],
        "recent": [_item(row) for row in recent],
        **_links(user),
    }
    return context


def _links(user: Reader) -> dict[str, Any]:
    requests_url = admin_url("migrationrequest_changelist")
    return {
        "has_targets": Target.objects.exists(),
        "add_target_url": admin_url("target_add") if may(user, "add_target") else "",
        "submit_url": admin_url("migrationrequest_add") if may(user, SUBMIT) else "",
        "requests_url": requests_url,
        "needs_me_url": f"{requests_url}?tab=needs_me",
    }


def _item(row: MigrationRequest) -> Item:
    return Item(
        title=row.title or row.table,
        url=request_url(row.pk),
        state=row.state,
        where=f"#{row.pk}, {row.table} on {row.target.name}",
        since=row.updated_at,
        ask=needs.ask(row.state),
        fraction=row.fraction,
        words=progress_words(row),
    )


def progress_words(row: MigrationRequest) -> str:
    """Where an active request stands, in a few words: step, share, rate and time left."""
    if row.state in {State.QUEUED, State.INTERRUPTED, State.STOPPING} or not row.phase:
        return words.state_words(row.state).sentence
    if row.throttled:
        return f"paused: {words.shortened(row.throttled, 60)}"
    parts = [words.phase_label(row.phase).lower(), f"{words.percent(row.fraction)} %"]
    if row.rows_per_sec:
        parts.append(f"{words.grouped(row.rows_per_sec)} rows/s")
    if row.eta_secs is not None:
        parts.append(f"{words.duration(row.eta_secs)} left")
    return ", ".join(parts)


def _warnings(active: list[MigrationRequest]) -> list[Risk]:
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
