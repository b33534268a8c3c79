"""The public face of the engine: one migration, run to its end, to a stop, or to a failure."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
import uuid
from collections.abc import Callable

import MySQLdb

from migrations_app.engine import fence, outcomes, preflight, reconnect
from migrations_app.engine.abort import Abort
from migrations_app.engine.binlog import ChangesLostError
from migrations_app.engine.checkpoint import Unsaved
from migrations_app.engine.dsn import Dsn
from migrations_app.engine.errors import (
    EngineError,
    LockLostError,
    SchemaChangedError,
    ServerLostError,
    StoppedError,
)
from migrations_app.engine.gate import Gate
from migrations_app.engine.mainthread import MainThread
from migrations_app.engine.observer import (
    Event,
    Method,
    Observer,
    Outcome,
    Phase,
    SilentObserver,
)
from migrations_app.engine.options import Options
from migrations_app.engine.phases import Phases
from migrations_app.engine.reconnect import StopSignal
from migrations_app.engine.session import Session, Sessions
from migrations_app.engine.statement import Change, parse_change
from migrations_app.engine.work import Calls

logger = logging.getLogger(__name__)

_TICK_SECS = 0.05
_PROGRESS_EVERY_SECS = 1.0
# A run that is killed early should not have to begin at nothing: the first checkpoint comes at
# once, and the gaps double until they have the length asked for.
_FIRST_CHECKPOINT_SECS = 1.0
_INTERRUPT_EVERY_SECS = 0.5
_SERVER_IS_LOST = (ServerLostError, LockLostError)
_SETUPS_LOST_AT_MOST = 5


class Migration:
    """One change.

    ``run`` may be called once. It uses threads and connections of its own and ends every one of
    them before it returns, whatever happened.
    """

    def __init__(
        self,
        dsn: Dsn,
        statement: str,
        options: Options | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._dsn = dsn
        self._sql = statement
        options = options or Options()
        self._options = dataclasses.replace(
            options, run_token=options.run_token or uuid.uuid4().hex
        )
        self._observer: Observer = observer or SilentObserver()
        self._gate = Gate()

    def allow_cut_over(self) -> None:
        """End the wait of a deferred or held cut-over. Thread-safe; may come before the wait."""
        self._gate.open()

    def hold_cut_over(self) -> None:
        """Do not swap, or stop trying to, until ``allow_cut_over``. Thread-safe. Once the tables
        are locked, only ``Observer.may_cut_over`` can still prevent the swap."""
        self._gate.hold()

    def run(self, stop: StopSignal | None = None) -> Outcome:
        """Run until the change is made, ``stop`` is set, or it cannot go on.

        What stands in the way becomes an Outcome with a message for people. Only exceptions of
        the observer, and those that are no Exception (KeyboardInterrupt), leave this method.
        """
        stop = stop or threading.Event()
        try:
            change = parse_change(self._sql, self._dsn.database)
            preflight.require_supported_server(self._dsn)
        except (EngineError, MySQLdb.Error) as error:
            return self._ended(outcomes.of_error(error, Method.UNDECIDED))
        unsaved: Unsaved | None = None
        lost_in_setup = 0
        while True:
            phases, ended_by, unsaved_now = self._attempt(change, stop, unsaved)
            if ended_by is None:
                return self._ended(outcomes.completed(phases.method, phases.kept))
            if unsaved_now is not None:
                unsaved, lost_in_setup = unsaved_now, 0
            else:
                lost_in_setup += 1
            if (
                unsaved is None
                or not isinstance(ended_by, _SERVER_IS_LOST)
                or lost_in_setup > _SETUPS_LOST_AT_MOST
                or not self._wait_for_server(phases, stop)
            ):
                return self._ended(outcomes.of_error(ended_by, phases.method))
            # What it had to do afresh it has done.
            self._options = dataclasses.replace(self._options, fresh=False)

    def _wait_for_server(self, phases: Phases, stop: StopSignal) -> bool:
        return reconnect.wait_for_server(
            self._dsn, self._options.reconnect_secs, self._observer, phases.progress(), stop
        )

    def _attempt(
        self, change: Change, stop: StopSignal, unsaved: Unsaved | None
    ) -> tuple[Phases, BaseException | None, Unsaved | None]:
        """Run until the end or until the server is lost. Returns what ended it (None: it is done)
        and, when it is worth going on once the server is back, what could not be saved."""
        token = fence.run_token(change.all_names, self._options.run_token, uuid.uuid4().hex)
        sessions = Sessions(self._dsn, token)
        abort = Abort()
        main = MainThread(abort)
        observer = self._observer
        conductor: Conductor

        def tell(event: Event) -> None:
            main.post(lambda: observer.happened(event))

        def intend() -> None:
            error = main.ask(conductor.intend)
            if error is not None:
                raise error

        calls = Calls(
            enter=lambda phase: main.post(lambda: conductor.entered(phase)),
            saved=lambda row: main.post(lambda: observer.checkpoint_written(row)),
            intend=intend,
            may_swap=lambda: main.ask(observer.may_cut_over),
            gate=self._gate,
        )
        phases = Phases(change, self._options, sessions, abort, calls, tell, unsaved)
        conductor = Conductor(phases, sessions, observer, abort, main, self._options)
        try:
            ended_by = conductor.run(stop)
            return phases, ended_by, conductor.unsaved
        finally:
            phases.lock.release()
            sessions.close_all()

    def _ended(self, outcome: Outcome) -> Outcome:
        phase, event = outcomes.last_words(outcome)
        self._observer.happened(event)
        self._observer.phase_changed(phase)
        return outcome


class Conductor:
    """The caller's thread during a run: serves the observer, writes checkpoints, watches the
    health of the parts, and interrupts everything on a stop."""

    def __init__(
        self,
        phases: Phases,
        sessions: Sessions,
        observer: Observer,
        abort: Abort,
        main: MainThread,
        options: Options,
    ) -> None:
        self._phases = phases
        self._sessions = sessions
        self._observer = observer
        self._abort = abort
        self._main = main
        self._interval_secs = options.checkpoint_interval_secs
        self._gap_secs = _FIRST_CHECKPOINT_SECS
        self._observer_error: BaseException | None = None
        self.unsaved: Unsaved | None = None
        self._session: Session | None = None
        self._next_progress = 0.0
        self._next_checkpoint = float("inf")
        self._next_interrupt = 0.0

    def run(self, stop: StopSignal) -> BaseException | None:
        """What ended the run, None when the change was made. Raises the observer's error."""
        self._phases.start()
        try:
            while self._phases.busy:
                self._turn(stop)
        finally:
            # Only reached with the phases still busy when this thread itself was interrupted.
            if self._phases.busy:
                self._abort.set(
                    StoppedError("The run was interrupted.", advice="Run the same again.")
                )
            while self._phases.busy:
                self._interrupt()
                self._phases.join(_TICK_SECS)
        while self._serve(0.0):
            pass
        self._guarded(lambda: self._observer.progressed(self._phases.progress()))
        error = None if self._phases.past_return else self._abort.reason
        if self._observer_error is not None:
            raise self._observer_error
        if error is not None and self._phases.copying:
            return self._save_last_checkpoint(error)
        return error

    def _turn(self, stop: StopSignal) -> None:
        self._serve(_TICK_SECS)
        if stop.is_set():
            self._abort.set(self._phases.stopped())
        if self._abort.is_set():
            self._interrupt()
        now = time.monotonic()
        if now >= self._next_progress:
            self._next_progress = now + _PROGRESS_EVERY_SECS
            self._guarded(lambda: self._observer.progressed(self._phases.progress()))
            self._look_after_parts()
        if now >= self._next_checkpoint and self._phases.copying and not self._abort.is_set():
            self._gap_secs = min(self._interval_secs, self._gap_secs * 2)
            self._next_checkpoint = now + self._gap_secs
            self._save_checkpoint()

    def _serve(self, wait_secs: float) -> bool:
        """Serve one call of another thread; returns whether there was one."""
        served = [False]

        def serve() -> None:
            served[0] = self._main.serve(wait_secs)

        self._guarded(serve)
        return served[0] or (self._observer_error is not None and not self._main.empty)

    def _guarded(self, call: Callable[[], None]) -> None:
        """An exception of the observer ends the run and is kept for the caller."""
        try:
            call()
        except BaseException as error:
            if self._observer_error is None:
                self._observer_error = error
            self._abort.set(error)

    def _interrupt(self) -> None:
        """End running statements, again and again while the threads unwind: one of them may have
        begun its next statement just after the last time."""
        now = time.monotonic()
        if self._phases.past_return or now < self._next_interrupt:
            return
        self._next_interrupt = now + _INTERRUPT_EVERY_SECS
        self._sessions.interrupt_all()

    def _look_after_parts(self) -> None:
        if self._phases.reader_error is not None:
            self._abort.set(self._phases.reader_error)
        try:
            self._phases.lock.keep_alive()
        except EngineError as error:
            self._abort.set(error)

    # -- called by way of the inbox

    def entered(self, phase: Phase) -> None:
        if phase is Phase.COPY_ROWS:
            self._next_checkpoint = time.monotonic() + _FIRST_CHECKPOINT_SECS
        elif self._phases.copying:
            # What the last phase achieved is worth keeping.
            self._next_checkpoint = 0.0
        self._observer.phase_changed(phase)

    def intend(self) -> Exception | None:
        """Write the checkpoint that a swap needs. Returns what the server has against it: only an
        exception of the observer may leave a call by way of the inbox."""
        try:
            row = self._phases.save_checkpoint(self._own_session())
        except (EngineError, MySQLdb.Error) as error:
            return error
        self._observer.checkpoint_written(row)
        return None

    # -- checkpoints

    def _own_session(self) -> Session:
        if self._session is None:
            self._session = self._sessions.open("checkpoint")
        elif self._session.lost:
            self._session.open()
        return self._session

    def _save_checkpoint(self) -> None:
        try:
            row = self._phases.save_checkpoint(self._own_session())
        except (EngineError, MySQLdb.Error) as error:
            # The run can do without this one; it cannot do without trying again soon.
            logger.warning("A checkpoint could not be written: %s", error)
            self._next_checkpoint = time.monotonic() + _FIRST_CHECKPOINT_SECS
            return
        self._guarded(lambda: self._observer.checkpoint_written(row))

    def _save_last_checkpoint(self, error: BaseException) -> BaseException:
        """When every thread has ended: what was copied is not lost. Returns what ended the run."""
        if isinstance(error, (SchemaChangedError, ChangesLostError)):
            # Rule 7: nothing may be resumed from this shadow table.
            try:
                # A connection of its own: a successor may have ended the others.
                with self._sessions.opened("last words") as session:
                    # Asked before the checkpoint table, which a successor may have dropped.
                    self._phases.lock.check(session)
                    self._phases.checkpoints.invalidate(session, self._phases.lock)
            except LockLostError as lost:
                # What it took for somebody's change was its successor's swap.
                return lost
            except (EngineError, MySQLdb.Error):
                logger.warning("The checkpoint could not be made invalid.", exc_info=True)
            return error
        if isinstance(error, _SERVER_IS_LOST):
            # Nothing can be saved without the lock; it is when the server is back.
            self.unsaved = self._phases.unsaved()
            return error
        self._save_checkpoint()
        return error
