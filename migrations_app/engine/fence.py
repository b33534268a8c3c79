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
from collections.abc import Sequence

import MySQLdb

from migrations_app.engine.abort import Abort
from migrations_app.engine.errors import (
    LockLostError,
    RefusedError,
    ServerLostError,
    TransientError,
)
from migrations_app.engine.names import TableNames, literal
from migrations_app.engine.session import RUN_TOKEN_VARIABLE, Session, Sessions, error_code

ER_KILL_DENIED = 1095
_SETTLE_SECS = 60


class TableLock:
    """The user-level locks of a run's tables, on one connection from ``acquire`` to ``release``.

    They are held by one connection, and so are lost together or not at all.
    """

    def __init__(self, sessions: Sessions, all_names: Sequence[TableNames]) -> None:
        self._sessions = sessions
        self._all_names = sorted(all_names, key=lambda names: names.lock_name)
        self._session: Session | None = None
        self._use = threading.Lock()

    def acquire(self, wait_secs: int = 3) -> None:
        """Take the locks. Raises RefusedError when another run has one of them.

        wait_secs: the server may need a moment to notice that a killed run's connection is gone.
        """
        session = self._sessions.open("lock")
        for names in self._all_names:
            name = literal(names.lock_name)
            if session.query_one(f"SELECT GET_LOCK({name}, {wait_secs})")[0] != 1:
                holder = session.query_one(f"SELECT IS_USED_LOCK({name})")[0]
                self._sessions.release(session)
                raise RefusedError(
                    f"Another run is working on {names.schema}.{names.table} "
                    f"(connection {holder} on the server holds its lock). Stop it first, or wait "
                    f"for its end. Nothing was touched."
                )
        self._session = session

    def check(self, session: Session) -> None:
        """Asked by every writing transaction right before it commits. Raises LockLostError."""
        owner = self._session.id if self._session else 0
        name = literal(self._all_names[0].lock_name)
        if session.query_one(f"SELECT IS_USED_LOCK({name})")[0] != owner:
            raise lock_lost()

    def keep_alive(self) -> None:
        """Asked about once a second: notices a lost connection early. Raises LockLostError."""
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


def lock_lost() -> LockLostError:
    return LockLostError(
        "The connection that holds the table's lock was lost, so this run stopped before its next "
        "write. Everything up to the last checkpoint was kept."
    )


def run_token(all_names: Sequence[TableNames], owner: str, unique: str) -> str:
    """What a run's sessions are known by: the lock name of each of its tables, whose run it is,
    and which of that owner's runs."""
    return f"{','.join(names.lock_name for names in all_names)}{_owned_by(owner)}{unique}"


def _owned_by(owner: str) -> str:
    return f"/{owner}/"


def end_superseded_sessions(
    session: Session, all_names: Sequence[TableNames], owner: str, own_token: str
) -> list[int]:
    """Kill the sessions of this owner's earlier runs, to be asked before the lock is: a server
    that did not notice a client's end keeps its sessions, and their lock, for hours.

    Returns the sessions' ids.
    """
    return _end_sessions(
        session, all_names, own_token, f"AND INSTR(value, {literal(_owned_by(owner))})"
    )


def end_dead_sessions(
    session: Session, all_names: Sequence[TableNames], own_token: str
) -> list[int]:
    """Kill what any earlier run on these tables left on the server, to be asked with the lock in
    hand; returns the sessions' ids."""
    return _end_sessions(session, all_names, own_token)


def _end_sessions(
    session: Session, all_names: Sequence[TableNames], own_token: str, condition: str = ""
) -> list[int]:
    """Sessions are known by a user variable, the run's token. Without the right to see or kill them
    nothing happens here: the metadata lock still waits for them."""
    rows: list[tuple[int, ...]] = []
    of_ours = " OR ".join(f"INSTR(value, {literal(names.lock_name)})" for names in all_names)
    with contextlib.suppress(MySQLdb.Error):
        rows = session.query(
            "SELECT id FROM (SELECT t.PROCESSLIST_ID AS id, "
            "CAST(v.VARIABLE_VALUE AS CHAR) AS value "
            "FROM performance_schema.user_variables_by_thread v "
            "JOIN performance_schema.threads t USING (THREAD_ID) "
            f"WHERE v.VARIABLE_NAME = '{RUN_TOKEN_VARIABLE}') s "
            f"WHERE ({of_ours}) AND value <> {literal(own_token)} {condition}"
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
                    f"({error.args[-1]}). Nothing was touched. It ends by itself, or end it.",
                    advice="Run it again in a minute.",
                ) from error
