"""Pausing the copy while a replica lags or the server is busy. The applier is never paused."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import MySQLdb

from migrations_app.engine.abort import Abort
from migrations_app.engine.dsn import Dsn
from migrations_app.engine.errors import EngineError
from migrations_app.engine.names import literal
from migrations_app.engine.observer import Event, Level
from migrations_app.engine.options import Options
from migrations_app.engine.session import ER_PARSE_ERROR, Session, Sessions, error_code

_LOOK_EVERY_SECS = 1.0
# The age of the oldest transaction that was received and is not applied; 0 when there is none. What
# a worker applied last says nothing by itself: an idle one shows it for days, and a restart of the
# applier forgets it.
_LAG = """
    SELECT COALESCE(MAX(IF(COALESCE(applying, processing) IS NULL AND caught_up, 0,
               TIMESTAMPDIFF(MICROSECOND,
                   COALESCE(LEAST(applying, processing), applying, processing, queued),
                   NOW(6)) / 1000000)), -1),
           COUNT(*), COALESCE(SUM(receiver <> 'ON' OR applier <> 'ON'), 0)
    FROM (
        SELECT c.SERVICE_STATE AS receiver, a.SERVICE_STATE AS applier,
               c.LAST_QUEUED_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP AS queued,
               IF(p.PROCESSING_TRANSACTION <> '',
                  p.PROCESSING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP, NULL) AS processing,
               (SELECT MIN(w.APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP)
                FROM performance_schema.replication_applier_status_by_worker w
                WHERE w.CHANNEL_NAME = c.CHANNEL_NAME AND w.APPLYING_TRANSACTION <> '') AS applying,
               t.PROCESSLIST_STATE LIKE '%has read all relay log%'
               OR c.LAST_QUEUED_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP <=
                  (SELECT MAX(w.LAST_APPLIED_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP)
                   FROM performance_schema.replication_applier_status_by_worker w
                   WHERE w.CHANNEL_NAME = c.CHANNEL_NAME) AS caught_up
        FROM performance_schema.replication_connection_status c
        JOIN performance_schema.replication_applier_status a USING (CHANNEL_NAME)
        LEFT JOIN performance_schema.replication_applier_status_by_coordinator p
            USING (CHANNEL_NAME)
        LEFT JOIN performance_schema.threads t ON t.THREAD_ID = p.THREAD_ID
    ) channels
"""


def _read_lag(replica: Session) -> tuple[float, int, int]:
    """The lag in seconds, the number of channels, and how many of them do not work.

    Two measures, the worse counts: the one above does not know the oldest of several transactions
    that nobody has begun to apply; the server's own has whole seconds only.
    """
    lag, channels, broken = replica.query_one(_LAG)
    try:
        rows = replica.query_dicts("SHOW REPLICA STATUS")
    except MySQLdb.Error as error:
        if error_code(error) != ER_PARSE_ERROR:
            raise
        rows = replica.query_dicts("SHOW SLAVE STATUS")  # before MySQL 8.0.22
    behind = [row.get("SECONDS_BEHIND_SOURCE", row.get("SECONDS_BEHIND_MASTER")) for row in rows]
    return max(float(lag), *(float(secs or 0) for secs in behind), 0.0), int(channels), int(broken)


class Throttle:
    """Looks at the limits once a second, on a thread of its own, and holds chunks back.

    A limit that cannot be read holds the copy back too: better slow than blind.
    """

    def __init__(
        self, sessions: Sessions, options: Options, abort: Abort, tell: Callable[[Event], None]
    ) -> None:
        self._sessions = sessions
        self._options = options
        self._abort = abort
        self._tell = tell
        self._open = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._replicas: dict[str, Session] = {}
        self.reason = ""
        self.replica_lag_secs: float | None = None
        if not (options.replica_dsns or options.max_load):
            self._open.set()

    def start(self) -> None:
        if not self._open.is_set():
            self._thread = threading.Thread(target=self._run, name="spirit-throttle")
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def wait(self, abort: Abort) -> None:
        """Return when the copy may go on; raises the abort's reason."""
        while not self._open.wait(0.1):
            abort.check()

    def _run(self) -> None:
        try:
            with self._sessions.opened("throttle") as session:
                while not self._stopping.is_set() and not self._abort.is_set():
                    self._set(self._look(session))
                    self._stopping.wait(_LOOK_EVERY_SECS)
        except EngineError as error:
            self._abort.set(error)
        finally:
            for replica in self._replicas.values():
                replica.close()

    def _set(self, reason: str) -> None:
        before, self.reason = self.reason, reason
        if reason:
            self._open.clear()
            if not before:
                self._tell(Event("throttled", f"The copy is paused: {reason}.", Level.WARNING))
        else:
            self._open.set()
            if before:
                self._tell(Event("unthrottled", f"The copy goes on; it was paused: {before}."))

    def _look(self, session: Session) -> str:
        return self._load(session) or self._lag()

    def _load(self, session: Session) -> str:
        for name, limit in self._options.max_load:
            try:
                rows = session.query(f"SHOW GLOBAL STATUS WHERE Variable_name = {literal(name)}")
                value = int(rows[0][1])
            except (EngineError, MySQLdb.Error, IndexError, ValueError):
                if session.lost:
                    with contextlib.suppress(EngineError):
                        session.open()
                return f"the server's {name} cannot be read"
            if value > limit:
                return f"{name} is {value}, above its limit of {limit}"
        return ""

    def _lag(self) -> str:
        worst = 0.0
        for dsn_text in self._options.replica_dsns:
            dsn = Dsn.parse(dsn_text)
            try:
                lag, channels, broken = _read_lag(self._replica(dsn_text, dsn))
            except (EngineError, MySQLdb.Error) as error:
                broken_session = self._replicas.pop(dsn_text, None)
                if broken_session is not None:
                    broken_session.close()
                self.replica_lag_secs = None
                return f"the lag of replica {dsn.host}:{dsn.port} cannot be read ({error})"
            if not channels or broken:
                return f"replica {dsn.host}:{dsn.port} is not replicating"
            worst = max(worst, lag)
            if worst > self._options.replica_max_lag_secs:
                self.replica_lag_secs = worst
                return (
                    f"replica {dsn.host}:{dsn.port} lags {worst:.0f} s, above its limit of "
                    f"{self._options.replica_max_lag_secs:.0f} s"
                )
        self.replica_lag_secs = worst if self._options.replica_dsns else None
        return ""

    def _replica(self, dsn_text: str, dsn: Dsn) -> Session:
        if dsn_text not in self._replicas:
            self._replicas[dsn_text] = Session(dsn, "replica", self._sessions.run_token)
        return self._replicas[dsn_text]
