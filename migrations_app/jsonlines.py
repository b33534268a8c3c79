"""How a run of the engine looks to programs: JSON lines."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import sys
from typing import Any, TextIO

from migrations_app.engine import CheckpointRow, Event, Outcome, Phase, Progress


class JsonObserver:
    """One JSON object a line on a stream: ``{"type": "event"|"phase"|"progress"|…, …}``."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def _write(self, type_: str, data: dict[str, Any]) -> None:
        line = {"type": type_, "at": dt.datetime.now(dt.UTC).isoformat(), **data}
        self._stream.write(json.dumps(line, default=str) + "\n")
        self._stream.flush()

    def phase_changed(self, phase: Phase) -> None:
        self._write("phase", {"phase": phase.value})

    def progressed(self, progress: Progress) -> None:
        self._write("progress", dataclasses.asdict(progress))

    def checkpoint_written(self, row: CheckpointRow) -> None:
        self._write("checkpoint", dataclasses.asdict(row))

    def happened(self, event: Event) -> None:
        self._write("event", dataclasses.asdict(event))

    def may_cut_over(self) -> bool:
        return True

    def ended(self, outcome: Outcome) -> None:
        self._write(
            "outcome",
            {
                "outcome": outcome.kind.value,
                "message": outcome.message,
                "advice": outcome.advice,
                "method": outcome.method.value,
                "exit_code": outcome.exit_code,
                "data": dict(outcome.data),
            },
        )
