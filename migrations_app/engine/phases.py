"""The thread that makes the change: beginning, copying run, end. One per run."""

from __future__ import annotations

import threading
from collections.abc import Callable

import MySQLdb

from migrations_app.engine import resume
from migrations_app.engine.abort import Abort
from migrations_app.engine.begin import Beginning
from migrations_app.engine.binlog import PositionLostError
from migrations_app.engine.checkpoint import CheckpointTable, Unsaved
from migrations_app.engine.copyrun import CopyRun, Plan
from migrations_app.engine.deltas import DeltaBuffer
from migrations_app.engine.errors import EngineError, StoppedError, TransientError
from migrations_app.engine.feed import Feed
from migrations_app.engine.fence import TableLock
from migrations_app.engine.names import TableNames
from migrations_app.engine.observer import CheckpointRow, Event, Method, Phase, Progress
from migrations_app.engine.options import Options
from migrations_app.engine.others import Others
from migrations_app.engine.resume import CheckpointUnusableError
from migrations_app.engine.server import ServerFacts
from migrations_app.engine.session import Session, Sessions
from migrations_app.engine.statement import Change
from migrations_app.engine.table import Table
from migrations_app.engine.tablerun import TablePlan
from migrations_app.engine.tidy import tidy, untidied
from migrations_app.engine.visibility import Visibility
from migrations_app.engine.work import Calls, Run, Work


class Phases:
    """Makes one change. Owns the copying run, and the tables' locks, which the caller releases when
    the last checkpoint is written.

    calls: how to reach the caller; tell: hands on an event. ``done`` tells whether the change was
    made; whatever went wrong is the abort's reason.
    """

    def __init__(
        self,
        change: Change,
        options: Options,
        sessions: Sessions,
        abort: Abort,
        calls: Calls,
        tell: Callable[[Event], None],
        unsaved: Unsaved | None = None,
    ) -> None:
        self.change = change
        self._options = options
        self._sessions = sessions
        self._abort = abort
        self._calls = calls
        self._tell = tell
        self._unsaved = unsaved
        self._last_saved: CheckpointRow | None = None
        self.lock = TableLock(sessions, change.all_names)
        self.checkpoints = CheckpointTable(change)
        # And the reader's session, which is none of these.
        self._others = Others(lambda: sessions.at_work + 1)
        self._thread = threading.Thread(target=self._run, name="spirit-phases")
        self._copy: CopyRun | None = None
        self.method = Method.UNDECIDED
        self.kept = ""
        self.done = False

    def start(self) -> None:
        self._thread.start()

    @property
    def busy(self) -> bool:
        return self._thread.is_alive()

    def join(self, timeout_secs: float | None = None) -> None:
        self._thread.join(timeout_secs)

    # -- asked by the caller's thread

    @property
    def copying(self) -> bool:
        """Whether there is progress worth a checkpoint."""
        copy = self._copy
        return copy is not None and copy.phase is not Phase.SETUP and not copy.swapped

    @property
    def past_return(self) -> bool:
        """Whether the change was made on the server, so that nothing may be interrupted."""
        return self.done or (self._copy is not None and self._copy.swapped)

    @property
    def reader_error(self) -> Exception | None:
        return self._copy.reader_error if self._copy is not None else None

    def progress(self) -> Progress:
        return self._copy.progress() if self._copy is not None else Progress(Phase.SETUP)

    def save_checkpoint(self, session: Session) -> CheckpointRow:
        """Write a checkpoint row; only while ``copying``."""
        assert self._copy is not None
        self._last_saved = self.checkpoints.save(session, self._copy.snapshot(), self.lock)
        return self._last_saved

    def stopped(self) -> StoppedError:
        """What a stop at this moment leaves, for people."""
        tables = self.change.tables
        if not self.copying:
            return StoppedError(
                f"The run was stopped before anything was copied; {tables} is as it was.",
                advice="Run the same again to begin.",
            )
        kept = [self.change.first.names.checkpoint, *(n.shadow for n in self.change.all_names)]
        return StoppedError(
            f"The run was stopped; a checkpoint was written. {tables} is as it was, and what was "
            f"copied is kept.",
            advice=f"{StoppedError.usual_advice} To give it up, drop {', '.join(kept)}.",
        )

    def unsaved(self) -> Unsaved:
        """What a checkpoint that cannot be written would hold; when every thread has ended."""
        assert self._copy is not None
        return Unsaved(self._copy.snapshot(), self._last_saved)

    # -- on the thread

    def _run(self) -> None:
        try:
            self._make_change()
            self.done = True
        except BaseException as error:
            self._abort.set(error)

    def _make_change(self) -> None:
        beginning = Beginning(
            self.change,
            self._options,
            self._sessions,
            self.lock,
            self.checkpoints,
            self._abort,
            self._tell,
            self._others,
            self._unsaved,
        )
        self._calls.enter(Phase.SETUP)
        sources, facts = beginning.take_tables()
        if (saved := beginning.save_late(facts)) is not None:
            self._calls.saved(saved)
        begun = self._begin(beginning, sources, facts)
        if begun is None:
            self._tidy()
            return
        if isinstance(begun, Method):
            self.method = begun
            return
        self.method = Method.COPY
        try:
            begun.execute()
        except BaseException as error:
            # The helpers end when they see the signal.
            self._abort.set(error)
            raise
        finally:
            begun.close()
        self._tidy()

    def _tidy(self) -> None:
        try:
            with self._sessions.opened("tidy") as session:
                self.kept = tidy(session, self.change, self.checkpoints, self._options)
        except (EngineError, MySQLdb.Error) as error:
            self.kept = untidied(error)

    def _begin(
        self, beginning: Beginning, sources: tuple[Table, ...], facts: ServerFacts
    ) -> CopyRun | Method | None:
        """A copying run with its stream open; or how the server made the change; or None when an
        earlier run had already swapped the tables."""
        try:
            found = beginning.look(sources, use_gtid=facts.uses_gtid)
            if isinstance(found, resume.Swapped):
                self.method = Method.COPY
                return None
            if found is None and self._unsaved is not None:
                raise TransientError(
                    "While the server was away from this run, another one has finished the change "
                    "or given it up: nothing of it is left. This run has changed nothing since. "
                    "Look at the table first.",
                    advice="Run it again if it is not as it should be.",
                )
            if found is not None:
                self._last_saved = found.row
                beginning.keep_deferred(found)
                return self._open(beginning, beginning.resumed_plan(found), facts, found)
        except CheckpointUnusableError as why:
            beginning.cannot_resume(why)
        begun = beginning.afresh(facts)
        if isinstance(begun, Method):
            return begun
        return self._open(beginning, begun, facts, None)

    def _open(
        self, beginning: Beginning, plan: Plan, facts: ServerFacts, found: resume.Found | None
    ) -> CopyRun:
        """Open the stream. On a lost position everything opened is closed again first, so that
        a fresh start can subscribe anew."""
        copy = self._make_copy_run(plan, facts)
        try:
            copy.open_stream()
        except PositionLostError as error:
            copy.close()
            if found is None:
                raise
            raise CheckpointUnusableError(str(error), found.row, error.server_message) from error
        except BaseException:
            copy.close()
            raise
        beginning.say_begun(found, self._options.setting(facts.cores).threads)
        beginning.advise(facts)
        self._copy = copy
        return copy

    def _make_copy_run(self, plan: Plan, facts: ServerFacts) -> CopyRun:
        visibility = Visibility(self.checkpoints.write_marker)
        works = tuple(
            self._make_work(names, table, plan, facts, visibility)
            for names, table in zip(self.change.all_names, plan.tables, strict=True)
        )
        buffers = {(work.names.schema, work.names.table): work.deltas for work in works}
        run = Run(
            sessions=self._sessions,
            options=self._options,
            lock=self.lock,
            abort=self._abort,
            tell=self._tell,
            calls=self._calls,
            feed=Feed(plan.start, buffers, visibility, self._abort, self._tell, self._options),
            checkpoints=self.checkpoints,
            lock_wait_timeout_secs=self._options.setting(facts.cores).lock_wait_timeout_secs,
            uses_gtid=facts.uses_gtid,
            others=self._others,
        )
        return CopyRun(run, works, plan)

    def _make_work(
        self,
        names: TableNames,
        table: TablePlan,
        plan: Plan,
        facts: ServerFacts,
        visibility: Visibility,
    ) -> Work:
        setting = self._options.setting(facts.cores)
        return Work(
            names=names,
            mapping=table.mapping,
            options=self._options,
            threads=setting.threads,
            max_threads=setting.max_threads,
            target_chunk_time_secs=setting.target_chunk_time_secs,
            sessions=self._sessions,
            lock=self.lock,
            deltas=DeltaBuffer(
                plan.start,
                comparable=table.mapping.keys.comparable,
                ticket=visibility.ticket,
            ),
            visibility=visibility,
            abort=self._abort,
            tell=self._tell,
            others=self._others,
            builds_indexes_beside_writes=facts.builds_indexes_beside_writes,
        )
