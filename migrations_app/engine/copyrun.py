"""One copying run, from the opened stream to the swapped tables.

Reads top to bottom as the phases of design: copy rows, restore indexes, apply the changeset,
analyze, checksum, wait, cut over. A change of several tables goes through each phase table after
table, and swaps all of them at once. Everything the run starts it also ends, in ``close``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from migrations_app.engine import sentinel
from migrations_app.engine.binlog import BinlogReader, Position, Subscription, current_position
from migrations_app.engine.checkpoint import Snapshot
from migrations_app.engine.cutover import CutOver, CutOverHeldError, Swap
from migrations_app.engine.observer import UNCOUNTED_PHASES, Event, Phase, Progress
from migrations_app.engine.progress import Meter, fraction
from migrations_app.engine.session import Session
from migrations_app.engine.tablerun import TablePlan, TableRun
from migrations_app.engine.throttle import Throttle
from migrations_app.engine.work import Run, Work

_LOOK_EVERY_SECS = 0.2


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """Where a copying run begins. rows_copied: by earlier runs, of all tables."""

    tables: tuple[TablePlan, ...]
    start: Position
    rows_copied: int = 0


class CopyRun:
    """The parts of one copying run, and their order. works: one for each of the plan's tables."""

    def __init__(self, run: Run, works: tuple[Work, ...], plan: Plan) -> None:
        self._run = run
        self._reader = BinlogReader(
            run.sessions.dsn,
            plan.start,
            [
                Subscription(work.names.schema, work.names.table, work.mapping.source_key.columns)
                for work in works
            ],
            run.feed,
            use_gtid=run.uses_gtid,
            throttle=run.feed.too_many_keys,
            awaited=run.feed.awaited,
        )
        self._throttle = Throttle(run.sessions, run.options, run.abort, run.tell)
        self._earlier_rows = plan.rows_copied
        self._tables = tuple(
            TableRun(work, table, self._throttle, self._catch_up_reader)
            for work, table in zip(works, plan.tables, strict=True)
        )
        self._at = self._tables[0]
        self._meter = Meter()
        self.phase = Phase.SETUP
        self.swapped = False

    def _catch_up_reader(self, session: Session) -> None:
        self._run.feed.wait_for(current_position(session))

    # -- from the caller's thread

    @property
    def reader_error(self) -> Exception | None:
        return self._reader.error

    @property
    def rows_copied(self) -> int:
        """Rows whose chunks are done, earlier runs included."""
        return self._earlier_rows + sum(table.copier.rows_copied for table in self._tables)

    @property
    def _rows_checked(self) -> int:
        return sum(table.checksum.rows_checked for table in self._tables)

    def snapshot(self) -> Snapshot:
        """What a checkpoint would have to hold now.

        The position is read first: one that is a little too old only means that some keys are
        seen twice.
        """
        # A prepared XA transaction pins the log too: its keys come again when it is committed. To
        # be asked before the deltas: one that is committed in between must not be passed over.
        earliest = self._reader.restart_position
        for table in self._tables:
            position = table.work.deltas.safe_position
            if earliest.reached(position.file, position.offset):
                earliest = position
        return Snapshot(
            tables=tuple(table.state() for table in self._tables),
            position=earliest,
            phase=self.phase,
            # Also in a last checkpoint after a swap of which nobody knows whether it was made.
            cutover_intent=self.phase is Phase.CUT_OVER,
            rows_copied=self.rows_copied,
        )

    def progress(self) -> Progress:
        """A reading for people."""
        copied, total = self.rows_copied, sum(t.work.mapping.source.rows for t in self._tables)
        checking = self.phase is Phase.CHECKSUM
        done = self._rows_checked if checking else copied
        if self.phase in (Phase.SETUP, Phase.COPY_ROWS, Phase.CHECKSUM):
            rate = self._meter.read(done)
            eta_secs = self._meter.eta_secs(rate, total - done)
            # The total is an estimate; what is not over is not whole.
            share = min(fraction(done, total), 0.999)
        else:
            rate, eta_secs = 0.0, None
            share = 0.0 if self.phase in UNCOUNTED_PHASES else 1.0
        sizer = self._at.chunker.sizer
        return Progress(
            phase=self.phase,
            rows_copied=copied,
            rows_total=max(total, copied),
            fraction=share,
            rows_per_sec=rate,
            eta_secs=eta_secs,
            deltas_waiting=sum(table.work.deltas.waiting for table in self._tables),
            deltas_applied=sum(table.applier.applied for table in self._tables),
            chunk_time_secs=sizer.last_secs,
            chunk_rows=sizer.size,
            threads=self._at.threads(self.phase),
            replica_lag_secs=self._throttle.replica_lag_secs,
            throttled=self._throttle.reason,
            position=str(self._run.feed.position),
            rows_checked=self._rows_checked,
        )

    # -- on the phases' thread

    def open_stream(self) -> None:
        """Begin to read the binary log. Raises PositionLostError when it is not there any more."""
        self._reader.start()
        # A commit that was logged before our position may still be on its way to visibility
        # (rule 1); the stream will not bring it, so the copy must see it.
        with self._run.sessions.opened("setup") as session:
            self._run.checkpoints.write_marker(session)
            self._run.others.look(session)

    def execute(self) -> Swap:
        """All phases. Raises the abort's reason when it is interrupted."""
        self._enter(Phase.COPY_ROWS)
        self._throttle.start()
        for table in self._tables:
            table.start()
        self._each(TableRun.copy_rows)
        if any(table.deferred for table in self._tables):
            self._enter(Phase.RESTORE_INDEXES)
            self._each(TableRun.restore_indexes)
        self._enter(Phase.APPLY_CHANGESET)
        cut_over = CutOver(self._run, self._tables)
        cut_over.catch_up()
        self._enter(Phase.ANALYZE_TABLE)
        self._each(TableRun.analyze)
        self._enter(Phase.CHECKSUM)
        self._each(TableRun.verify)
        self._enter(Phase.POST_CHECKSUM)
        self._each(TableRun.settle)
        return self._swap_when_allowed(cut_over)

    def _enter(self, phase: Phase) -> None:
        self._run.abort.check()
        self.phase = phase
        self._meter.restart()
        self._run.calls.enter(phase)

    def _each(self, step: Callable[[TableRun], None]) -> None:
        for table in self._tables:
            self._at = table
            step(table)

    def _swap_when_allowed(self, cut_over: CutOver) -> Swap:
        while True:
            self._wait_for_order()
            self._each(TableRun.renew_histograms)
            try:
                return self._swap(cut_over)
            except CutOverHeldError as held:
                self._run.tell(Event("cutover_held", str(held)))

    def _wait_for_order(self) -> None:
        """Deferred: until the order is given or the sentinel table is dropped. Held: until the
        order."""
        gate = self._run.calls.gate
        if not (self._run.options.defer_cutover or gate.is_held()) or gate.is_open():
            return
        self._enter(Phase.WAITING_FOR_CUTOVER)
        names = self._at.work.names
        with self._run.sessions.opened("sentinel") as session:
            while not gate.is_open() and (gate.is_held() or sentinel.stands(session, names)):
                self._run.abort.wait(_LOOK_EVERY_SECS)

    def _swap(self, cut_over: CutOver) -> Swap:
        self._enter(Phase.CUT_OVER)
        pairs = ", ".join(f"{t.work.names.table} and {t.work.names.shadow}" for t in self._tables)
        self._run.tell(Event("cutover_started", f"Swapping {pairs}."))
        swap = cut_over.run()
        self.swapped = True
        tables = ", ".join(table.work.names.table for table in self._tables)
        self._run.tell(
            Event(
                "cutover_done",
                f"The tables were swapped; statements on {tables} waited up to "
                f"{swap.stall_secs:.2f} s.",
                data=dataclasses.asdict(swap),
            )
        )
        return swap

    def close(self) -> None:
        """End every thread and connection of the run. Idempotent; the abort signal is up, or
        the work is done."""
        for table in self._tables:
            table.close()
        self._throttle.stop()
        self._reader.stop()
