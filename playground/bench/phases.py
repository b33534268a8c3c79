"""What a run of ours says of itself: the JSON lines of ``spirit migrate --json``."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Iterable
from typing import Any

# Before the first line and after the last one; between them are the phases.
STARTING = "program starts"
ENDING = "drops and program ends"
_LAST = ("completed", "stopped", "failed")


@dataclasses.dataclass(frozen=True)
class Reading:
    """One progress line. at: seconds since the epoch; position: file and offset of the log."""

    at: float
    phase: str
    rows_copied: int
    waiting: int
    applied: int
    position: tuple[str, int]


@dataclasses.dataclass(frozen=True)
class Told:
    """One run. phases: name and when it was entered, in seconds since the epoch; stall_secs: how
    long the swap held the table; attempts: at the swap, 0 when there was none."""

    phases: list[tuple[str, float]]
    readings: list[Reading]
    events: list[tuple[str, float]]
    stall_secs: float | None
    attempts: int
    method: str
    message: str

    def phase_secs(self, started_at: float, ended_at: float) -> dict[str, float]:
        """How long each phase took, the program's start and end included, in seconds."""
        found: dict[str, float] = {}
        for name, at, until in self.spans(started_at, ended_at):
            found[name] = found.get(name, 0.0) + until - at
        return found

    def spans(self, started_at: float, ended_at: float) -> list[tuple[str, float, float]]:
        """Each phase with its beginning and end, in seconds since the epoch."""
        points = [(STARTING, started_at), *self.phases]
        points = [(ENDING if name in _LAST else name, at) for name, at in points]
        return [
            (name, at, until)
            for (name, at), (_, until) in zip(points, [*points[1:], ("", ended_at)], strict=True)
        ]

    @property
    def most_waiting(self) -> int:
        """The most changes that waited to be applied, at any reading."""
        return max((reading.waiting for reading in self.readings), default=0)

    def entered_at(self, phase: str) -> float | None:
        return next((at for name, at in self.phases if name == phase), None)


def position_of(text: str) -> tuple[str, int]:
    """``binlog.000042:4567`` in a form that can be compared; nothing sorts first."""
    name, _, offset = text.rpartition(":")
    return name, int(offset) if offset.isdigit() else 0


def reading_of(line: str) -> Reading | None:
    """The reading in one line of output, if it holds one."""
    said = _parsed(line)
    return _reading(said) if said.get("type") == "progress" else None


def read(lines: Iterable[str]) -> Told:
    """Everything in a run's output. What is no JSON (the end of a killed run) is passed over."""
    said = [one for one in map(_parsed, lines) if "type" in one]
    done: dict[str, Any] = next((s["data"] for s in said if s.get("kind") == "cutover_done"), {})
    outcome: dict[str, Any] = next((s for s in reversed(said) if s["type"] == "outcome"), {})
    return Told(
        phases=[(s["phase"], _at(s)) for s in said if s["type"] == "phase"],
        readings=[_reading(s) for s in said if s["type"] == "progress"],
        events=[(s["kind"], _at(s)) for s in said if s["type"] == "event"],
        stall_secs=done.get("stall_secs"),
        attempts=int(done.get("attempts", 0)),
        method=str(outcome.get("method", "")),
        message=str(outcome.get("message", "")),
    )


def _parsed(line: str) -> dict[str, Any]:
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _at(said: dict[str, Any]) -> float:
    return dt.datetime.fromisoformat(said["at"]).timestamp()


def _reading(said: dict[str, Any]) -> Reading:
    return Reading(
        at=_at(said),
        phase=said["phase"],
        rows_copied=said["rows_copied"],
        waiting=said["deltas_waiting"],
        applied=said["deltas_applied"],
        position=position_of(said["position"]),
    )
