"""The charts of a request page: rows per second, changes waiting, replica lag, time of a chunk.

Their x axis is the time that runs have worked on the request, one after the other: what lies
between them (a night, a weekend) would leave no room for the rest. Where a run gave way to the next
there is a mark: a stop, a failure, a change of volume.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from django.db.models import F, Window
from django.db.models.functions import Mod, RowNumber

from migrations_app import words
from migrations_app.models import MigrationRequest, Run, Sample

# More than a chart has pixels for helps nobody, and costs each poll.
SHOWN_READINGS = 240
SHOWN_RUNS = 200
SHOWN_MARKS = 40
LISTED_MARKS = 6
WIDTH, HEIGHT = 600.0, 100.0
_LEAST_READINGS = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """One reading, secs after the first run's start, with its place in the sequence of runs."""

    at_secs: float
    run: int
    rows_per_sec: float
    deltas_waiting: int
    replica_lag_secs: float | None
    chunk_secs: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """Where one run gave way to the next. x: in the chart's own units."""

    x: float
    at: str
    words: str
    tone: str


@dataclasses.dataclass(frozen=True, slots=True)
class Chart:
    """One chart. line, area: SVG paths; scale: what its upper edge means."""

    name: str
    title: str
    line: str
    area: str
    scale: str
    now: str
    summary: str


@dataclasses.dataclass(frozen=True, slots=True)
class _Series:
    name: str
    title: str
    value: Callable[[Reading], float | None]
    text: Callable[[float], str]
    is_always_shown: bool = True


def _per_sec(value: float) -> str:
    return f"{words.grouped(value)} rows/s"


def _secs(value: float) -> str:
    if 0 < value < 1:
        return f"{round(value * 1000):,} ms"
    return f"{value:.1f} s" if value < 60 else words.duration(value)


_SERIES = (
    _Series("rows", "Rows per second", lambda one: one.rows_per_sec, _per_sec),
    _Series("waiting", "Changes waiting", lambda one: one.deltas_waiting, words.grouped),
    _Series("lag", "Replica lag", lambda one: one.replica_lag_secs, _secs, False),
    _Series("chunk", "Time of a chunk", lambda one: one.chunk_secs, _secs),
)
_EMPTY = {
    series.name: Chart(
        series.name, series.title, "", "", "", "–", f"{series.title}: no reading yet."
    )
    for series in _SERIES
}


def context(req: MigrationRequest) -> dict[str, Any]:
    """``charts`` and their ``marks``; none for a request that never ran.

    A run that has only begun has empty ones: the page must not jump when they fill.
    """
    runs = _runs(req)
    starts, total_secs = _timeline(runs)
    readings = _readings(req, runs, starts)
    if len(readings) < _LEAST_READINGS or total_secs <= 0:
        empty = [_EMPTY[series.name] for series in _SERIES if series.is_always_shown]
        charts = empty if req.is_active else []
        return {"charts": charts, "marks": [], "newest_marks": [], "charted_secs": 0}
    drawn = [chart for series in _SERIES if (chart := _draw(series, readings, total_secs))]
    marks = _marks(runs, starts, total_secs)
    return {
        "charts": drawn,
        "marks": marks,
        "newest_marks": marks[-LISTED_MARKS:],
        "charted_secs": total_secs,
    }


def _runs(req: MigrationRequest) -> list[Run]:
    """The newest runs, oldest first."""
    rows = Run.objects.filter(request=req).only(
        "number", "volume", "started_at", "ended_at", "outcome", "request"
    )
    return list(rows.order_by("-number")[:SHOWN_RUNS])[::-1]


def _timeline(runs: Sequence[Run]) -> tuple[dict[int, float], float]:
    """When each run began on the charts' axis, by its key, and the length of all."""
    starts: dict[int, float] = {}
    newest = Sample.objects.filter(run=runs[-1].pk).order_by("-id") if runs else None
    last = newest.values_list("taken_at", flat=True).first() if newest is not None else None
    total_secs = 0.0
    for run in runs:
        starts[run.pk] = total_secs
        end: dt.datetime = run.ended_at or last or run.started_at
        total_secs += max(0.0, (end - run.started_at).total_seconds())
    return starts, total_secs


def _readings(
    req: MigrationRequest, runs: Sequence[Run], starts: dict[int, float]
) -> list[Reading]:
    """Readings of the runs, evenly chosen, oldest first; always with the newest."""
    rows = Sample.objects.filter(run__in=list(starts)).order_by("id")
    count = rows.count()
    if not count:
        return []
    step = math.ceil(count / SHOWN_READINGS)
    if step > 1:
        nth = Window(RowNumber(), order_by=F("id").desc())
        rows = rows.annotate(nth=Mod(nth - 1, step)).filter(nth=0).order_by("id")
    began = {run.pk: run.started_at for run in runs}
    fields = (
        "run_id", "taken_at", "rows_per_sec", "deltas_waiting", "replica_lag_secs",
        "chunk_time_secs",
    )  # fmt: skip
    return [
        Reading(
            at_secs=starts[run] + max(0.0, (taken_at - began[run]).total_seconds()),
            run=run,
            rows_per_sec=rate,
            deltas_waiting=waiting,
            replica_lag_secs=lag,
            chunk_secs=chunk_secs or None,
        )
        for run, taken_at, rate, waiting, lag, chunk_secs in rows.values_list(*fields)
    ]


def _draw(series: _Series, readings: Sequence[Reading], total_secs: float) -> Chart | None:
    points = [
        (one.at_secs, one.run, value)
        for one in readings
        if (value := series.value(one)) is not None
    ]
    if not points:
        return _EMPTY[series.name] if series.is_always_shown else None
    highest = max(value for _, _, value in points)
    top = _round_up(highest)
    line, area = _paths(points, total_secs, top)
    newest = points[-1][2]
    return Chart(
        name=series.name,
        title=series.title,
        line=line,
        area=area,
        scale=series.text(top),
        now=series.text(newest),
        summary=f"{series.title}: {series.text(newest)} at the last reading, at most "
        f"{series.text(highest)} in {words.duration(total_secs)} of work.",
    )


def _paths(
    points: Sequence[tuple[float, int, float]], total_secs: float, top: float
) -> tuple[str, str]:
    """The line and the area under it; each run has its own, so that no line joins two."""
    line: list[str] = []
    area: list[str] = []
    by_run: dict[int, list[tuple[float, float]]] = {}
    for at_secs, run, value in points:
        x, y = WIDTH * min(1.0, at_secs / total_secs), HEIGHT * (1 - value / top)
        by_run.setdefault(run, []).append((x, y))
    for places in by_run.values():
        path = " ".join(f"{x:.1f} {y:.1f}" for x, y in places)
        line.append(f"M{path}")
        area.append(f"M{places[0][0]:.1f} {HEIGHT} {path} {places[-1][0]:.1f} {HEIGHT}Z")
    return "".join(line), "".join(area)


def _round_up(value: float) -> float:
    """The next 1, 2 or 5 times a power of ten: a scale that does not move with every reading."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def _marks(runs: Sequence[Run], starts: dict[int, float], total_secs: float) -> list[Mark]:
    """Oldest first."""
    marks = []
    for before, after in itertools.pairwise(runs):
        said, tone = _mark_words(before, after)
        at_secs = starts[after.pk]
        x = WIDTH * at_secs / total_secs
        marks.append(Mark(round(x, 1), words.duration(at_secs), said, tone))
    return marks[-SHOWN_MARKS:]


def _mark_words(before: Run, after: Run) -> tuple[str, str]:
    if before.volume != after.volume:
        return f"volume {before.volume} → {after.volume}", "info"
    outcome = before.outcome or "ended"
    said = "its worker was lost" if outcome == Run.LOST else outcome
    return said, words.outcome_tone(before.outcome)
