"""The positions of a request's checkpoints against the oldest binary log that its target has left.

What lies below the line of the oldest log cannot be resumed any more. Heights are the numbers of
log files; within a file the offset counts, as a part of the largest file that MySQL writes.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence

from django.utils import timezone

from migrations_app.models import Checkpoint, MigrationRequest

SHOWN = 60
WIDTH, HEIGHT = 600.0, 100.0
# max_binlog_size can be no more.
_LARGEST_FILE_BYTES = 1 << 30


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """One checkpoint. gone: its log is older than the oldest that is left."""

    x: float
    y: float
    position: str
    gone: bool


@dataclasses.dataclass(frozen=True, slots=True)
class PositionChart:
    """points: oldest first; line: SVG points through them; oldest_y, oldest_log: the boundary at
    the last look, None and "" before one; summary: all this in words."""

    points: list[Point]
    line: str
    oldest_y: float | None
    oldest_log: str
    newest_log: str
    looked_at: dt.datetime | None
    since: dt.datetime
    summary: str

    @property
    def gone_height(self) -> float:
        """Of the part that the server has deleted."""
        return 0.0 if self.oldest_y is None else round(max(0.0, HEIGHT - self.oldest_y), 1)


def read(req: MigrationRequest) -> PositionChart | None:
    """The chart of a request; None below two checkpoints of one series of log files."""
    rows = list(
        Checkpoint.objects.filter(request=req)
        .only(
            "received_at", "binlog_name", "binlog_pos", "oldest_log", "newest_log", "looked_at",
            "request",
        )
        .order_by("-id")[:SHOWN]
    )  # fmt: skip
    return chart_of(rows[::-1], timezone.now())


def chart_of(rows: Sequence[Checkpoint], now: dt.datetime) -> PositionChart | None:
    """The chart of checkpoints, oldest first."""
    placed = _of_newest_series(rows)
    if len(placed) < 2:
        return None
    looked = next((row for row, _ in reversed(placed) if row.oldest_log), None)
    oldest = _file_number(looked.oldest_log) if looked else None
    newest = _file_number(looked.newest_log) if looked else None
    heights = [height for _, height in placed]
    low = min([*heights, *([oldest] if oldest is not None else [])])
    high = max([*heights, *([newest] if newest is not None else [])])
    since = placed[0][0].received_at
    span_secs = max(1.0, (now - since).total_seconds())

    def up(height: float) -> float:
        # A little room, so that no point lies on an edge.
        return round(HEIGHT * (0.94 - 0.88 * (height - low) / max(high - low, 1e-9)), 1)

    points = [
        Point(
            x=round(WIDTH * (row.received_at - since).total_seconds() / span_secs, 1),
            y=up(height),
            position=row.position,
            gone=oldest is not None and height < oldest,
        )
        for row, height in placed
    ]
    return PositionChart(
        points=points,
        line=" ".join(f"{point.x},{point.y}" for point in points),
        oldest_y=None if oldest is None else up(oldest),
        oldest_log=looked.oldest_log if looked else "",
        newest_log=looked.newest_log if looked else "",
        looked_at=looked.looked_at if looked else None,
        since=since,
        summary=_summary(points, looked),
    )


def _of_newest_series(rows: Sequence[Checkpoint]) -> list[tuple[Checkpoint, float]]:
    """Checkpoints whose log files have the newest one's name, with their height."""
    if not rows:
        return []
    series = rows[-1].binlog_name.rpartition(".")[0]
    placed = []
    for row in rows:
        number = _file_number(row.binlog_name)
        if number is None or row.binlog_name.rpartition(".")[0] != series:
            continue
        placed.append((row, number + min(0.99, row.binlog_pos / _LARGEST_FILE_BYTES)))
    return placed


def _file_number(name: str) -> int | None:
    digits = name.rpartition(".")[2]
    return int(digits) if digits.isascii() and digits.isdecimal() else None


def _summary(points: Sequence[Point], looked: Checkpoint | None) -> str:
    newest = f"The newest of {len(points)} checkpoints is at {points[-1].position}."
    if looked is None:
        return f"{newest} The target has not been asked for its logs yet."
    gone = sum(point.gone for point in points)
    left = f"The oldest log that the target has left is {looked.oldest_log}"
    return f"{newest} {left}; {gone} of the positions are before it."
