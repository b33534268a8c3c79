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
MIN_INTERVAL_SECS = 5.0
_CHUNKS_AN_INTERVAL = 4
# An average of fewer statements says nothing.
_MIN_STATEMENTS = 20
_PICOSECS = 1e12
# Ours are of other kinds (INSERT … SELECT, REPLACE … SELECT), but for a checkpoint now and then.
_WRITES = """
    SELECT COALESCE(SUM(COUNT_STAR), 0), COALESCE(SUM(SUM_TIMER_WAIT), 0), @@performance_schema
    FROM performance_schema.events_statements_summary_global_by_event_name
    WHERE EVENT_NAME IN ('statement/sql/insert', 'statement/sql/update')
"""
_RUNNING = "SHOW GLOBAL STATUS LIKE 'Threads_running'"


class Pulse:
    """Feels the server once a second while one table is copied, and moves the copier's threads.

    Used by one thread, from the first ``feel`` to ``close``. Opens its connection after a second,
    so that a short copy costs nothing. throttled: whether the copy is paused now.
    """

    def __init__(self, work: Work, copier: Copier, throttled: Callable[[], bool]) -> None:
        self._work = work
        self._copier = copier
        self._throttled = throttled
        self._interval_secs = max(
            MIN_INTERVAL_SECS, _CHUNKS_AN_INTERVAL * work.target_chunk_time_secs
        )
        self._session: Session | None = None
        self._scaler: Autoscaler | None = None
        self._is_blind = work.max_threads <= 1 or bool(work.options.threads)
        self._next_sample = time.monotonic() + SAMPLE_EVERY_SECS
        self._begin_interval(0, 0)

    def _begin_interval(self, statements: int, picosecs: int) -> None:
        self._began = time.monotonic()
        self._rows, self._chunks = self._copier.rows_copied, self._copier.chunks_copied
        self._statements, self._picosecs = statements, picosecs
        self._running: list[int] = []
        self._was_throttled = False

    def feel(self) -> None:
        """Called often; looks once a second, and decides once an interval."""
        now = time.monotonic()
        if self._is_blind or now < self._next_sample:
            return
        self._next_sample = now + SAMPLE_EVERY_SECS
        try:
            self._sample(now)
        except ServerLostError:
            # The copier's own sessions find the server again, or give up.
            self.close()
        except (EngineError, MySQLdb.Error) as error:
            self._work.abort.check()
            self._is_blind = True
            self.close()
            words = server_text(error) if isinstance(error, MySQLdb.Error) else str(error)
            self._say_fixed(f"what the server does cannot be read ({words})")

    def _sample(self, now: float) -> None:
        if self._session is None:
            self._session = self._work.sessions.open("pulse")
        session = self._session
        self._running.append(int(session.query_one(_RUNNING)[1]))
        self._was_throttled = self._was_throttled or self._throttled()
        if self._scaler is not None and now - self._began < self._interval_secs:
            return
        statements, picosecs, is_measured = (int(value) for value in session.query_one(_WRITES))
        if not is_measured:
            self._is_blind = True
            self._say_fixed("performance_schema is off on the server")
        elif self._scaler is None:
            self._scaler = self._make_scaler(_average_secs(statements, picosecs))
        elif self._was_throttled:
            self._scaler.forget()
        else:
            self._decide(self._scaler, self._reading(now, statements, picosecs))
        self._begin_interval(statements, picosecs)

    def _make_scaler(self, calm_secs: float | None) -> Autoscaler:
        work = self._work
        return Autoscaler(
            1, work.max_threads, self._copier.threads, work.options.max_buffered_keys, calm_secs
        )

    def _reading(self, now: float, statements: int, picosecs: int) -> Reading:
        ours = self._copier.threads + 1
        return Reading(
            at=now,
            rows_per_sec=(self._copier.rows_copied - self._rows) / (now - self._began),
            chunks=self._copier.chunks_copied - self._chunks,
            statement_secs=_average_secs(statements - self._statements, picosecs - self._picosecs),
            others_running=max(0.0, sum(self._running) / len(self._running) - ours),
            deltas_waiting=self._work.deltas.waiting,
        )

    def _decide(self, scaler: Autoscaler, reading: Reading) -> None:
        before = scaler.threads
        step = scaler.decide(reading)
        if step is None:
            return
        self._copier.resize(step.threads)
        threads = "1 thread copies" if step.threads == 1 else f"{step.threads} threads copy"
        self._work.tell(
            Event(
                "threads_changed",
                f"{threads} {self._work.names.table} now, instead of {before}: {step.why}.",
                data={
                    "threads": step.threads,
                    "before": before,
                    "why": step.why,
                    "rows_per_sec": round(reading.rows_per_sec),
                    "deltas_waiting": reading.deltas_waiting,
                    "statement_ms": None
                    if reading.statement_secs is None
                    else round(1000 * reading.statement_secs, 2),
                },
            )
        )

    def _say_fixed(self, why: str) -> None:
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


def _average_secs(statements: int, picosecs: int) -> float | None:
    # Below zero: somebody has emptied the summaries.
    if statements < _MIN_STATEMENTS or picosecs < 0:
        return None
    return picosecs / statements / _PICOSECS
