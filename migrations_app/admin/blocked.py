"""Who is in the way of a cut-over: the sessions of its last attempt, for the request page."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from migrations_app.models import Event, MigrationRequest, State

_TOLD = "cutover_blocked"


@dataclasses.dataclass(frozen=True, slots=True)
class BlockerView:
    """A session that held the table. note: why it was not ended."""

    session_id: int
    account: str
    rows_modified: int
    note: str


@dataclasses.dataclass(frozen=True, slots=True)
class BlockedView:
    """The last attempt to swap that did not get through. attempt, next_at: None when it was a
    session that could not be ended during one."""

    message: str
    attempt: int | None
    at: dt.datetime
    next_at: dt.datetime | None
    sessions: list[BlockerView]


def context(req: MigrationRequest) -> dict[str, Any]:
    """``blocked`` while the cut-over is being tried; None otherwise."""
    if req.state not in (State.CUTTING_OVER, State.WAITING_FOR_CUTOVER):
        return {"blocked": None}
    run = req.runs.first()
    event = Event.objects.filter(request=req, run=run, kind=_TOLD).first() if run else None
    return {"blocked": None if event is None else _view(event)}


def _view(event: Event) -> BlockedView:
    data = event.data
    pause_secs = data.get("next_attempt_secs")
    next_at = None
    if isinstance(pause_secs, int | float):
        next_at = event.created_at + dt.timedelta(seconds=pause_secs)
    # One that could not be ended is told of by itself.
    sessions = data.get("blockers", [data] if "session_id" in data else [])
    return BlockedView(
        message=event.message,
        attempt=data.get("attempt"),
        at=event.created_at,
        next_at=next_at,
        sessions=[
            BlockerView(
                session_id=one["session_id"],
                account=one["account"],
                rows_modified=one["rows_modified"],
                note=one.get("spared") or "",
            )
            for one in sessions
        ],
    )
