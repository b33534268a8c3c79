"""Rule 9: two runs never write to one shadow table, not even through a dead run's last statement.

A run owns its table by GET_LOCK on a connection of its own. Three things make that airtight:

- Every writing transaction asks, before it commits, whether the lock is still this run's. By then
  the transaction holds a metadata lock on the shadow table.
- A new run, once it has the user-level lock, ends the sessions that a dead run left on the server,
  and takes a metadata write lock on the shadow table for an instant. That waits for every
  transaction that has touched it; any that touches it later finds the user-level lock lost.
- A transaction whose client is gone cannot commit: the server rolls it back.
"""

from __future__ import annotations

import contextlib
import threading
import time

import MySQLdb

from migrations_app.engine.abort import Abort
from migrations_app.engine.errors import RefusedError, ServerLostError, TransientError
from migrations_app.engine.names import TableNames, literal
from migrations_app.engine.session import RUN_TOKEN_VARIABLE, Session, Sessions, error_code

ER_KILL_DENIED = 1095
_SETTLE_SECS = 60


class TableLock:
    """The user-level lock of one table, on its own connection from ``acquire`` to ``release``."""

    def __init__(self, sessions: Sessions, names: TableNames) -> None:
        self._sessions = sessions
        self._names = names
        self._session: Session | None = None
        self._use = threading.Lock()

    def acquire(self, wait_secs: int = 3) -> None:
        """Take the lock. Raises RefusedError when another run has it.

        wait_secs: the server may need a moment to notice that a killed run's connection is gone.
        """
        session = self._sessions.open("lock")
        name = literal(self._names.lock_name)
        if session.query_one(f"SELECT GET_LOCK({name}, {wait_secs})")[0] != 1:
            holder = session.query_one(f"SELECT IS_USED_LOCK({name})")[0]
            self._sessions.release(session)
            raise RefusedError(
                f"Another run is working on {self._names.schema}.{self._names.table} "
                f"(connection {holder} on the server holds its lock). Stop it first, or wait "
                f"for its end. Nothing was touched."
            )
        self._session = session

    def check(self, session: Session) -> None:
        """Asked by every writing transaction right before it commits. Raises TransientError."""
        owner = self._session.id if self._session else 0
        name = literal(self._names.lock_name)
        if session.query_one(f"SELECT IS_USED_LOCK({name})")[0] != owner:
            raise lock_lost()

    def keep_alive(self) -> None:
        """Asked about once a second: notices a lost connection early. Raises TransientError."""
        with self._use:
            if self._session is None:
                return
            try:
                self._session.query("DO 1")
            except (ServerLostError, MySQLdb.Error) as error:
                raise lock_lost() from error

    def release(self) -> None:
        with self._use:
            session, self._session = self._session, None
        if session is not None:
            self._sessions.release(session)


def lock_lost() -> TransientError:
    """Not a ServerLostError: those are tried again on a new connection, which must not be."""
    return TransientError(
        "The connection that holds the table's lock was lost, so this run stopped before its next "
        "write. Everything up to the last checkpoint was kept; run it again."
    )


def end_dead_sessions(session: Session, token_prefix: str, own_token: str) -> list[int]:
    """Kill what earlier runs on this table left on the server; returns the sessions' ids.

    Sessions are known by a user variable that begins with the table's lock name. Without the
    right to see or kill them nothing happens here: the metadata lock still waits for them.
    """
    rows: list[tuple[int, ...]] = []
    with contextlib.suppress(MySQLdb.Error):
        rows = session.query(
            "SELECT t.PROCESSLIST_ID FROM performance_schema.user_variables_by_thread v "
            "JOIN performance_schema.threads t USING (THREAD_ID) "
            f"WHERE v.VARIABLE_NAME = '{RUN_TOKEN_VARIABLE}' "
            f"AND CAST(v.VARIABLE_VALUE AS CHAR) LIKE {literal(token_prefix + '%')} "
            f"AND CAST(v.VARIABLE_VALUE AS CHAR) <> {literal(own_token)}"
        )
    killed = []
    for (session_id,) in rows:
        with contextlib.suppress(MySQLdb.Error):
            session.query(f"KILL {int(session_id)}")
            killed.append(int(session_id))
    return killed


def wait_for_dead_statements(session: Session, names: TableNames, abort: Abort) -> None:
    """Return once no earlier transaction can still write to the shadow table, if it exists."""
    deadline = time.monotonic() + _SETTLE_SECS
    session.query("SET SESSION lock_wait_timeout = 2")
    while True:
        abort.check()
        try:
            session.query(f"LOCK TABLES {names.shadow_sql} WRITE")
            session.query("UNLOCK TABLES")
            return
        except MySQLdb.Error as error:
            if error_code(error) == 1146:
                return
            if error_code(error) != 1205 or time.monotonic() > deadline:
                raise TransientError(
                    f"A session of an earlier run still holds {names.shadow} "
                    f"({error.args[-1]}). Nothing was touched; run it again in a minute, or end "
                    f"that session."
                ) from error
