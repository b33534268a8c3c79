"""The home page: what needs its reader, what runs, what is at risk, and what ended lately."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from migrations_app import words
from migrations_app.admin import needs, risks
from migrations_app.admin.access import SUBMIT, Reader, may
from migrations_app.admin.links import admin_url, request_url
from migrations_app.models import ACTIVE_STATES, FINAL_STATES, MigrationRequest, State, Target

SHOWN = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Item:
    """One request as a line of the home page."""

    pk: int
    title: str
    url: str
    state: str
    where: str
    since: dt.datetime
    ask: str
    share: int | None
    words: str


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
        "risks": risks.of_requests(rows) if may_view else [],
        "warnings": risks.of_workers(active),
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
        "url": reverse("admin:index"),
        "has_targets": Target.objects.exists(),
        "add_target_url": admin_url("target_add") if may(user, "add_target") else "",
        "submit_url": admin_url("migrationrequest_add") if may(user, SUBMIT) else "",
        "requests_url": requests_url,
        "needs_me_url": f"{requests_url}?tab=needs_me",
    }


def _item(row: MigrationRequest) -> Item:
    return Item(
        pk=row.pk,
        title=row.title or row.table,
        url=request_url(row.pk),
        state=row.state,
        where=f"#{row.pk}, {row.table} on {row.target.name}",
        since=row.updated_at,
        ask=needs.ask(row.state),
        share=words.share(row.phase, row.fraction),
        words=progress_words(row),
    )


def progress_words(row: MigrationRequest) -> str:
    """Where an active request stands, in a few words: step, share, rate and time left."""
    if row.state in {State.QUEUED, State.INTERRUPTED, State.STOPPING} or not row.phase:
        return words.state_words(row.state).sentence
    if row.throttled:
        return f"paused: {words.shortened(row.throttled, 60)}"
    parts = [words.phase_label(row.phase).lower()]
    if (share := words.share(row.phase, row.fraction)) is not None:
        parts.append(f"{share} %")
    if row.rows_per_sec:
        parts.append(f"{words.grouped(row.rows_per_sec)} rows/s")
    if row.eta_secs is not None:
        parts.append(f"{words.duration(row.eta_secs)} left")
    return ", ".join(parts)
