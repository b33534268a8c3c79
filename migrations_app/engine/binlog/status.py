"""Questions to the server about its binary log, asked on an ordinary session."""

from __future__ import annotations

import MySQLdb

from migrations_app.engine.binlog.position import Position
from migrations_app.engine.errors import RefusedError
from migrations_app.engine.names import literal
from migrations_app.engine.session import ER_PARSE_ERROR, Session, error_code


def uses_gtids(session: Session) -> bool:
    """Whether every transaction of this server has a GTID (gtid_mode=ON)."""
    return str(session.query_one("SELECT @@GLOBAL.gtid_mode")[0]).upper() == "ON"


def current_position(session: Session) -> Position:
    """The end of the binary log now; with its GTID set if gtid_mode is ON.

    Transactions in front of the file position may not be visible to SELECT yet. The GTID set has
    only visible ones, so a reader by GTID set delivers the others; one by file and offset does
    not, and its caller must wait for them once (a small commit of its own returns behind them).

    Raises RefusedError when the server writes no binary log.
    """
    # The set first: what commits in between is then delivered twice rather than never.
    gtid_set = ""
    if uses_gtids(session):
        gtid_set = "".join(str(session.query_one("SELECT @@GLOBAL.gtid_executed")[0]).split())
    try:
        rows = session.query("SHOW BINARY LOG STATUS")
    except MySQLdb.Error as error:
        if error_code(error) != ER_PARSE_ERROR:
            raise
        rows = session.query("SHOW MASTER STATUS")  # before MySQL 8.2
    if not rows:
        raise RefusedError(
            "The server writes no binary log, and without it changes cannot be followed. "
            "Start it with log_bin."
        )
    return Position(str(rows[0][0]), int(rows[0][1]), gtid_set)


def why_unavailable(session: Session, position: Position, use_gtid: bool) -> str:
    """Why the server cannot send what follows a position; "" when it still can."""
    if use_gtid and position.gtid_set:
        return _why_set_unavailable(session, position.gtid_set)
    sizes = {str(row[0]): int(row[1]) for row in session.query("SHOW BINARY LOGS")}
    if position.file not in sizes:
        oldest = next(iter(sizes), "none")
        return (
            f"The binary log file {position.file} is no longer on the server "
            f"(the oldest is {oldest})."
        )
    if position.offset > sizes[position.file]:
        return (
            f"The binary log file {position.file} ends at byte {sizes[position.file]}, before the "
            f"saved position {position.offset}: the server's binary logs were reset."
        )
    return ""


def _why_set_unavailable(session: Session, gtid_set: str) -> str:
    wanted = literal(gtid_set)
    row = session.query_one(
        f"SELECT GTID_SUBTRACT(@@GLOBAL.gtid_purged, {wanted}), "
        f"GTID_SUBTRACT({wanted}, @@GLOBAL.gtid_executed)"
    )
    missing, unknown = ("".join(str(part).split()) for part in row)
    if missing:
        return (
            f"The server has purged transactions that the migration has not seen yet ({missing}): "
            f"their binary logs have expired."
        )
    if unknown:
        return (
            f"The server does not have transactions that the migration has already seen "
            f"({unknown}): it was restored, or is another server."
        )
    return ""
