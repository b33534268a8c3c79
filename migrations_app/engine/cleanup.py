"""Dropping what a cancelled migration left beside its table."""

from __future__ import annotations

import uuid

from migrations_app.engine import fence, sentinel, shadow
from migrations_app.engine.checkpoint import CheckpointTable
from migrations_app.engine.dsn import Dsn
from migrations_app.engine.fence import TableLock
from migrations_app.engine.session import Sessions
from migrations_app.engine.statement import parse_change
from migrations_app.engine.table import load_table


def clean_up(dsn: Dsn, statement: str) -> list[str]:
    """Drop the shadow tables, the checkpoint table and the sentinel of a change.

    Returns the names of the tables that were there. The table itself, and an old table kept
    after a swap, are not touched. Raises RefusedError when a run is working on the table, and
    TransientError when the server cannot be reached.
    """
    change = parse_change(statement, dsn.database)
    token = fence.run_token(change.all_names, "cleanup", uuid.uuid4().hex)
    sessions = Sessions(dsn, token)
    lock = TableLock(sessions, change.all_names)
    try:
        lock.acquire()
        with sessions.opened("cleanup") as session:
            there = [
                name
                for names in change.all_names
                for name in (names.shadow, names.checkpoint)
                if load_table(session, names.schema, name) is not None
            ]
            for names in change.all_names:
                shadow.drop(session, names)
            CheckpointTable(change).drop(session)
            sentinel.drop_unless_needed(session, change.first.names)
        return there
    finally:
        lock.release()
        sessions.close_all()
