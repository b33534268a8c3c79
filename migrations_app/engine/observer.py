"""What a run tells its caller: phases, progress, checkpoints, events, and how it ended."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
from collections.abc import Mapping
from typing import Any, Protocol


class Phase(enum.StrEnum):
    """Where a run stands, in the order in which a copying run goes through them."""

    SETUP = "setup"
    COPY_ROWS = "copy_rows"
    RESTORE_INDEXES = "restore_indexes"
    APPLY_CHANGESET = "apply_changeset"
    ANALYZE_TABLE = "analyze_table"
    CHECKSUM = "checksum"
    POST_CHECKSUM = "post_checksum"
    WAITING_FOR_CUTOVER = "waiting_for_cutover"
    CUT_OVER = "cut_over"
    COMPLETED = "completed"
    STOPPED = "stopped"
    FAILED = "failed"


# Nobody knows how long they still take: the server does not say how far an index build is, and
# what is still to be applied goes on arriving.
UNCOUNTED_PHASES = frozenset(
    {
        Phase.RESTORE_INDEXES,
        Phase.APPLY_CHANGESET,
        Phase.ANALYZE_TABLE,
        Phase.POST_CHECKSUM,
        Phase.CUT_OVER,
    }
)


class Method(enum.StrEnum):
    """How the server was brought to make the change."""

    UNDECIDED = ""
    INSTANT = "instant"
    INPLACE = "inplace"
    COPY = "copy"


class Level(enum.StrEnum):
    """How much an event matters to the person on call."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class OutcomeKind(enum.StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    FAILED = "failed"
    REFUSED = "refused"
    STOPPED = "stopped"
    STRICT = "strict"
    TRANSIENT = "transient"


EXIT_CODES: Mapping[OutcomeKind, int] = {
    OutcomeKind.COMPLETED: 0,
    OutcomeKind.FAILED: 1,
    OutcomeKind.REFUSED: 2,
    OutcomeKind.STOPPED: 3,
    OutcomeKind.STRICT: 4,
    OutcomeKind.TRANSIENT: 5,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something worth a line in the history.

    kind: a short name such as ``started``, ``resumed``, ``fresh_start``, ``throttled``;
    data: JSON-compatible details. Never holds a password.
    """

    kind: str
    message: str
    level: Level = Level.INFO
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """A reading of a run, taken about once a second.

    rows_copied: rows whose chunks are done, earlier runs included; rows_total: the server's
    estimate; fraction: 0.0 to 1.0 for the present phase, never above 1, and 0 throughout an
    uncounted one; rows_per_sec: over the last seconds; eta_secs: None while unknown;
    deltas_waiting: keys read from the binary log and not yet applied; deltas_applied: in this run;
    throttled: the reason, or "".
    """

    phase: Phase
    rows_copied: int = 0
    rows_total: int = 0
    fraction: float = 0.0
    rows_per_sec: float = 0.0
    eta_secs: float | None = None
    deltas_waiting: int = 0
    deltas_applied: int = 0
    chunk_time_secs: float = 0.0
    chunk_rows: int = 0
    threads: int = 0
    replica_lag_secs: float | None = None
    throttled: str = ""
    position: str = ""
    rows_checked: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class CheckpointRow:
    """One row of a checkpoint table, as written to the target (fields as its columns)."""

    id: int
    copier_watermark: str
    checksum_watermark: str
    binlog_name: str
    binlog_pos: int
    statement: str
    gtid_set: str
    phase: str
    deferred_indexes: str
    cutover_intent: bool
    rows_copied: int
    table_name: str
    engine_version: str
    created_at: dt.datetime

    @property
    def position(self) -> str:
        """The binary log position as people write it: ``binlog.000042:4567``."""
        return f"{self.binlog_name}:{self.binlog_pos}"


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, with a sentence for a person.

    advice: what whoever ran the engine does next, "" when there is nothing to do.
    """

    kind: OutcomeKind
    message: str
    method: Method = Method.UNDECIDED
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    advice: str = ""

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.kind]


class Observer(Protocol):
    """Receives what a run reports. Every method is called on the thread that called ``run``.

    An exception raised by any of them ends the run: nothing more is written, no cut-over is
    made, everything is closed, and the exception leaves ``run``.
    """

    def phase_changed(self, phase: Phase) -> None: ...

    def progressed(self, progress: Progress) -> None:
        """Called at least once a second for as long as the run lives: a place for heartbeats."""

    def checkpoint_written(self, row: CheckpointRow) -> None: ...

    def happened(self, event: Event) -> None: ...

    def may_cut_over(self) -> bool:
        """Asked under the table lock, right before the rename. False leaves the tables alone."""
        ...


class SilentObserver:
    """An observer that watches nothing and always allows the cut-over."""

    def phase_changed(self, phase: Phase) -> None:
        pass

    def progressed(self, progress: Progress) -> None:
        pass

    def checkpoint_written(self, row: CheckpointRow) -> None:
        pass

    def happened(self, event: Event) -> None:
        pass

    def may_cut_over(self) -> bool:
        return True
