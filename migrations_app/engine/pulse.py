"""What the server says of its load while a table is copied; and who acts on it."""

from __future__ import annotations

import time
from collections.abc import Callable

import MySQLdb

from migrations_app.engine.autoscaler import Autoscaler, Reading
from migrations_app.engine.copier import Copier
from migrations_app.engine.errors import EngineError, ServerLostError
from migrations_app.engine.observer import Event
from migrations_app.engine.session import Session, server_text
from migrations_app.engine.work import Work

SAMPLE_EVERY_SECS = 1.0
MIN_INTERVAL_SECS = 3.0
_CHUNKS_AN_INTERVAL = 4
# An average of fewer statements says nothing.
_MIN_STATEMENTS = 20
_MICROSECS = 1e6
# Ours are of other kinds (INSERT … SELECT, REPLACE … SELECT), but for a checkpoint now and then;
# the COMMITs of the copy are known, and subtracted.
_WRITES = """
    SELECT COALESCE(SUM(IF(EVENT_NAME = 'statement/sql/commit', 0, COUNT_STAR)), 0),
        COALESCE(SUM(SUM_TIMER_WAIT), 0) DIV 1000000, @@performance_schema
    FROM performance_schema.events_statements_summary_global_by_event_name
    WHERE EVENT_NAME IN ('statement/sql/insert', 'statement/sql/update', 'statement/sql/delete',
        'statement/sql/commit')
"""


class Pulse:
    """Feels the server once a second while one table is copied, and moves the copier's threads and
    the time of its chunks.

    Used by one thread, from the first ``feel`` to ``close``. Opens its connection after a second,
    so that a short copy costs nothing. throttled: whether the copy is paused now.
    """

    def __init__(self, work: Work, copier: Copier, throttled: Callable[[], bool]) -> None:
        self._work = work
        self._copier = copier
        self._throttled = throttled
        self._session: Session | None = None
        self._scaler: Autoscaler | None = None
        self._threads_stay = work.max_threads <= 1 or bool(work.options.threads)
        self._chunk_time_stays = not work.options.chunk_time_follows
        self._next_sample = time.monotonic() + SAMPLE_EVERY_SECS
        self._begin_interval(0, 0.0)

    def _begin_interval(self, statements: int, writes_secs: float) -> None:
        self._began = time.monotonic()
        self._rows, self._chunks = self._copier.rows_copied, self._copier.chunks_copied
        self._waited_secs = self._copier.waited_secs
        self._statements, self._writes_secs = statements, writes_secs
        self._running: list[int] = []
        self._was_throttled = False

    def feel(self) -> None:
        """Called often; looks once a second, and decides once an interval."""
        now = time.monotonic()
        if (self._threads_stay and self._chunk_time_stays) or now < self._next_sample:
            return
        self._next_sample = now + SAMPLE_EVERY_SECS
        try:
            self._sample(now)
        except ServerLostError:
            # The copier's own sessions find the server again, or give up.
            self.close()
        except (EngineError, MySQLdb.Error) as error:
            self._work.abort.check()
            self._threads_stay = self._chunk_time_stays = True
            self.close()
            self._say_fixed(f"what the server does cannot be read ({server_text(error)})")

    def _sample(self, now: float) -> None:
        if self._session is None:
            self._session = self._work.sessions.open("pulse")
        work = self._work
        work.others.look(self._session)
        self._copier.sizer.target_secs = work.chunk_time_secs
        if not self._threads_stay:
            self._weigh_threads(now, self._session)

    def _weigh_threads(self, now: float, session: Session) -> None:
        self._running.append(self._work.others.running)
        self._was_throttled = self._was_throttled or self._throttled()
        interval_secs = max(MIN_INTERVAL_SECS, _CHUNKS_AN_INTERVAL * self._work.chunk_time_secs)
        if self._scaler is not None and now - self._began < interval_secs:
            return
        try:
            statements, microsecs, is_measured = (int(n) for n in session.query_one(_WRITES))
        except MySQLdb.Error as error:
            self._work.abort.check()
            self._threads_stay = True
            self._say_fixed(f"what the server does cannot be read ({server_text(error)})")
            return
        writes_secs = microsecs / _MICROSECS - self._copier.commit_secs
        if not is_measured:
            self._threads_stay = True
            self._say_fixed("performance_schema is off on the server")
        elif self._scaler is None:
            self._scaler = self._make_scaler(_average_secs(statements, writes_secs))
        elif (
            self._was_throttled or statements < self._statements or writes_secs < self._writes_secs
        ):
            # It was paused; or the counters were emptied, and say nothing of this interval.
            self._scaler.forget()
        else:
            self._decide(self._scaler, self._reading(now, statements, writes_secs))
        self._begin_interval(statements, writes_secs)

    def _make_scaler(self, calm_secs: float | None) -> Autoscaler:
        work = self._work
        return Autoscaler(
            1, work.max_threads, self._copier.threads, work.options.max_buffered_keys, calm_secs
        )

    def _reading(self, now: float, statements: int, writes_secs: float) -> Reading:
        threads, secs = self._copier.threads, now - self._began
        return Reading(
            at=now,
            rows_per_sec=(self._copier.rows_copied - self._rows) / secs,
            chunks=self._copier.chunks_copied - self._chunks,
            statement_secs=_average_secs(
                statements - self._statements, writes_secs - self._writes_secs
            ),
            others_running=sum(self._running) / len(self._running),
            # A wait counts when it ends, and may have begun before.
            waited_share=min(1.0, (self._copier.waited_secs - self._waited_secs) / threads / secs),
            deltas_waiting=self._work.deltas.waiting,
        )

    def _decide(self, scaler: Autoscaler, reading: Reading) -> None:
        before = scaler.threads
        step = scaler.decide(reading)
        if step is None:
            return
        self._copier.resize(step.threads)
        statement_ms = reading.statement_secs and round(1000 * reading.statement_secs, 2)
        self._say_changed(
            before,
            step.why,
            rows_per_sec=round(reading.rows_per_sec),
            deltas_waiting=reading.deltas_waiting,
            statement_ms=statement_ms,
        )

    def say_begun(self) -> None:
        """To be called when the copier has started: tells of fewer threads than the volume's."""
        work = self._work
        if self._copier.threads < work.threads:
            rate = work.others.writes_per_sec or 0.0
            why = (
                f"others write to the server, {rate:,.0f} times a second; more are tried where "
                f"they do not feel it"
            )
            self._say_changed(work.threads, why)

    def _say_changed(self, before: int, why: str, **data: float | None) -> None:
        threads = self._copier.threads
        words = "1 thread copies" if threads == 1 else f"{threads} threads copy"
        self._work.tell(
            Event(
                "threads_changed",
                f"{words} {self._work.names.table} now, instead of {before}: {why}.",
                data={"threads": threads, "before": before, "why": why, **data},
            )
        )

    def _say_fixed(self, why: str) -> None:
        # Whatever was tried, or begun with, cannot be judged any more.
        self._copier.resize(self._work.threads)
        self._work.tell(
            Event(
                "threads_fixed",
                f"The number of threads stays at {self._copier.threads}: {why}. The copy goes on.",
            )
        )

    def close(self) -> None:
        """Give the connection back. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            self._work.sessions.release(session)


def _average_secs(statements: int, writes_secs: float) -> float | None:
    if statements < _MIN_STATEMENTS or writes_secs < 0:
        return None
    return writes_secs / statements
