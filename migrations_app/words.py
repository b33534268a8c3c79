"""Figures, times and the system's own names, turned into words for people.

Pure functions and tables: nothing here reads the database or a request. Numbers are grouped
(``1,234,567``), durations have two parts at most (``2 h 5 min``), and a state or a phase has one
label, one colour and one sentence, used by every page.
"""

from __future__ import annotations

import dataclasses
import datetime as dt

from migrations_app.engine import UNCOUNTED_PHASES, Phase

MINUTE_SECS = 60
HOUR_SECS = 3600
DAY_SECS = 86400


def grouped(number: int | float | None) -> str:
    """A count for people: ``1,234,567``; a dash while it is unknown."""
    return "–" if number is None else f"{round(number):,}"


def duration(secs: float | None) -> str:
    """A span of time in two parts at most: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 d 4 h``."""
    if secs is None:
        return "–"
    secs = max(0.0, secs)
    if secs < 10 and secs != int(secs):
        return f"{secs:.2g} s" if secs >= 0.05 else "0 s"
    whole = round(secs)
    for unit_secs, unit, part_secs, part in (
        (DAY_SECS, "d", HOUR_SECS, "h"),
        (HOUR_SECS, "h", MINUTE_SECS, "min"),
        (MINUTE_SECS, "min", 1, "s"),
    ):
        if whole >= unit_secs:
            rest = whole % unit_secs // part_secs
            return (
                f"{whole // unit_secs} {unit} {rest} {part}"
                if rest
                else f"{whole // unit_secs} {unit}"
            )
    return f"{whole} s"


def about(secs: float) -> str:
    """A span of time in one rounded-down part, for forecasts: ``about 29 h``, ``about 12 d``."""
    for unit_secs, unit in ((DAY_SECS, "d"), (HOUR_SECS, "h"), (MINUTE_SECS, "min")):
        if secs >= 2 * unit_secs:
            return f"about {int(secs // unit_secs)} {unit}"
    return "about a minute" if secs >= MINUTE_SECS else "less than a minute"


def ago(moment: dt.datetime, now: dt.datetime) -> str:
    """How long ago, in one rounded part: ``just now``, ``12 s ago``, ``in 3 min``."""
    secs = (now - moment).total_seconds()
    if abs(secs) < 1.5:
        return "just now"
    size = abs(secs)
    for unit_secs, unit in ((DAY_SECS, "d"), (HOUR_SECS, "h"), (MINUTE_SECS, "min"), (1, "s")):
        if size >= unit_secs:
            text = f"{int(size // unit_secs)} {unit}"
            return f"{text} ago" if secs > 0 else f"in {text}"
    return "just now"


def percent(fraction: float | None) -> int:
    """A fraction as a whole percentage, never outside 0..100 and never 100 before the end."""
    if not fraction or fraction <= 0:
        return 0
    return 100 if fraction >= 1 else min(99, int(fraction * 100))


def share(phase: str, fraction: float | None) -> int | None:
    """How much of a phase is done, in whole percent; None where nobody knows."""
    return None if phase in UNCOUNTED_PHASES else percent(fraction)


@dataclasses.dataclass(frozen=True, slots=True)
class StateWords:
    """How a state is shown. tone: a colour of the style sheet; the text carries the meaning."""

    label: str
    tone: str
    sentence: str


STATES: dict[str, StateWords] = {
    "draft": StateWords("Draft", "quiet", "Not submitted yet. Only its author works on it."),
    "submitted": StateWords("Needs approval", "warn", "Waiting for somebody else to approve it."),
    "approved": StateWords("Approved", "info", "Approved. It starts when somebody orders it to."),
    "queued": StateWords("Queued", "info", "Waiting for a free worker to take it up."),
    "running": StateWords("Running", "live", "A worker is running it now."),
    "waiting_for_cutover": StateWords(
        "Waiting for cut-over",
        "warn",
        "The copy is complete and kept up to date. It waits for the order to swap the tables.",
    ),
    "cutting_over": StateWords("Cutting over", "live", "The tables are being swapped now."),
    "stopping": StateWords("Stopping", "warn", "The run is writing its checkpoint and ending."),
    "stopped": StateWords(
        "Stopped",
        "quiet",
        "Stopped on request. Start goes on from its checkpoint while that can be used.",
    ),
    "interrupted": StateWords(
        "Interrupted", "warn", "The run lost its worker. Another takes it up from the checkpoint."
    ),
    "completed": StateWords("Completed", "good", "The change is live in the table."),
    "failed": StateWords("Failed", "bad", "The run ended with an error. The table is as it was."),
    "rejected": StateWords("Rejected", "bad", "A reviewer declined it. Nothing was changed."),
    "cancelled": StateWords("Cancelled", "quiet", "Given up for good. Nothing was changed."),
}


def state_words(state: str) -> StateWords:
    """The words for a request's state; an unknown one is shown by its own name."""
    return STATES.get(state, StateWords(state.replace("_", " ").capitalize(), "quiet", ""))


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step of the stepper: its label and the engine phases it covers."""

    label: str
    phases: tuple[Phase, ...]


STEPS = (
    Step("Set up", (Phase.SETUP,)),
    Step("Copy rows", (Phase.COPY_ROWS,)),
    Step("Build indexes", (Phase.RESTORE_INDEXES,)),
    Step("Apply changes", (Phase.APPLY_CHANGESET, Phase.ANALYZE_TABLE)),
    Step("Verify", (Phase.CHECKSUM, Phase.POST_CHECKSUM)),
    Step("Cut over", (Phase.WAITING_FOR_CUTOVER, Phase.CUT_OVER)),
    Step("Done", (Phase.COMPLETED,)),
)

PHASES: dict[str, str] = {
    Phase.SETUP: "Checking the table, the server's settings and any checkpoint.",
    Phase.COPY_ROWS: "Copying rows into the shadow table in chunks; the table stays in full use.",
    Phase.RESTORE_INDEXES: "Building the secondary indexes on the shadow table, all at once.",
    Phase.APPLY_CHANGESET: "Applying the changes made to the table since its rows were copied.",
    Phase.ANALYZE_TABLE: "Refreshing the shadow table's statistics for the optimizer.",
    Phase.CHECKSUM: "Comparing every row of the two tables, without locking either.",
    Phase.POST_CHECKSUM: "Applying the last changes after the comparison.",
    Phase.WAITING_FOR_CUTOVER: "Every row is copied and verified; waiting for the cut-over order.",
    Phase.CUT_OVER: "Swapping the tables in one atomic rename, under a short lock.",
    Phase.COMPLETED: "The change is live in the table.",
    Phase.STOPPED: "Stopped; the checkpoint is kept.",
    Phase.FAILED: "The run ended with an error; the table is as it was.",
}


def phase_label(phase: str) -> str:
    """The step a phase belongs to, or the phase's own name made readable."""
    for step in STEPS:
        if phase in step.phases:
            return step.label
    return phase.replace("_", " ").capitalize() if phase else "Not begun"


EVENT_LABELS: dict[str, str] = {
    "submitted": "Submitted",
    "fresh_start": "Began again",
    "resume_failed": "Resume failed",
    "throttled_long": "Held back for long",
    "checkpoint_expiring": "Checkpoint expires soon",
    "checkpoint_stale": "Checkpoint is of no use",
    "runner_lost": "Worker lost",
    "server_lost": "Server lost",
    "constraints_renamed": "Constraints renamed",
    "waiting_for_prepared": "Waiting for a prepared transaction",
    "reader_held": "Reading held back",
    "reader_released": "Reading on",
    "session_killed": "Session ended by cut-over",
    "cutover_started": "Cut-over started",
    "cutover_blocked": "Cut-over blocked",
    "cutover_done": "Tables swapped",
    "difference_repaired": "Difference repaired",
    "indexes_deferred": "Indexes deferred",
    "indexes_restored": "Indexes built",
    "histograms_built": "Histograms built",
    "histograms_lost": "Histograms lost",
    "stream_reconnected": "Stream reconnected",
    "volume_changed": "Volume changed",
    "threads_changed": "Threads changed",
    "threads_fixed": "Threads not adapted",
    "server_setting": "Server setting",
    "waiting_for_cutover": "Waiting for cut-over",
    "notice_failed": "Notice not delivered",
}


def event_label(kind: str) -> str:
    """An event's kind as a heading: ``fresh_start`` is ``Began again``."""
    return EVENT_LABELS.get(kind) or kind.replace("_", " ").capitalize()


LEVEL_TONES = {"info": "quiet", "warning": "warn", "error": "bad"}
OUTCOME_TONES = {
    "completed": "good",
    "stopped": "quiet",
    "failed": "bad",
    "refused": "bad",
    "strict": "bad",
    "transient": "warn",
    "lost": "warn",
}


def level_tone(level: str) -> str:
    """The colour of an event's level."""
    return LEVEL_TONES.get(level, "quiet")


def outcome_tone(outcome: str) -> str:
    """The colour of a run's outcome; a run still going is ``live``."""
    return OUTCOME_TONES.get(outcome, "quiet") if outcome else "live"


def shortened(text: str, length: int = 120) -> str:
    """One line of at most ``length`` characters, with an ellipsis when something was cut."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"
