"""No transaction that was prepared (XA) before the reader's position may still change the table.

The binary log tells a prepared transaction's rows when it is prepared, and only its name when it is
committed. So the rows of one that was prepared before the position, and is committed after it,
are never delivered. They need not be if the copy begins when it has ended: then it reads them. And
a prepared transaction holds its metadata locks until it ends, through the end of its session and
of the server: who has held a table lock after the position was taken knows that none is left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import MySQLdb

from migrations_app.engine.abort import Abort
from migrations_app.engine.errors import TransientError
from migrations_app.engine.names import TableNames
from migrations_app.engine.observer import Event, Level
from migrations_app.engine.session import Session, is_contention

_LONGEST_WAIT_SECS = 60.0
_FIRST_PAUSE_SECS = 0.5
_LONGEST_PAUSE_SECS = 8.0
# READ makes nobody wait but may never come on a busy table. WRITE comes when the statements before
# it have ended, but whoever comes after it waits, so it is asked for a moment only.
_LOCKS = (("READ", 2), ("WRITE", 1))
_MOST_NAMED = 5


def wait_until_ended(
    session: Session,
    all_names: Sequence[TableNames],
    abort: Abort,
    tell: Callable[[Event], None],
) -> None:
    """Return when no transaction that was prepared before this call can still change the tables.

    To be called when the reader's position is known, and everything logged before it is visible.
    Raises TransientError when that cannot be found out for a minute.
    """
    tables = ", ".join(names.table for names in all_names)
    deadline = time.monotonic() + _LONGEST_WAIT_SECS
    pause_secs = _FIRST_PAUSE_SECS
    suspects = _prepared_xids(session)
    if suspects is not None and not suspects:
        return
    attempt = 0
    while not _locked_once(session, all_names, *_LOCKS[attempt % len(_LOCKS)]):
        abort.check()
        now = _prepared_xids(session)
        suspects = now if now is None or suspects is None else suspects & now
        if suspects is not None and not suspects:
            # Ordinary transactions hold the tables: theirs is logged when it is committed.
            return
        if time.monotonic() > deadline:
            raise TransientError(_gave_up(tables, suspects))
        if attempt == 0:
            tell(_waiting(tables, suspects))
        attempt += 1
        abort.wait(pause_secs)
        pause_secs = min(pause_secs * 2, _LONGEST_PAUSE_SECS)


def _locked_once(session: Session, all_names: Sequence[TableNames], lock: str, secs: int) -> bool:
    """Whether all tables could be locked for an instant."""
    session.query(f"SET SESSION lock_wait_timeout = {secs}")
    tables = ", ".join(f"{names.source_sql} {lock}" for names in all_names)
    try:
        session.query(f"LOCK TABLES {tables}")
    except MySQLdb.Error as error:
        if is_contention(error):
            return False
        raise
    session.query("UNLOCK TABLES")
    return True


def _prepared_xids(session: Session) -> set[str] | None:
    """The prepared transactions of the whole server; None when this account may not see them."""
    try:
        rows = session.query("XA RECOVER CONVERT XID")
    except MySQLdb.Error:
        return None
    return {_xid(*row) for row in rows}


def _xid(format_id: int, global_bytes: int, branch_bytes: int, hexadecimal: str | bytes) -> str:
    """As one writes it in XA COMMIT."""
    text = hexadecimal.decode() if isinstance(hexadecimal, bytes) else hexadecimal
    digits = text.removeprefix("0x")
    global_part, branch = digits[: 2 * global_bytes], digits[2 * global_bytes :]
    return f"X'{global_part}', X'{branch}', {format_id}"


def _listed(xids: set[str]) -> str:
    named = sorted(xids)[:_MOST_NAMED]
    more = f" and {len(xids) - len(named)} more" if len(xids) > len(named) else ""
    return "; ".join(named) + more


def _waiting(tables: str, suspects: set[str] | None) -> Event:
    if suspects is None:
        why = (
            "transactions hold it, and without XA_RECOVER_ADMIN this account may not see whether "
            "one of them is prepared (XA)"
        )
    else:
        why = f"it is held, perhaps by a transaction that is prepared (XA {_listed(suspects)})"
    return Event(
        "waiting_for_prepared",
        f"The copy of {tables} waits to begin: {why}. What a prepared transaction changed can only "
        f"be read when it has ended.",
        Level.WARNING,
        {"tables": tables, "xids": sorted(suspects) if suspects is not None else None},
    )


def _gave_up(tables: str, suspects: set[str] | None) -> str:
    if suspects is None:
        what = (
            f"transactions have held {tables} for {_LONGEST_WAIT_SECS:.0f} s, and this account may "
            f"not see whether one of them is prepared (XA). Have them end, or GRANT "
            f"XA_RECOVER_ADMIN ON *.* to this account, so that ordinary ones need not be waited for"
        )
    else:
        what = (
            f"{tables} has been held for {_LONGEST_WAIT_SECS:.0f} s, perhaps by a transaction that "
            f"is prepared and was neither committed nor rolled back (XA {_listed(suspects)}). End "
            f"it by XA COMMIT or XA ROLLBACK"
        )
    return f"The copy could not begin: {what}. Nothing was copied."
