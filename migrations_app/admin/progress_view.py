"""The progress card of a request page: where it stands, in figures, steps and a trend."""

from __future__ import annotations

import dataclasses
import datetime as dt

from migrations_app import words
from migrations_app.engine import Method, Phase
from migrations_app.models import LEASED_STATES, MigrationRequest, Run, Sample, State

SHOWN_SAMPLES = 120
TREND_WIDTH, TREND_HEIGHT = 100.0, 38.0

METHODS: dict[str, str] = {
    Method.INSTANT: "instant, metadata only",
    Method.INPLACE: "in place, metadata only",
    Method.COPY: "copy to a shadow table",
}
TONES: dict[str, str] = {
    State.COMPLETED: "good",
    State.FAILED: "bad",
    State.STOPPED: "quiet",
    State.CANCELLED: "quiet",
    State.INTERRUPTED: "warn",
}


@dataclasses.dataclass(frozen=True, slots=True)
class ProgressView:
    """The card's words beside the request's own figures. tone: the bar's colour."""

    sentence: str
    has_figures: bool
    fraction: float
    bar_label: str
    tone: str
    method_words: str
    threads: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class StepView:
    """A step of the stepper. status: ``done``, ``now``, ``stuck`` or ``todo``; words say it."""

    label: str
    status: str
    words: str


@dataclasses.dataclass(frozen=True, slots=True)
class Trend:
    """Rows per second over the last samples, as the points of an SVG polyline."""

    points: str
    highest: float
    since: dt.datetime


def read(req: MigrationRequest, run: Run | None) -> ProgressView:
    """The card's words for a request and its newest run."""
    is_done = req.state == State.COMPLETED
    return ProgressView(
        sentence=_sentence(req),
        has_figures=bool(req.rows_total or req.rows_copied),
        fraction=1.0 if is_done else req.fraction,
        bar_label=f"{words.phase_label(req.phase)}: {words.percent(req.fraction)} %",
        tone=TONES.get(req.state, "warn" if req.throttled else "live"),
        method_words=METHODS.get(req.method, ""),
        threads=run.threads if run else None,
    )


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


def trend(run: Run | None) -> Trend | None:
    """The newest run's copy rate over its last samples, oldest first."""
    if run is None:
        return None
    newest = Sample.objects.filter(run=run, phase=Phase.COPY_ROWS).order_by("-id")
    readings = list(newest.values_list("taken_at", "rows_per_sec")[:SHOWN_SAMPLES])
    return trend_of(readings[::-1])


def trend_of(readings: list[tuple[dt.datetime, float]]) -> Trend | None:
    """The trend of (moment, rows per second) readings, oldest first; None below three."""
    highest = max((rate for _, rate in readings), default=0.0)
    if len(readings) < 3 or highest <= 0:
        return None
    first, last = readings[0][0], readings[-1][0]
    span_secs = max((last - first).total_seconds(), 0.001)
    points = " ".join(
        f"{(at - first).total_seconds() / span_secs * TREND_WIDTH:.1f},"
        f"{1 + TREND_HEIGHT * (1 - rate / highest):.1f}"
        for at, rate in readings
    )
    return Trend(points, highest, first)
