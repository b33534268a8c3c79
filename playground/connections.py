"""How the playground's parts reach a MySQL server: plain connections, with nothing hidden."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import MySQLdb
from MySQLdb.constants import CLIENT, CR, ER

from migrations_app.engine.dsn import Dsn
from migrations_app.engine.session import error_code

CONNECT_TIMEOUT_SECS = 10

# When a session is killed, MySQL 9.7 closes its socket from another thread, and what the session
# still had to say may go to whoever was given the socket's number next: a client that connects
# just then gets a stranger's "OK" for a greeting: 26 of 61,000 killed, busy sessions met that.
_BROKEN_GREETING = {
    CR.SERVER_LOST,
    CR.SERVER_GONE_ERROR,
    CR.VERSION_ERROR,
    CR.UNKNOWN_ERROR,
    CR.SERVER_HANDSHAKE_ERR,
    CR.MALFORMED_PACKET,
    ER.NET_READ_ERROR,
    ER.QUERY_INTERRUPTED,
}


def greeting_was_broken(error: BaseException) -> bool:
    """Whether an attempt to connect met a server that is there, and failed by accident."""
    return isinstance(error, MySQLdb.Error) and error_code(error) in _BROKEN_GREETING


def as_dsn(dsn: str | Dsn) -> Dsn:
    """A DSN as given by ``PrivateServer.root_dsn`` or by a test, in one form."""
    return dsn if isinstance(dsn, Dsn) else Dsn.parse(dsn)


def connect(dsn: str | Dsn, *, autocommit: bool = True) -> MySQLdb.Connection:
    """Open a connection in UTC that counts matched rows (an UPDATE to equal values counts too).

    Raises MySQLdb.Error as the client library does.
    """
    at = as_dsn(dsn)
    return MySQLdb.connect(
        host=at.host,
        port=at.port,
        user=at.user,
        password=at.password,
        database=at.database,
        charset="utf8mb4",
        autocommit=autocommit,
        connect_timeout=CONNECT_TIMEOUT_SECS,
        client_flag=CLIENT.FOUND_ROWS,
        init_command="SET time_zone = '+00:00'",
    )


@contextlib.contextmanager
def connected(dsn: str | Dsn) -> Iterator[MySQLdb.Connection]:
    """A connection for the length of a block."""
    connection = connect(dsn)
    try:
        yield connection
    finally:
        connection.close()


def query(
    connection: MySQLdb.Connection, sql: str, arguments: tuple[object, ...] = ()
) -> list[tuple[Any, ...]]:
    """Run one statement and return its rows. ``arguments`` replace ``%s``; without any, a per
    cent sign is just that."""
    with contextlib.closing(connection.cursor()) as cursor:
        cursor.execute(sql, arguments or None)
        return list(cursor.fetchall())


def quote(identifier: str) -> str:
    """An identifier as SQL; ``schema.table`` is quoted part by part."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in identifier.split("."))
