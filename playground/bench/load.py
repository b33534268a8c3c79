"""The application that writes while a table is changed, and how long its requests took."""

from __future__ import annotations

import dataclasses
import gc
import time
from types import TracebackType
from typing import Any, Self

from playground.bench.cases import Load
from playground.latency import LatencySummary
from playground.writer import LiveWriter

WARM_UP_SECS = 2.0
BEFORE_SECS = 6.0
AFTER_SECS = 1.0
# The swap is near the end of a run; dropping the old table comes after it.
SWAP_WINDOW_SECS = 5.0
_LOOK_SECS = 0.05
_FOR_EVER_SECS = 24 * 3600.0
_MANY = 10**9


@dataclasses.dataclass(frozen=True)
class Felt:
    """What the application felt, by when its requests were due. before: the seconds before the
    change began; during: from its beginning to its end; at_swap: the last SWAP_WINDOW_SECS of it
    and AFTER_SECS; rate: changes a second it made during the change; by_phase: of a run of ours."""

    before: LatencySummary
    during: LatencySummary
    at_swap: LatencySummary
    rate: float
    retries: dict[int, int]
    by_phase: dict[str, LatencySummary] = dataclasses.field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """For JSON; times in milliseconds."""
        return dataclasses.asdict(self)


class Application:
    """Writes to ``table`` from entering the block to leaving it; ``begin`` and ``end`` mark the
    change. Latency counts from when a request was due. Raises WriterError when it had to give up.
    """

    def __init__(self, dsn: str, table: str, load: Load, seed: int) -> None:
        self.writer = LiveWriter(
            dsn,
            table=table,
            rate=load.rate,
            max_secs=_FOR_EVER_SECS,
            max_changes=_MANY,
            threads=load.connections,
            seed=seed,
            habits=load.habits,
        )
        self._began_secs = self._began_at = 0.0
        self._ended_secs = 0.0
        self._changes = 0

    def __enter__(self) -> Self:
        self.writer.start()
        # The rows it knows of are many and stay: walking through them would look like a stall.
        gc.collect()
        gc.freeze()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.writer.__exit__(kind, error, trace)
        gc.unfreeze()

    def begin(self) -> None:
        """Returns when the application has written for a while; the change begins now."""
        self._write_for(WARM_UP_SECS + BEFORE_SECS)
        self._began_secs, self._began_at = self.writer.elapsed_secs, time.time()
        self._changes = self.writer.changes

    def end(self) -> None:
        """The change has ended; returns when the application has written a little longer."""
        self._ended_secs = self.writer.elapsed_secs
        self._changes = self.writer.changes - self._changes
        self._write_for(AFTER_SECS)

    def felt(self) -> Felt:
        """Once the block is left."""
        began, ended = self._began_secs, self._ended_secs
        swap_secs = max(began, ended - SWAP_WINDOW_SECS)
        return Felt(
            before=self.writer.latency(WARM_UP_SECS, began),
            during=self.writer.latency(began, ended),
            at_swap=self.writer.latency(swap_secs, ended + AFTER_SECS),
            rate=self._changes / max(1e-9, ended - began),
            retries=self.writer.report().retries,
        )

    def felt_between(self, since: float, until: float) -> LatencySummary:
        """Of what was due between two moments (seconds since the epoch); once the block is left."""
        offset = self._began_secs - self._began_at
        return self.writer.latency(since + offset, until + offset)

    def _write_for(self, secs: float) -> None:
        until = time.monotonic() + secs
        while time.monotonic() < until:
            self.writer.check()
            time.sleep(_LOOK_SECS)
