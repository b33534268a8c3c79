"""One table in a copying run: what copies, applies and verifies it, and how far it has got."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

import MySQLdb

from migrations_app.engine import shadow
from migrations_app.engine.applier import Applier
from migrations_app.engine.checkpoint import TableState
from migrations_app.engine.checksum import Checksum, Watermarks
from migrations_app.engine.chunker import FIRST_CHUNK_ROWS, Chunker, ChunkSizer
from migrations_app.engine.copier import Copier
from migrations_app.engine.histograms import Histograms
from migrations_app.engine.keys import Key
from migrations_app.engine.mapping import Mapping
from migrations_app.engine.observer import Event, Phase
from migrations_app.engine.pulse import Pulse
from migrations_app.engine.session import Session
from migrations_app.engine.shadowwriter import ShadowWriter
from migrations_app.engine.throttle import Throttle
from migrations_app.engine.work import Work

_LOOK_EVERY_SECS = 0.03


@dataclasses.dataclass(frozen=True, slots=True)
class TablePlan:
    """Where one table begins. watermarks: None for a fresh start; deferred_indexes: the
    definitions of the indexes to build after the copy."""

    mapping: Mapping
    watermarks: Watermarks | None = None
    deferred_indexes: tuple[str, ...] = ()


class TableRun:
    """The parts of one table. Owns their threads from ``start`` to ``close``.

    catch_up_reader: returns once the reader has delivered all that the server had logged at the
    call; rows: copied by earlier runs.
    """

    def __init__(
        self,
        work: Work,
        plan: TablePlan,
        throttle: Throttle,
        catch_up_reader: Callable[[Session], None],
        rows: int = 0,
    ) -> None:
        self.work = work
        self._watermarks = plan.watermarks
        self.deferred = plan.deferred_indexes
        self.chunker = self._make_chunker()
        self.writer = ShadowWriter(work)
        self.copier = Copier(work, self.chunker, self.writer, throttle, rows)
        self._is_throttled = lambda: bool(throttle.reason)
        self.applier = Applier(work, self.writer, self.copier.pause, self.copier.resume)
        self.checksum = self._make_checksum(catch_up_reader)
        self._histograms = Histograms(work.names, work.mapping)

    def _make_chunker(self) -> Chunker:
        work, watermarks = self.work, self._watermarks
        copier = watermarks.copier if watermarks else None
        begin = copier.upper if copier else None
        size = copier.chunk_size if copier else FIRST_CHUNK_ROWS
        deltas = work.deltas
        if watermarks is not None:
            with work.sessions.opened("setup") as session:
                deltas.set_keep_upto(self._last_key_in_shadow(session))
        deltas.raise_high(begin)
        deltas.raise_low(begin)
        return Chunker(
            work.names.source_sql,
            work.mapping.source_key,
            ChunkSizer(work.chunk_time_secs, size),
            begin,
            on_high=deltas.raise_high,
            on_low=deltas.raise_low,
        )

    def _last_key_in_shadow(self, session: Session) -> Key | None:
        key = self.work.mapping.shadow_key
        rows = session.query(
            f"SELECT {self.work.mapping.keys.shadow_select_list()} "
            f"FROM {self.work.names.shadow_sql} {key.force_index} "
            f"ORDER BY {key.order_from_end} LIMIT 1"
        )
        return key.parse(rows[0]) if rows else None

    def _make_checksum(self, catch_up_reader: Callable[[Session], None]) -> Checksum:
        work, watermarks = self.work, self._watermarks
        begin = watermarks.checksum if watermarks else None
        size = begin.chunk_size if begin else self.chunker.sizer.size
        chunker = Chunker(
            work.names.source_sql,
            work.mapping.source_key,
            ChunkSizer(work.target_chunk_time_secs, size),
            begin.upper if begin else None,
        )
        checksum = Checksum(work, chunker, self.applier, catch_up_reader)
        if watermarks is not None and begin is not None:
            checksum.restore(watermarks.checksum_json)
        return checksum

    # -- asked by the caller's thread

    def state(self) -> TableState:
        """What a checkpoint would have to hold of this table now. The position is asked first."""
        checksum = self.checksum.watermark_json()
        watermark = self.chunker.watermark()
        return TableState(
            table=self.work.names.table,
            copier_watermark=watermark.to_json() if watermark else "",
            checksum_watermark=checksum,
            deferred_indexes=self.deferred,
        )

    def threads(self, phase: Phase) -> int:
        """How many are at work in a phase."""
        return self.copier.threads if phase is Phase.COPY_ROWS else self.work.threads

    # -- the phases, on the phases' thread; they raise the abort's reason

    def start(self) -> None:
        """Begin to apply deltas; those above the high watermark are dropped until its copy."""
        self.applier.start()

    def copy_rows(self) -> None:
        self.copier.start()
        pulse = Pulse(self.work, self.copier, self._is_throttled)
        pulse.say_begun()
        with contextlib.closing(pulse):
            while self.copier.busy:
                self.work.abort.wait(_LOOK_EVERY_SECS)
                pulse.feel()
        self.work.abort.check()

    def restore_indexes(self) -> None:
        """Build the deferred indexes."""
        # Where it must be at rest, what comes meanwhile waits in memory; or in the binary log, when
        # that is full.
        rests = not self.work.builds_indexes_beside_writes
        at_rest = self.applier.paused() if rests else contextlib.nullcontext()
        with self.work.sessions.opened("indexes") as session, at_rest:
            try:
                built = shadow.restore_indexes(
                    session, self.work.names, self.deferred, gently=self._has_room_for_one_only()
                )
            except MySQLdb.Error:
                self.work.abort.check()
                raise
        self.deferred = ()
        self.work.tell(
            Event(
                "indexes_restored",
                f"Indexes built on the copied rows: {len(built)}."
                if built
                else "The indexes of the copied rows had been built already.",
                data={"indexes": built},
            )
        )

    def _has_room_for_one_only(self) -> bool:
        """Whether others write, and left room for no more than one thread of the copy."""
        return self.work.others.are_writing and self.copier.threads == 1

    def analyze(self) -> None:
        """Statistics, so that the first queries after the swap have good plans."""
        with self.work.sessions.opened("analyze") as session:
            try:
                session.query(f"ANALYZE TABLE {self.work.names.shadow_sql}")
            except MySQLdb.Error:
                self.work.abort.check()
                raise
        self.renew_histograms()

    def renew_histograms(self) -> None:
        """Those of the source that the shadow table has not; asked again before a swap, which may
        have waited for days."""
        with self.work.sessions.opened("analyze") as session:
            events = self._histograms.renew(session)
        # One that was interrupted is none that failed.
        self.work.abort.check()
        for event in events:
            self.work.tell(event)

    def verify(self) -> None:
        self.checksum.start()
        while self.checksum.busy:
            self.work.abort.wait(_LOOK_EVERY_SECS)
        self.work.abort.check()
        with self.work.sessions.opened("checksum") as session:
            self.checksum.find_strays(session)

    def settle(self) -> None:
        """Compare the rows that the checksum left open."""
        with self.work.sessions.opened("checksum") as session:
            self.checksum.settle(session)

    def close(self) -> None:
        """End every thread; the abort signal is up, or the work is done. Idempotent."""
        self.copier.join()
        self.checksum.join()
        self.applier.stop()
        self.applier.join()
