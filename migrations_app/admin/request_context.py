"""What a request page says, read once and put into words: the context of its parts.

``page_context`` reads a bounded number of rows, however long the history is, and decides nothing
that the lifecycle or the commands have decided already.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from django.contrib.auth.models import User
from django.utils import timezone

from migrations_app import admission, mirrors, snapshots, words
from migrations_app.admin import (
    banner,
    blocked,
    charts,
    history,
    offered,
    position_chart,
    progress_view,
)
from migrations_app.admin.access import SUBMIT, may
from migrations_app.admin.editing import may_edit
from migrations_app.admin.links import admin_url, history_link, object_link
from migrations_app.models import Checkpoint, Event, MigrationRequest, State, Target

# How often a page asks for news. A request at rest changes only when somebody gives an order.
ACTIVE_POLL_SECS = 2
RESTING_POLL_SECS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class OptionLine:
    """One option of a request, as the page lists it."""

    label: str
    value: str


def page_context(req: MigrationRequest, user: User, threads: int | None) -> dict[str, Any]:
    """Everything the parts of a request page show, for this reader. threads: of its newest run."""
    checkpoints = history.recent_checkpoints(req)
    return {
        **progress_context(req, threads),
        **charts.context(req),
        "state": words.state_words(req.state),
        "waiting": waiting(req),
        "snapshot": snapshots.read(req.snapshot),
        "now": timezone.now(),
        "is_final": req.is_final,
        "poll_secs": ACTIVE_POLL_SECS if req.is_active else RESTING_POLL_SECS,
        "live_url": admin_url("migrationrequest_live", req.pk),
        "target_url": object_link(user, Target, req.target_id),
        "clone_url": f"{admin_url('migrationrequest_add')}?like={req.pk}"
        if may(user, SUBMIT)
        else "",
        "option_lines": option_lines(req),
        "events": history.recent_events(req),
        "events_url": history_link(user, Event, req.pk),
        "runs": history.recent_runs(req, user),
        "checkpoints": checkpoints,
        "positions": position_chart.read(req),
        "checkpoint": checkpoints[0] if checkpoints else None,
        "checkpoints_url": history_link(user, Checkpoint, req.pk),
        "no_checkpoint": history.NO_CHECKPOINT,
        **_standing(req, checkpoints),
        **_editing(req, user),
        **banner.context(req),
        **blocked.context(req),
        **offered.context(req, user),
        **history.approvals(req),
    }


def progress_context(req: MigrationRequest, threads: int | None) -> dict[str, Any]:
    """What the progress part alone shows: it is rendered for every poll."""
    return {
        "req": req,
        "is_active": req.is_active,
        "progress": progress_view.read(req, threads),
        "steps": progress_view.steps(req.state, req.phase),
    }


def _standing(req: MigrationRequest, checkpoints: list[history.CheckpointView]) -> dict[str, Any]:
    """What its banner says of the checkpoint of a request at rest."""
    found = checkpoints[0].standing if checkpoints and req.state in mirrors.RESTING else None
    return {
        "expiring": found if found and found.expires_soon else None,
        "unusable": found is not None and found.tone == "bad" and not req.fresh_wanted,
    }


def waiting(req: MigrationRequest) -> str:
    """What a request that is to run waits for, and its place in the queue; "" otherwise."""
    if req.state == State.QUEUED:
        place = admission.place(req)
        where = f"Number {place} in the queue." if place else ""
        return f"{where} {req.waiting_for}".strip()
    if req.state in (State.APPROVED, State.DRAFT, State.WAITING_FOR_CUTOVER):
        return req.message
    return ""


def _editing(req: MigrationRequest, user: User) -> dict[str, Any]:
    is_offered = may_edit(req, user)
    return {
        "edit_url": admin_url("migrationrequest_edit", req.pk) if is_offered else "",
        "edit_words": "Changes the statement or the options."
        if req.state == State.DRAFT
        else "Changes the statement or the options. Approvals given for it no longer count.",
    }


def option_lines(req: MigrationRequest) -> list[OptionLine]:
    """The options a request was submitted with, in words."""
    return [
        OptionLine(
            "When a checkpoint cannot be used",
            "fail and ask (strict)" if req.strict else "begin again",
        ),
        OptionLine(
            "Cut-over", "waits for an order" if req.defer_cutover else "as soon as it is ready"
        ),
        OptionLine(
            "The old table", "is kept" if req.skip_drop else "is dropped after the cut-over"
        ),
        OptionLine(
            "The number of threads",
            "follows what the server says" if req.autoscale else "is the volume's",
        ),
        OptionLine("Secondary indexes", INDEX_WORDS.get(req.defer_indexes, req.defer_indexes)),
        OptionLine("A checkpoint is too old after", words.duration(req.checkpoint_max_age_secs)),
    ]


INDEX_WORDS = {
    "auto": "built after the copy where that pays",
    "on": "built after the copy",
    "off": "built during the copy",
}
