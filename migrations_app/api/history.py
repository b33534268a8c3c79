"""What happened to a request: events, checkpoints, runs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router

from migrations_app.api.auth import reader
from migrations_app.api.requests import find
from migrations_app.api.schemas import CheckpointOut, EventOut, Page, RunOut
from migrations_app.models import Checkpoint, Event, Run

router = Router(tags=["history"])


@router.get("/{number}/events", response=list[EventOut], summary="Events, newest first")
def list_events(request: HttpRequest, number: int, page: Query[Page]) -> list[dict[str, Any]]:
    reader(request)
    rows = Event.objects.filter(request=find(number)).select_related("actor", "run")
    if page.before is not None:
        rows = rows.filter(pk__lt=page.before)
    return [
        {
            "id": row.pk,
            "request": row.request_id,
            "run": row.run.number if row.run else None,
            "kind": row.kind,
            "level": row.level,
            "message": row.message,
            "data": row.data,
            "actor": row.actor.get_username() if row.actor else "",
            "created_at": row.created_at,
        }
        for row in rows.order_by("-pk")[: page.limit]
    ]


@router.get(
    "/{number}/checkpoints", response=list[CheckpointOut], summary="Checkpoints, newest first"
)
def list_checkpoints(request: HttpRequest, number: int, page: Query[Page]) -> list[dict[str, Any]]:
    reader(request)
    rows = Checkpoint.objects.filter(request=find(number)).select_related("run")
    if page.before is not None:
        rows = rows.filter(pk__lt=page.before)
    return [
        {
            "id": row.pk,
            "run": row.run.number,
            "position": row.position,
            "gtid_set": row.gtid_set,
            "phase": row.phase,
            "rows_copied": row.rows_copied,
            "resumable": row.resumable,
            "why_not": row.why_not,
            "log_expires_at": row.log_expires_at,
            "looked_at": row.looked_at,
            "created_at": row.created_at,
        }
        for row in rows.order_by("-pk")[: page.limit]
    ]


@router.get("/{number}/runs", response=list[RunOut], summary="Runs, newest first")
def list_runs(request: HttpRequest, number: int, page: Query[Page]) -> list[Run]:
    """``before``: a run's number."""
    reader(request)
    rows = Run.objects.filter(request=find(number))
    if page.before is not None:
        rows = rows.filter(number__lt=page.before)
    return list(rows.order_by("-number")[: page.limit])
