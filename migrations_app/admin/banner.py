"""The banners of a request page: what went wrong, what was lost, and what to do about it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from migrations_app.models import Event, MigrationRequest, State

ADVICE: dict[str, str] = {
    State.FAILED: "The table is as it was. What was copied and the checkpoint are kept as far as"
    " the message does not say otherwise. Correct what it names, then order a retry.",
    State.INTERRUPTED: "Nothing needs to be done: another attempt resumes from the checkpoint.",
    State.REJECTED: "Submit a similar request with the changes the reviewer asked for.",
}
HEADINGS: dict[str, str] = {
    State.FAILED: "The last run failed",
    State.INTERRUPTED: "The run was interrupted",
    State.REJECTED: "This request was rejected",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Fallback:
    """A fresh start that a run had to make. rows_lost: None when it is not known."""

    at: dt.datetime
    reason: str
    rows_lost: int | None
    position: str


def context(req: MigrationRequest) -> dict[str, Any]:
    """The banners' part of a request page's context."""
    heading = HEADINGS.get(req.state, "")
    return {
        "error_heading": heading,
        "error_message": req.message if heading else "",
        "error_advice": ADVICE.get(req.state, ""),
        "error_tone": "warn" if req.state == State.INTERRUPTED else "bad",
        "fallback": _fallback(req),
    }


def _fallback(req: MigrationRequest) -> Fallback | None:
    """The newest fresh start after a checkpoint was unusable; none once the request has ended."""
    if req.is_final:
        return None
    event = Event.objects.filter(request=req, kind="fresh_start").first()
    if event is None:
        return None
    data = event.data
    reason = str(data.get("reason") or event.message).rstrip(".")
    return Fallback(
        at=event.created_at,
        reason=f"{reason}.",
        rows_lost=data.get("rows_lost"),
        position=str(data.get("old_position") or ""),
    )
