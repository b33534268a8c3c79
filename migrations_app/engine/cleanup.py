"""Dropping what a cancelled migration left beside its table."""

from __future__ import annotations

import uuid

from migrations_app.engine import sentinel, shadow
from migrations_app.engine.checkpoint import CheckpointTable
from migrations_app.engine.dsn import Dsn
from migrations_app.engine.fence import TableLock
from migrations_app.engine.session import Sessions
from migrations_app.engine.statement import parse_statement
from migrations_app.engine.table import load_table


def clean_up(dsn: Dsn, statement: str) -> list[str]:
    """Drop the shadow table, the checkpoint table and the sentinel of a statement's table.

    Returns the names of the tables that were there. The table itself, and an old table kept
    after a swap, are not touched. Raises RefusedError when a run is working on the table, and
    TransientError when the server cannot be reached.
    """
    parsed = parse_statement(statement, dsn.database)
    names = parsed.names
    sessions = Sessions(dsn, f"{names.lock_name}:cleanup:{uuid.uuid4().hex}")
    lock = TableLock(sessions, names)
    try:
        lock.acquire()
        with sessions.opened("cleanup") as session:
            there = [
                name
                for name in (names.shadow, names.checkpoint)
                if load_table(session, names.schema, name) is not None
            ]
            shadow.drop(session, names)
            CheckpointTable(names, parsed.sql).drop(session)
            sentinel.drop_unless_needed(session, names)
        return there
    finally:
        lock.release()
        sessions.close_all()
