"""The progress card of a request page: where it stands, in figures and steps."""

from __future__ import annotations

import dataclasses

from django.utils import timezone

from migrations_app import words
from migrations_app.engine import Method, Phase
from migrations_app.models import LEASED_STATES, MigrationRequest, State

METHODS: dict[str, str] = {
    Method.INSTANT: "instant, metadata only",
    Method.INPLACE: "in place, metadata only",
    Method.COPY: "copy to a shadow table",
}
_COUNTED = frozenset({"", Phase.SETUP.value, Phase.COPY_ROWS.value, Phase.CHECKSUM.value})
# Several times as long as between two reports.
_SILENT_SECS = 10
_BEGUN = frozenset({State.QUEUED, State.RUNNING})
TONES: dict[str, str] = {
    State.COMPLETED: "good",
    State.FAILED: "bad",
    State.STOPPED: "quiet",
    State.CANCELLED: "quiet",
    State.INTERRUPTED: "warn",
}


@dataclasses.dataclass(frozen=True, slots=True)
class ProgressView:
    """The card's words beside the request's own figures. tone: the bar's colour; share: of the
    present step, in percent, None while nobody knows; is_silent: whether a run that should
    report has not done so for long; is_counting:
    whether rows are being copied or verified, so that there is a rate and a time left, or soon
    will be."""

    sentence: str
    has_figures: bool
    share: int | None
    bar_label: str
    tone: str
    method_words: str
    threads: int | None
    is_silent: bool
    is_counting: bool


@dataclasses.dataclass(frozen=True, slots=True)
class StepView:
    """A step of the stepper. status: ``done``, ``now``, ``stuck`` or ``todo``; words say it."""

    label: str
    status: str
    words: str


def read(req: MigrationRequest, threads: int | None) -> ProgressView:
    """The card's words for a request and the threads of its newest run."""
    share = words.share(req.phase, req.fraction) if req.is_active else words.percent(req.fraction)
    if req.state == State.WAITING_FOR_CUTOVER:
        share = 100  # also before the run's next reading says so
    return ProgressView(
        sentence=_sentence(req),
        has_figures=bool(req.is_active or req.rows_total or req.rows_copied),
        share=share,
        bar_label=words.phase_label(req.phase) + ("" if share is None else f": {share} %"),
        tone=TONES.get(req.state, "warn" if req.throttled else "live"),
        method_words=METHODS.get(req.method, ""),
        threads=threads,
        is_silent=_is_silent(req),
        is_counting=req.state in _BEGUN and req.phase in _COUNTED,
    )


def _is_silent(req: MigrationRequest) -> bool:
    """It may have died: its lease ends soon, and nobody has renewed it."""
    if req.state not in LEASED_STATES or req.last_heartbeat_at is None:
        return False
    return (timezone.now() - req.last_heartbeat_at).total_seconds() > _SILENT_SECS


def _sentence(req: MigrationRequest) -> str:
    if req.state in LEASED_STATES and req.state != State.STOPPING and req.phase:
        return words.PHASES.get(req.phase, "")
    if not req.phase:
        return "Not started yet." if not req.is_active else words.state_words(req.state).sentence
    if req.is_final or req.is_active:
        return words.state_words(req.state).sentence
    return f"At rest in the step “{words.phase_label(req.phase)}”."


def steps(state: str, phase: str) -> list[StepView]:
    """Every step with its status; a request that is not running is ``stuck`` where it stands."""
    if state == State.COMPLETED:
        return [StepView(step.label, "done", "done") for step in words.STEPS]
    current = next((i for i, step in enumerate(words.STEPS) if phase in step.phases), -1)
    shown = []
    for index, step in enumerate(words.STEPS):
        if index < current:
            shown.append(StepView(step.label, "done", "done"))
        elif index == current:
            is_moving = state in LEASED_STATES
            status = "now" if is_moving else "stuck"
            shown.append(StepView(step.label, status, "now" if is_moving else "it stands here"))
        else:
            shown.append(StepView(step.label, "todo", "not reached yet"))
    return shown
