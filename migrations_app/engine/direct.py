"""Letting the server make the change by itself, where it can do so without reading a row.

INSTANT is the server's own promise. INPLACE is none: it may rebuild the table for hours. So it is
only asked for where the shadow table, made by the same statement, shows that nothing but metadata
changes.
"""

from __future__ import annotations

import MySQLdb

from migrations_app.engine.abort import Abort
from migrations_app.engine.errors import ServerLostError, TransientError
from migrations_app.engine.mapping import Mapping
from migrations_app.engine.session import ER_LOCK_WAIT_TIMEOUT, Session, error_code
from migrations_app.engine.statement import Clause, Statement
from migrations_app.engine.table import Column, Table, show_create_table

_LOCK_WAIT_SECS = 3
_TRIES = 10
_PAUSE_SECS = 2
# Up to this many bytes a VARCHAR's length is stored in one byte, above it in two.
_ONE_LENGTH_BYTE = 255
_METADATA_CLAUSES = frozenset(
    {
        ("RENAME", "INDEX"), ("RENAME", "KEY"), ("ALTER", "INDEX"), ("DROP", "INDEX"),
        ("DROP", "KEY"), ("RENAME", "COLUMN"),
    }
)  # fmt: skip
_METADATA_VERBS = frozenset({"MODIFY", "CHANGE"})


def instant(session: Session, statement: Statement, abort: Abort) -> bool:
    """Whether the server made the change at once.

    Raises TransientError when the table stayed locked by others.
    """
    return _try(session, statement, "ALGORITHM=INSTANT", abort)


def in_place(session: Session, statement: Statement, mapping: Mapping, abort: Abort) -> bool:
    """Whether the server made the change in place; only tried where it reads no row.

    mapping: of the shadow table, which shows what the statement does. Raises TransientError when
    the table stayed locked by others.
    """
    if not changes_only_metadata(statement, mapping.source, mapping.shadow):
        return False
    return _try(session, statement, "ALGORITHM=INPLACE, LOCK=NONE", abort)


def changes_only_metadata(statement: Statement, source: Table, shadow: Table) -> bool:
    """Whether INPLACE is known to read and write no row for this statement."""
    if not all(_may_be_metadata(clause) for clause in statement.clauses):
        return False
    if len(source.columns) != len(shadow.columns):
        return False
    renamed = statement.renamed_columns
    return all(
        after.name.lower() == renamed.get(before.name.lower(), before.name).lower()
        and _stored_alike(before, after)
        for before, after in zip(source.columns, shadow.columns, strict=True)
    )


def _may_be_metadata(clause: Clause) -> bool:
    return clause.words[:2] in _METADATA_CLAUSES or clause.words[0] in _METADATA_VERBS


def _stored_alike(before: Column, after: Column) -> bool:
    """Whether the rows of a table with the one column are rows of a table with the other."""
    if before.nullable != after.nullable or before.generated != after.generated:
        return False
    if (before.charset, before.collation) != (after.charset, after.collation):
        return False
    if before.column_type == after.column_type:
        return True
    if (before.data_type, after.data_type) != ("varchar", "varchar"):
        return False
    old, new = (int(column.facts["CHARACTER_OCTET_LENGTH"]) for column in (before, after))
    return old <= new and (old > _ONE_LENGTH_BYTE or new <= _ONE_LENGTH_BYTE)


def _try(session: Session, statement: Statement, suffix: str, abort: Abort) -> bool:
    """Whether the server made the change in this way."""
    source = statement.names.source_sql
    before = show_create_table(session, source)
    session.query(f"SET SESSION lock_wait_timeout = {_LOCK_WAIT_SECS}")
    for _ in range(_TRIES):
        abort.check()
        try:
            session.define(statement.alter(source, suffix))
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
        f"held the table for {_TRIES} tries of {_LOCK_WAIT_SECS} s. Nothing was changed.",
        advice="Run it again when long transactions on it have ended.",
    )
