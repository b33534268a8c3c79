"""One copying run, from the opened stream to the swapped tables.

Reads top to bottom as the phases of design: copy rows, restore indexes, apply the changeset,
analyze, checksum, wait, cut over. Everything it starts it also ends, in ``close``.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable

import MySQLdb

from migrations_app.engine import sentinel, shadow
from migrations_app.engine.applier import Applier
from migrations_app.engine.binlog import BinlogReader, Position, Subscription, current_position
from migrations_app.engine.checkpoint import CheckpointTable, Snapshot
from migrations_app.engine.checksum import Checksum, Watermarks
from migrations_app.engine.chunker import FIRST_CHUNK_ROWS, Chunker, ChunkSizer
from migrations_app.engine.copier import Copier
from migrations_app.engine.cutover import CutOver
from migrations_app.engine.errors import ServerLostError
from migrations_app.engine.feed import Feed
from migrations_app.engine.keys import Key
from migrations_app.engine.mapping import Mapping
from migrations_app.engine.observer import Event, Phase, Progress
from migrations_app.engine.options import Options
from migrations_app.engine.progress import Meter, fraction
from migrations_app.engine.session import Session, server_text
from migrations_app.engine.shadowwriter import ShadowWriter
from migrations_app.engine.statement import Statement
from migrations_app.engine.throttle import Throttle
from migrations_app.engine.work import Work

_LOOK_EVERY_SECS = 0.2


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Where a copying run begins.

    watermarks: None for a fresh start; rows_copied: by earlier runs; deferred_indexes: the
    definitions of the indexes to build after the copy.
    """

    mapping: Mapping
    start: Position
    watermarks: Watermarks | None = None
    rows_copied: int = 0
    deferred_indexes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Calls:
    """What the run asks of its caller.

    enter: a phase begins; intend: write a checkpoint before a swap is tried; may_swap: the last
    word before the rename; allowed: set when a deferred cut-over may go on.
    """

    enter: Callable[[Phase], None]
    intend: Callable[[], None]
    may_swap: Callable[[], bool]
    allowed: threading.Event


class CopyRun:
    """The parts of one copying run, and their order."""

    def __init__(
        self,
        work: Work,
        plan: Plan,
        checkpoints: CheckpointTable,
        calls: Calls,
        feed: Feed,
        *,
        use_gtid: bool,
    ) -> None:
        self._work = work
        self._plan = plan
        self._checkpoints = checkpoints
        self._calls = calls
        self._feed = feed
        names, mapping = work.names, work.mapping
        self._reader = BinlogReader(
            work.sessions.dsn,
            plan.start,
            [Subscription(names.schema, names.table, mapping.source_key.columns)],
            feed,
            use_gtid=use_gtid,
            fresh=plan.watermarks is None,
            throttle=feed.too_many_keys,
        )
        self._chunker = self._make_chunker()
        self._throttle = Throttle(work.sessions, work.options, work.abort, work.tell)
        self._writer = ShadowWriter(work)
        self._copier = Copier(work, self._chunker, self._writer, self._throttle, plan.rows_copied)
        self._applier = Applier(work, self._writer, self._copier.pause, self._copier.resume)
        self._checksum = self._make_checksum()
        self._meter = Meter()
        self.phase = Phase.SETUP
        self.swapped = False
        self._deferred = plan.deferred_indexes

    def _make_chunker(self) -> Chunker:
        work, watermarks = self._work, self._plan.watermarks
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
            ChunkSizer(work.target_chunk_time_secs, size),
            begin,
            on_high=deltas.raise_high,
            on_low=deltas.raise_low,
        )

    def _last_key_in_shadow(self, session: Session) -> Key | None:
        key = self._work.mapping.shadow_key
        rows = session.query(
            f"SELECT {key.select_list} FROM {self._work.names.shadow_sql} {key.force_index} "
            f"ORDER BY {key.descending} LIMIT 1"
        )
        return key.parse(rows[0]) if rows else None

    def _make_checksum(self) -> Checksum:
        work, watermarks = self._work, self._plan.watermarks
        begin = watermarks.checksum if watermarks else None
        size = begin.chunk_size if begin else self._chunker.sizer.size
        chunker = Chunker(
            work.names.source_sql,
            work.mapping.source_key,
            ChunkSizer(work.target_chunk_time_secs, size),
            begin.upper if begin else None,
        )
        checksum = Checksum(work, chunker, self._applier, self._catch_up_reader)
        if watermarks is not None and begin is not None:
            checksum.restore(watermarks.checksum_json)
        return checksum

    def _catch_up_reader(self, session: Session) -> None:
        self._feed.wait_for(current_position(session))

    # -- from the caller's thread

    @property
    def reader_error(self) -> Exception | None:
        return self._reader.error

    def snapshot(self) -> Snapshot:
        """What a checkpoint would have to hold now.

        The position is read first: one that is a little too old only means that some keys are
        seen twice.
        """
        # A prepared XA transaction pins the log too: its keys come again when it is committed. To
        # be asked before the deltas: one that is committed in between must not be passed over.
        pinned = self._reader.restart_position
        position = self._work.deltas.safe_position
        if position.reached(pinned.file, pinned.offset):
            position = pinned
        checksum = self._checksum.watermark_json()
        watermark = self._chunker.watermark()
        return Snapshot(
            copier_watermark=watermark.to_json() if watermark else "",
            checksum_watermark=checksum,
            position=position,
            phase=self.phase,
            deferred_indexes=self._deferred,
            # Also in a last checkpoint after a swap of which nobody knows whether it was made.
            cutover_intent=self.phase is Phase.CUT_OVER,
            rows_copied=self._copier.rows_copied,
        )

    def progress(self) -> Progress:
        """A reading for people."""
        source = self._work.mapping.source
        checking = self.phase is Phase.CHECKSUM
        done = self._checksum.rows_checked if checking else self._copier.rows_copied
        if self.phase in (Phase.SETUP, Phase.COPY_ROWS, Phase.CHECKSUM):
            rate = self._meter.read(done)
            eta_secs = self._meter.eta_secs(rate, source.rows - done)
            share = fraction(done, source.rows)
            if not checking and not self._chunker.exhausted:
                share = min(share, 0.999)
        else:
            rate, eta_secs, share = 0.0, None, 1.0
        return Progress(
            phase=self.phase,
            rows_copied=self._copier.rows_copied,
            rows_total=max(source.rows, self._copier.rows_copied),
            fraction=share,
            rows_per_sec=rate,
            eta_secs=eta_secs,
            deltas_waiting=self._work.deltas.waiting,
            deltas_applied=self._applier.applied,
            chunk_time_secs=self._chunker.sizer.last_secs,
            chunk_rows=self._chunker.sizer.size,
            threads=self._work.threads,
            replica_lag_secs=self._throttle.replica_lag_secs,
            throttled=self._throttle.reason,
            position=f"{self._feed.position.file}:{self._feed.position.offset}",
            rows_checked=self._checksum.rows_checked,
        )

    # -- on the phases' thread

    def open_stream(self) -> None:
        """Begin to read the binary log. Raises PositionLostError when it is not there any more."""
        self._reader.start()
        # A commit that was logged before our position may still be on its way to visibility
        # (rule 1); the stream will not bring it, so the copy must see it.
        with self._work.sessions.opened("setup") as session:
            self._checkpoints.write_marker(session)

    def execute(self) -> None:
        """All phases. Raises the abort's reason when it is interrupted."""
        self._copy_rows()
        self._restore_indexes()
        self._enter(Phase.APPLY_CHANGESET)
        cut_over = CutOver(
            self._work,
            self._feed,
            self._applier,
            self._writer,
            self._checksum,
            self._calls.may_swap,
            self._calls.intend,
        )
        cut_over.catch_up()
        self._analyze()
        self._verify()
        self._enter(Phase.POST_CHECKSUM)
        with self._work.sessions.opened("checksum") as session:
            self._checksum.settle(session)
        self._wait_for_order()
        self._swap(cut_over)

    def _enter(self, phase: Phase) -> None:
        self._work.abort.check()
        self.phase = phase
        self._meter.restart()
        self._calls.enter(phase)

    def _copy_rows(self) -> None:
        self._enter(Phase.COPY_ROWS)
        self._applier.start()
        self._throttle.start()
        self._copier.start()
        while self._copier.busy:
            self._work.abort.wait(_LOOK_EVERY_SECS)
        self._work.abort.check()

    def _restore_indexes(self) -> None:
        if not self._deferred:
            return
        self._enter(Phase.RESTORE_INDEXES)
        with self._work.sessions.opened("indexes") as session:
            try:
                built = shadow.restore_indexes(session, self._work.names, self._deferred)
            except MySQLdb.Error:
                self._work.abort.check()
                raise
        self._deferred = ()
        self._work.tell(
            Event(
                "indexes_restored",
                f"Indexes built on the copied rows: {len(built)}.",
                data={"indexes": built},
            )
        )

    def _analyze(self) -> None:
        """Statistics, so that the first queries after the swap have good plans."""
        self._enter(Phase.ANALYZE_TABLE)
        with self._work.sessions.opened("analyze") as session:
            try:
                session.query(f"ANALYZE TABLE {self._work.names.shadow_sql}")
            except MySQLdb.Error:
                self._work.abort.check()
                raise

    def _verify(self) -> None:
        self._enter(Phase.CHECKSUM)
        self._checksum.start()
        while self._checksum.busy:
            self._work.abort.wait(_LOOK_EVERY_SECS)
        self._work.abort.check()

    def _wait_for_order(self) -> None:
        """Deferred: until the order is given or the sentinel table is dropped."""
        if not self._work.options.defer_cutover:
            return
        self._enter(Phase.WAITING_FOR_CUTOVER)
        with self._work.sessions.opened("sentinel") as session:
            while not self._calls.allowed.is_set() and sentinel.stands(session, self._work.names):
                self._work.abort.wait(_LOOK_EVERY_SECS)

    def _swap(self, cut_over: CutOver) -> None:
        self._enter(Phase.CUT_OVER)
        names = self._work.names
        self._work.tell(Event("cutover_started", f"Swapping {names.table} and {names.shadow}."))
        swap = cut_over.run()
        self.swapped = True
        self._work.tell(
            Event(
                "cutover_done",
                f"The tables were swapped; statements on {names.table} waited up to "
                f"{swap.stall_secs:.2f} s.",
                data=dataclasses.asdict(swap),
            )
        )

    def close(self) -> None:
        """End every thread and connection of the run. Idempotent; the abort signal is up, or
        the work is done."""
        self._copier.join()
        self._checksum.join()
        self._applier.stop()
        self._applier.join()
        self._throttle.stop()
        self._reader.stop()


def tidy(
    session: Session, statement: Statement, checkpoints: CheckpointTable, options: Options
) -> str:
    """After the swap: drop what is not needed any more; returns what was kept, in words."""
    names = statement.names
    kept = ""
    try:
        if options.skip_drop:
            kept = f"The old table was kept as {names.old}."
        else:
            session.query(f"DROP TABLE IF EXISTS {names.old_sql}")
        checkpoints.drop(session)
        sentinel.drop_unless_needed(session, names)
    except (MySQLdb.Error, ServerLostError) as error:
        kept = f"Something could not be dropped and is still there: {server_text(error)}."
    return kept
