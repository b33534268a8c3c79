"""How a run of the engine looks to people in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import (
    Progress as Bars,
)

from migrations_app.engine import (
    UNCOUNTED_PHASES,
    CheckpointRow,
    Event,
    Level,
    Outcome,
    Phase,
    Progress,
)

_PHASE_WORDS = {
    Phase.SETUP: "Setting up",
    Phase.COPY_ROWS: "Copying rows",
    Phase.RESTORE_INDEXES: "Building indexes",
    Phase.APPLY_CHANGESET: "Applying changes",
    Phase.ANALYZE_TABLE: "Analyzing",
    Phase.CHECKSUM: "Verifying rows",
    Phase.POST_CHECKSUM: "Applying changes",
    Phase.WAITING_FOR_CUTOVER: "Waiting for the order to swap",
    Phase.CUT_OVER: "Swapping tables",
    Phase.COMPLETED: "Completed",
    Phase.STOPPED: "Stopped",
    Phase.FAILED: "Failed",
}
# Their words are the outcome's.
_FINAL_PHASES = (Phase.COMPLETED, Phase.STOPPED, Phase.FAILED)
_COLOURS = {Level.INFO: "", Level.WARNING: "yellow", Level.ERROR: "red"}


def eta_words(secs: float | None) -> str:
    """Seconds as ``1 h 05 min``, ``3 min 20 s``, ``40 s``; ``estimating…`` while unknown."""
    if secs is None:
        return "estimating…"
    whole = int(secs)
    hours, minutes, seconds = whole // 3600, whole % 3600 // 60, whole % 60
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


class BarObserver:
    """A progress bar, and a line for each event; plain lines where there is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TextColumn("{task.fields[details]}"),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._bar = self._bars.add_task("Setting up", total=1.0, details="")

    def __enter__(self) -> BarObserver:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def phase_changed(self, phase: Phase) -> None:
        words = _PHASE_WORDS[phase]
        if phase in _FINAL_PHASES:
            # How far it was stays to be seen.
            self._bars.update(self._bar, description=words, details="")
            if phase is Phase.COMPLETED:
                self._bars.update(self._bar, total=1.0, completed=1.0)
        else:
            self._bars.remove_task(self._bar)
            # Without a total the bar moves, and no percentage is shown.
            total = None if phase in UNCOUNTED_PHASES else 1.0
            self._bar = self._bars.add_task(words, total=total, details="")
        if not self._console.is_terminal and phase not in _FINAL_PHASES:
            self._say(words)

    def progressed(self, progress: Progress) -> None:
        self._bars.update(
            self._bar,
            completed=progress.fraction,
            description=_PHASE_WORDS[progress.phase],
            details=_details(progress),
        )

    def checkpoint_written(self, row: CheckpointRow) -> None:
        pass

    def happened(self, event: Event) -> None:
        if event.kind in _FINAL_PHASES:
            return  # the outcome says it
        self._say(event.message, _COLOURS[event.level])

    def may_cut_over(self) -> bool:
        return True

    def ended(self, outcome: Outcome) -> None:
        good = outcome.exit_code in (0, 3)
        self._say(f"{outcome.message} {outcome.advice}".strip(), "" if good else "red")

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(
            text, style=style or None, highlight=False, markup=False, soft_wrap=True
        )


def _details(progress: Progress) -> str:
    parts = []
    if progress.phase in (Phase.COPY_ROWS, Phase.CHECKSUM):
        rows = progress.rows_copied
        if progress.phase is Phase.CHECKSUM:
            rows = progress.rows_checked
        parts.append(f"{rows:,}/{progress.rows_total:,}")
        if progress.rows_per_sec >= 1:
            parts.append(f"{progress.rows_per_sec:,.0f}/s")
        left = " left" if progress.eta_secs is not None else ""
        parts.append(f"{eta_words(progress.eta_secs)}{left}")
    if progress.deltas_waiting:
        parts.append(f"{progress.deltas_waiting:,} changes waiting")
    if progress.throttled:
        parts.append(f"paused: {progress.throttled}")
    return " · ".join(parts)
