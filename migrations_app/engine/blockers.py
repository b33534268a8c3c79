"""Sessions that hold a table's metadata lock while the cut-over waits for it."""

from __future__ import annotations

import dataclasses

import MySQLdb

from migrations_app.engine.names import TableNames, literal
from migrations_app.engine.observer import Event, Level
from migrations_app.engine.session import Session, server_text

# Rolling back more than this takes longer than waiting for the session's own end.
_LARGE_TRANSACTION_ROWS = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class Blocker:
    """A session in the way. spared: why it must not be ended, or ""."""

    session_id: int
    account: str
    rows_modified: int
    spared: str


def of_table(session: Session, names: TableNames, waiting_id: int) -> list[Blocker]:
    """Sessions that hold a granted lock on the table, the waiting one left out."""
    rows = session.query(
        "SELECT t.PROCESSLIST_ID, CONCAT(t.PROCESSLIST_USER, '@', t.PROCESSLIST_HOST), "
        "COALESCE(MAX(x.trx_rows_modified), 0), MAX(l.LOCK_DURATION = 'EXPLICIT'), "
        "MAX(l.LOCK_TYPE IN ('SHARED_NO_READ_WRITE', 'SHARED_READ_ONLY')) "
        "FROM performance_schema.metadata_locks l "
        "JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID "
        "LEFT JOIN information_schema.innodb_trx x ON x.trx_mysql_thread_id = t.PROCESSLIST_ID "
        "WHERE l.OBJECT_TYPE = 'TABLE' AND l.LOCK_STATUS = 'GRANTED' "
        f"AND l.OBJECT_SCHEMA = {literal(names.schema)} AND l.OBJECT_NAME = {literal(names.table)} "
        f"AND t.PROCESSLIST_ID IS NOT NULL AND t.PROCESSLIST_ID <> {waiting_id} "
        "GROUP BY t.PROCESSLIST_ID, t.PROCESSLIST_USER, t.PROCESSLIST_HOST"
    )
    return [
        Blocker(
            session_id=int(session_id),
            account=str(account),
            rows_modified=int(modified),
            spared=_spared(int(modified), bool(explicit) or bool(table_lock)),
        )
        for session_id, account, modified, explicit, table_lock in rows
    ]


def _spared(rows_modified: int, locked_on_purpose: bool) -> str:
    if locked_on_purpose:
        return "it has locked the table on purpose (LOCK TABLES)"
    if rows_modified > _LARGE_TRANSACTION_ROWS:
        return (
            f"its transaction has changed {rows_modified:,} rows and would take long to roll back"
        )
    return ""


def end(session: Session, blocker: Blocker, table: str) -> Event:
    """Kill a blocking session, unless it must be spared; returns what to tell."""
    who = f"session {blocker.session_id} of {blocker.account}"
    data = {
        "session_id": blocker.session_id,
        "account": blocker.account,
        "rows_modified": blocker.rows_modified,
    }
    if blocker.spared:
        return Event(
            "cutover_blocked",
            f"The swap waits for {who}, which holds {table} and is not ended because "
            f"{blocker.spared}.",
            Level.WARNING,
            data,
        )
    try:
        session.query(f"KILL {blocker.session_id}")
    except MySQLdb.Error as error:
        return Event(
            "cutover_blocked",
            f"The swap waits for {who}, which holds {table} and could not be ended: "
            f"{server_text(error)}. End it by hand, or grant CONNECTION_ADMIN to this account.",
            Level.WARNING,
            data,
        )
    return Event(
        "session_killed",
        f"Ended {who}: its open transaction held {table} while the swap was waiting.",
        Level.WARNING,
        data,
    )
