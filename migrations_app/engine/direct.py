"""Letting the server make the change by itself, where it can do so without reading a row."""

from __future__ import annotations

import MySQLdb

from migrations_app.engine.abort import Abort
from migrations_app.engine.errors import ServerLostError, TransientError
from migrations_app.engine.observer import Method
from migrations_app.engine.session import ER_LOCK_WAIT_TIMEOUT, Session, error_code
from migrations_app.engine.statement import Clause, Statement
from migrations_app.engine.table import show_create_table

_LOCK_WAIT_SECS = 3
_TRIES = 10
_PAUSE_SECS = 2


def attempt(session: Session, statement: Statement, abort: Abort) -> Method:
    """Try INSTANT, then INPLACE where that only changes metadata.

    Returns the method that made the change, or UNDECIDED when the server has to copy. Raises
    TransientError when the table stayed locked by others.
    """
    methods = [(Method.INSTANT, "ALGORITHM=INSTANT")]
    if all(_metadata_only(clause) for clause in statement.clauses):
        methods.append((Method.INPLACE, "ALGORITHM=INPLACE, LOCK=NONE"))
    for method, suffix in methods:
        if _try(session, statement, suffix, abort):
            return method
    return Method.UNDECIDED


def _metadata_only(clause: Clause) -> bool:
    """Whether INPLACE is known to change nothing but metadata for this clause."""
    return clause.words[:2] in (
        ("RENAME", "INDEX"), ("RENAME", "KEY"), ("ALTER", "INDEX"), ("DROP", "INDEX"),
        ("DROP", "KEY"),
    )  # fmt: skip


def _try(session: Session, statement: Statement, suffix: str, abort: Abort) -> bool:
    """Whether the server made the change in this way."""
    source = statement.names.source_sql
    before = show_create_table(session, source)
    session.query(f"SET SESSION lock_wait_timeout = {_LOCK_WAIT_SECS}")
    for _ in range(_TRIES):
        abort.check()
        try:
            session.query(statement.alter(source, suffix))
            return True
        except ServerLostError:
            # It may have been made or not: look before anything else is done.
            session.open()
            if show_create_table(session, source) != before:
                return True
            raise
        except MySQLdb.Error as error:
            abort.check()
            if error_code(error) != ER_LOCK_WAIT_TIMEOUT:
                # Not possible in this way, or not at all: the shadow table will tell which.
                return False
        abort.wait(_PAUSE_SECS)
    raise TransientError(
        f"The change needs no copy, only a short lock on {statement.table}, but other sessions "
        f"held the table for {_TRIES} tries of {_LOCK_WAIT_SECS} s. Nothing was changed; run it "
        f"again when long transactions on it have ended."
    )
