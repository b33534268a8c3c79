"""Deltas: the keys that changed, read from the binary log and not yet applied.

Rules 2, 3 and 5 of the engine live here. A key at or above the *high watermark* is dropped,
because its chunk will be read later. A key below the *low watermark* may be applied. Between
the two it waits, because its chunk may be in flight.

Deltas are kept in generations. Each generation knows the position at which it began; a resume
from there sees all of its deltas again. So the position before which every delta is in the
shadow table is the beginning of the oldest generation that is not empty, and a few waiting keys
pin it only until their own chunk is done.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterable

from migrations_app.engine.binlog import Position
from migrations_app.engine.keys import Key

Deltas = dict[Key, bool]  # key → whether its last event was a delete


class Unbounded:
    """Above every key."""

    def __repr__(self) -> str:
        return "END"


END = Unbounded()
Bound = Key | Unbounded | None  # None: below every key


@dataclasses.dataclass(slots=True)
class Generation:
    """Deltas of one stretch of the binary log; ``begins`` is a transaction boundary."""

    begins: Position
    deltas: Deltas = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True)
class Batch:
    """Deltas to be applied, and the ticket of what must be visible first."""

    deltas: Deltas
    ticket: int


class DeltaBuffer:
    """The deltas of one table. Thread-safe: the reader adds, the applier takes.

    The lock also covers the watermarks, so that "drop or keep" is decided against the same high
    watermark that a chunk was handed out with.

    comparable: whether Python orders these keys as the server does (rule 4: if not, every key
    is kept, and only applied while no chunk is in flight).
    ticket: counts deliveries (see visibility.Visibility).
    """

    def __init__(self, start: Position, *, comparable: bool, ticket: Callable[[], int]) -> None:
        self._comparable = comparable
        self._ticket = ticket
        self._lock = threading.Lock()
        self._low: Bound = None
        self._high: Bound = None
        self._keep_upto: Key | None = None
        self._boundary = start
        self._generations = [Generation(start)]
        self._windows: list[set[Key]] = []
        self.received = 0
        self.changed = threading.Event()

    # -- the reader's side

    def add(self, keys: Iterable[Key], deleted: bool) -> None:
        """Note changed keys, in the order of the binary log."""
        keys = list(keys)
        with self._lock:
            self.received += len(keys)
            for window in self._windows:
                window.update(keys)
            kept = self._kept(keys)
            if kept:
                self._generations[-1].deltas.update(dict.fromkeys(kept, deleted))
        self.changed.set()

    def _kept(self, keys: list[Key]) -> list[Key]:
        high = self._high
        if not self._comparable or high is END:
            return keys
        if self._keep_upto is not None and (high is None or high <= self._keep_upto):  # type: ignore[operator]
            # After a resume the shadow table already holds keys above the high watermark.
            last = self._keep_upto
            return [key for key in keys if key <= last]
        if high is None:
            return []
        return [key for key in keys if key < high]  # type: ignore[operator]

    def transaction_ended(self, position: Position) -> None:
        """Everything before this position has been added."""
        with self._lock:
            self._boundary = position
            newest = self._generations[-1]
            if not newest.deltas:
                newest.begins = position

    # -- the copier's side

    def set_keep_upto(self, key: Key | None) -> None:
        """After a resume: the highest key that the shadow table already holds."""
        with self._lock:
            self._keep_upto = key

    def raise_high(self, high: Bound) -> int:
        """Move the high watermark; returns the ticket the chunk's read must wait for (rule 1)."""
        with self._lock:
            self._high = high
            return self._ticket()

    def raise_low(self, low: Bound) -> None:
        with self._lock:
            self._low = low
        self.changed.set()

    def add_repairs(self, keys: Iterable[Key]) -> None:
        """Deltas of our own making: keys to be fetched again, whatever the watermarks."""
        with self._lock:
            self._generations[-1].deltas.update(dict.fromkeys(keys, True))
        self.changed.set()

    # -- the applier's side

    def take(self) -> Batch:
        """All deltas that may be applied now; they stay counted until ``applied``."""
        with self._lock:
            if self._generations[-1].deltas:
                self._generations.append(Generation(self._boundary))
            merged: Deltas = {}
            for generation in self._generations:
                merged.update(self._applicable(generation.deltas))
            return Batch(merged, self._ticket())

    def _applicable(self, deltas: Deltas) -> Deltas:
        low = self._low
        if low is END:
            return deltas
        if low is None or not self._comparable:
            return {}
        return {key: deleted for key, deleted in deltas.items() if key < low}  # type: ignore[operator]

    def take_everything(self) -> Batch:
        """Every delta, waiting or not. Only while no chunk is in flight (rule 4, cut-over)."""
        with self._lock:
            if self._generations[-1].deltas:
                self._generations.append(Generation(self._boundary))
            merged: Deltas = {}
            for generation in self._generations:
                merged.update(generation.deltas)
            return Batch(merged, self._ticket())

    def applied(self, deltas: Deltas) -> None:
        """Forget deltas of the last batch; what was added since it was taken stays."""
        with self._lock:
            for generation in self._generations[:-1]:
                if (
                    len(deltas) >= len(generation.deltas)
                    and deltas.keys() >= generation.deltas.keys()
                ):
                    generation.deltas = {}
                    continue
                for key in deltas:
                    generation.deltas.pop(key, None)
            closed = [generation for generation in self._generations[:-1] if generation.deltas]
            self._generations = [*closed, self._generations[-1]]

    # -- for everybody

    @property
    def waiting(self) -> int:
        """Deltas held, counting a key once in each generation."""
        with self._lock:
            return sum(len(generation.deltas) for generation in self._generations)

    @property
    def safe_position(self) -> Position:
        """Rule 5: a position before which every delta is in the shadow table."""
        with self._lock:
            for generation in self._generations:
                if generation.deltas:
                    return generation.begins
            return self._boundary

    def open_window(self) -> set[Key]:
        """A set that holds every key touched from now on, and those held now; grows until it is
        given to ``close_window``."""
        with self._lock:
            window: set[Key] = set()
            for generation in self._generations:
                window.update(generation.deltas)
            self._windows.append(window)
            return window

    def close_window(self, window: set[Key]) -> None:
        with self._lock:
            self._windows = [other for other in self._windows if other is not window]
