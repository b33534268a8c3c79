"""What a request page tells of the past: events, checkpoints, runs and approvals."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

from django.utils import timezone

from migrations_app import words
from migrations_app.admin import checkpoint_words
from migrations_app.admin.access import Reader
from migrations_app.admin.checkpoint_words import Standing
from migrations_app.admin.links import object_link
from migrations_app.models import Approval, Checkpoint, Event, MigrationRequest, Run

SHOWN_EVENTS = 40
SHOWN_CHECKPOINTS = 8
SHOWN_RUNS = 8

NO_CHECKPOINT = (
    "None yet. The first is saved soon after the copy begins, then one every 50 s at least, with "
    "each phase and at a stop."
)


@dataclasses.dataclass(frozen=True, slots=True)
class EventView:
    """One line of the timeline."""

    pk: int
    kind: str
    level: str
    message: str
    data: dict[str, Any]
    actor_name: str
    run_number: int | None
    created_at: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class CheckpointView:
    """A saved checkpoint. bounds: what is copied completely; resumed_by: numbers of runs; standing:
    whether it can be resumed."""

    created_at: dt.datetime
    position: str
    phase: str
    rows_copied: int
    bounds: str
    run_number: int
    resumed_by: str
    standing: Standing


@dataclasses.dataclass(frozen=True, slots=True)
class RunView:
    """One attempt of the engine."""

    number: int
    url: str
    outcome_words: str
    tone: str
    started_at: dt.datetime
    took_secs: float
    volume: int
    message: str


@dataclasses.dataclass(frozen=True, slots=True)
class ApprovalView:
    """One person's consent, and whether it still counts."""

    who: str
    words: str
    comment: str
    created_at: dt.datetime


def recent_events(req: MigrationRequest) -> list[EventView]:
    """The newest events, newest first."""
    rows = Event.objects.filter(request=req).select_related("actor", "run")[:SHOWN_EVENTS]
    return [
        EventView(
            pk=row.pk,
            kind=row.kind,
            level=row.level,
            message=row.message,
            data=row.data,
            actor_name=row.actor.get_username() if row.actor else "",
            run_number=row.run.number if row.run else None,
            created_at=row.created_at,
        )
        for row in rows
    ]


def recent_checkpoints(req: MigrationRequest) -> list[CheckpointView]:
    """The newest checkpoints, newest first. Ages are by the time they were received here."""
    rows = (
        Checkpoint.objects.filter(request=req)
        .select_related("run")
        .prefetch_related("resumed_by")[:SHOWN_CHECKPOINTS]
    )
    now = timezone.now()
    return [_checkpoint(row, req, now) for row in rows]


def _checkpoint(row: Checkpoint, req: MigrationRequest, now: dt.datetime) -> CheckpointView:
    return CheckpointView(
        created_at=row.received_at,
        position=row.position,
        phase=row.phase,
        rows_copied=row.rows_copied,
        bounds=checkpoint_words.bounds(row.copier_watermark),
        run_number=row.run.number,
        resumed_by=", ".join(f"run {run.number}" for run in row.resumed_by.all()),
        standing=checkpoint_words.standing(row, req, now),
    )


def recent_runs(req: MigrationRequest, user: Reader) -> list[RunView]:
    """The newest runs, newest first."""
    now = timezone.now()
    return [
        RunView(
            number=row.number,
            url=object_link(user, Run, row.pk),
            outcome_words=row.outcome or ("running" if row.ended_at is None else "ended"),
            tone=words.outcome_tone(row.outcome),
            started_at=row.started_at,
            took_secs=((row.ended_at or now) - row.started_at).total_seconds(),
            volume=row.volume,
            message=row.message,
        )
        for row in Run.objects.filter(request=req)[:SHOWN_RUNS]
    ]


def approvals(req: MigrationRequest) -> dict[str, Any]:
    """The approvals given, and what is still missing, as ``approvals`` and ``approval_words``."""
    rows = list(Approval.objects.filter(request=req).select_related("approver"))
    given = sum(1 for row in rows if row.voided_at is None)
    needed = req.target.required_approvals
    people = "person" if needed == 1 else "people"
    text = f"{given} of {needed} given. {needed} {people} other than the requester must approve."
    return {
        "approvals": [
            ApprovalView(
                who=row.approver.get_username(),
                words="approved it"
                if row.voided_at is None
                else "approved an earlier version; it was changed since, so this no longer counts",
                comment=row.comment,
                created_at=row.created_at,
            )
            for row in rows
        ],
        "approval_words": text,
    }
