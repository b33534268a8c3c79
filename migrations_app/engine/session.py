"""Connections to the target: one way to open them, one owner that ends them all.

Every session has the same settings, so that neither the server's defaults nor an account's
change what a value means: UTC, strict, READ COMMITTED, binary-safe utf8mb4.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import MySQLdb
from MySQLdb.constants import CLIENT, CR, ER

from migrations_app.engine import names, tls
from migrations_app.engine.dsn import Dsn, TlsMode
from migrations_app.engine.errors import EngineError, RefusedError, ServerLostError

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECS = 10
Row = tuple[Any, ...]

ER_LOCK_WAIT_TIMEOUT = 1205
ER_LOCK_DEADLOCK = 1213
ER_QUERY_INTERRUPTED = 1317
ER_DUP_ENTRY = 1062
ER_NO_SUCH_TABLE = 1146
ER_PARSE_ERROR = 1064
ER_BAD_FIELD = 1054
_CONTENTION = {
    ER_LOCK_WAIT_TIMEOUT,
    ER_LOCK_DEADLOCK,
    3572,  # NOWAIT found a lock
    ER_QUERY_INTERRUPTED,  # somebody's KILL QUERY; our own comes with the abort signal up
}
_LOST = {
    CR.SERVER_GONE_ERROR,
    CR.SERVER_LOST,
    CR.CONNECTION_ERROR,
    CR.CONN_HOST_ERROR,
    2055,  # CR_SERVER_LOST_EXTENDED
    CR.SSL_CONNECTION_ERROR,  # how Connector/C calls it in an encrypted session
    ER.SERVER_SHUTDOWN,
    1927,  # the session was killed (as Connector/C says it)
    4031,  # disconnected by the server for inactivity
    1079,
}
# Of an attempt to connect, by OpenSSL or the system; not of certificates or versions.
_BROKEN_OFF = re.compile(r"eof|reset|broken pipe|timed? ?out|syscall", re.IGNORECASE)
_DENIED = {ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, 1698}

# STRICT_ALL_TABLES: a value that does not fit is an error, or under IGNORE a warning that ends
# the run. NO_AUTO_VALUE_ON_ZERO: a row 0 stays a row 0. Zero dates are not forbidden here: what
# the source holds must arrive.
SQL_MODE = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_AUTO_VALUE_ON_ZERO"
RUN_TOKEN_VARIABLE = "spirit_run"
_UTC = "time_zone='+00:00'"
_SESSION_SETTINGS = (
    f"sql_mode='{SQL_MODE}'",
    _UTC,
    "transaction_isolation='READ-COMMITTED'",
    # Key lists are written as IN (…): no memory limit may turn them into full scans.
    "range_optimizer_max_mem_size=0",
    "net_read_timeout=600",
    "net_write_timeout=600",
    "wait_timeout=86400",
    "group_concat_max_len=1048576",
    # For a table that others have locked; a year is the server's default.
    "lock_wait_timeout=20",
)


def error_code(error: BaseException) -> int:
    """The server's or client library's number of an error, 0 if there is none."""
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0


def is_lost(error: BaseException) -> bool:
    return isinstance(error, ServerLostError) or (
        isinstance(error, MySQLdb.Error) and error_code(error) in _LOST
    )


def is_contention(error: BaseException) -> bool:
    """A deadlock, lock wait or killed query: another try of the transaction may pass."""
    return isinstance(error, MySQLdb.Error) and error_code(error) in _CONTENTION


def server_text(error: BaseException) -> str:
    """The server's own message of an error."""
    if isinstance(error, MySQLdb.Error) and len(error.args) > 1:
        return f"{error.args[1]} (error {error.args[0]})"
    return str(error)


def connection_failure(dsn: Dsn, error: MySQLdb.Error) -> EngineError:
    """A failed attempt to connect, in words."""
    code = error_code(error)
    where = f"{dsn.host}:{dsn.port}"
    if code in _DENIED:
        return RefusedError(
            f"The server at {where} refused the account {dsn.user!r}: wrong password, or no right "
            f"to connect from here. Check the target's user and password."
        )
    if code == ER.BAD_DB_ERROR:
        return RefusedError(f"There is no schema {dsn.database!r} on the server at {where}.")
    if code == CR.SSL_CONNECTION_ERROR and not _BROKEN_OFF.search(server_text(error)):
        return RefusedError(
            f"TLS to {where} failed with mode {dsn.tls_mode}: {server_text(error)}. "
            f"Check the TLS mode and the CA file."
        )
    if code == tls.SECURE_TRANSPORT_REQUIRED:
        return RefusedError(
            f"The server at {where} takes encrypted connections only, and the target's TLS mode is "
            f"{dsn.tls_mode}. Choose another mode."
        )
    return ServerLostError(
        f"The server at {where} cannot be reached: {server_text(error)}. Nothing was changed.",
        advice="Try again when it is up.",
    )


def connect(dsn: Dsn, *, database: bool = True) -> MySQLdb.Connection:
    """Open a bare connection. Raises RefusedError or ServerLostError with words for people."""
    arguments: dict[str, Any] = {
        "host": dsn.tcp_host,
        "port": dsn.port,
        "user": dsn.user,
        "password": dsn.password,
        "connect_timeout": dsn.answer_secs or CONNECT_TIMEOUT_SECS,
        "charset": "utf8mb4",
        "autocommit": True,
        "multi_statements": False,
        # Rows matched, not rows changed, would hide what REPLACE did.
        "client_flag": CLIENT.LONG_PASSWORD,
    }
    if database:
        arguments["database"] = dsn.database
    if dsn.answer_secs is not None:
        arguments["read_timeout"] = arguments["write_timeout"] = dsn.answer_secs

    def attempt(mode: TlsMode) -> MySQLdb.Connection:
        settings = tls.mysqlclient_settings(dsn, mode, arguments["connect_timeout"])
        return MySQLdb.connect(**arguments, **settings)

    try:
        return tls.connected(dsn, attempt)
    except tls.NotOfferedError:
        raise RefusedError(
            f"The server at {dsn.host}:{dsn.port} offers no TLS, and the target's TLS mode is "
            f"{dsn.tls_mode}. Nothing was sent. Have the server offer it (its log says why it does "
            f"not), or choose another mode."
        ) from None
    except MySQLdb.Error as error:
        raise connection_failure(dsn, error) from error


class Session:
    """One connection with the engine's settings. Used by one thread at a time.

    Every method raises ServerLostError when the connection is gone, and MySQLdb.Error as the
    server sent it otherwise.
    """

    def __init__(self, dsn: Dsn, purpose: str, run_token: str) -> None:
        self._dsn = dsn
        self.purpose = purpose
        self._run_token = run_token
        self._connection: MySQLdb.Connection | None = None
        self.id = 0
        self.is_at_work = False
        self.open()

    def open(self) -> None:
        """(Re)open the connection; whatever an earlier one left unfinished is rolled back."""
        self.close()
        connection = connect(self._dsn)
        try:
            # In one statement: a run opens a dozen sessions, and each round trip counts.
            connection.query("SET " + ", ".join(f"SESSION {one}" for one in _SESSION_SETTINGS))
            # Needs a privilege that an account need not have; the server's default is 1024.
            with contextlib.suppress(MySQLdb.OperationalError):
                connection.query("SET SESSION max_error_count=65535")
            connection.query(f"SET @{RUN_TOKEN_VARIABLE} = {names.literal(self._run_token)}")
        except MySQLdb.Error as error:
            connection.close()
            raise connection_failure(self._dsn, error) from error
        self._connection = connection
        self.id = connection.thread_id()

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(MySQLdb.Error):
                connection.close()

    @property
    def lost(self) -> bool:
        """Whether the connection is gone; ``open`` brings a new one."""
        return self._connection is None

    def _live(self) -> MySQLdb.Connection:
        if self._connection is None:
            raise ServerLostError("The connection is closed.")
        return self._connection

    def query(self, sql: str) -> list[Row]:
        """Run one statement and return its rows (empty for a statement that has none)."""
        return self._fetched(sql, as_dicts=False)

    def query_one(self, sql: str) -> Row:
        """The first row of a query that always has one."""
        return self.query(sql)[0]

    def query_dicts(self, sql: str) -> list[dict[str, Any]]:
        """Rows as dictionaries with upper-case column names (information_schema's own case)."""
        rows = self._fetched(sql, as_dicts=True)
        return [{str(name).upper(): value for name, value in row.items()} for row in rows]

    def _fetched(self, sql: str, *, as_dicts: bool) -> list[Any]:
        connection = self._live()
        self.is_at_work = True
        try:
            connection.query(sql.encode())
            result = connection.store_result()
            return (
                list(result.fetch_row(maxrows=0, how=int(as_dicts))) if result is not None else []
            )
        except MySQLdb.Error as error:
            raise self._translated(error) from error
        finally:
            self.is_at_work = False

    def define(self, sql: str) -> None:
        """Run a statement in the time zone of whoever chooses none: what it says of defaults and
        of partitions is meant so."""
        self.query("SET SESSION time_zone = @@GLOBAL.time_zone")
        try:
            self.query(sql)
        finally:
            # A connection that is lost begins in UTC again.
            with contextlib.suppress(ServerLostError):
                self.query(f"SET SESSION {_UTC}")

    def execute(self, sql: str) -> int:
        """Run one statement; returns the affected rows as the server counts them."""
        self.query(sql)
        return int(self._live().affected_rows())

    def _translated(self, error: MySQLdb.Error) -> Exception:
        if is_lost(error):
            self.close()
            return ServerLostError(
                f"The connection to {self._dsn.host}:{self._dsn.port} ({self.purpose}) was lost: "
                f"{server_text(error)}. Progress was kept."
            )
        return error

    @property
    def statement_info(self) -> StatementInfo:
        """What the server said about the last INSERT … SELECT."""
        return StatementInfo.parse(self._live().info())

    def warnings(self) -> list[tuple[str, int, str]]:
        """(level, code, message) of the last statement's warnings the server has kept."""
        return [
            (str(level), int(code), str(text)) for level, code, text in self.query("SHOW WARNINGS")
        ]

    @contextlib.contextmanager
    def transaction(self, begin: str = "START TRANSACTION") -> Iterator[None]:
        """A transaction that commits at the end of the block and rolls back on any exception."""
        self.query(begin)
        try:
            yield
        except BaseException:
            with contextlib.suppress(MySQLdb.Error, ServerLostError):
                self.query("ROLLBACK")
            raise
        self.query("COMMIT")


class StatementInfo:
    """``Records: 10  Duplicates: 2  Warnings: 2``, read into numbers."""

    __slots__ = ("duplicates", "records", "warnings")

    def __init__(self, records: int, duplicates: int, warnings: int) -> None:
        self.records = records
        self.duplicates = duplicates
        self.warnings = warnings

    @classmethod
    def parse(cls, text: str | bytes | None) -> StatementInfo:
        if isinstance(text, bytes):
            text = text.decode()
        numbers = [int(number) for number in re.findall(r":\s*(\d+)", text or "")]
        numbers += [0] * (3 - len(numbers))
        return cls(numbers[0], numbers[1], numbers[2])


class Sessions:
    """Owns every session of a run: opens, interrupts and closes them. Thread-safe."""

    def __init__(self, dsn: Dsn, run_token: str) -> None:
        self.dsn = dsn
        self.run_token = run_token
        self._lock = threading.Lock()
        self._open: set[Session] = set()
        self._closed = False

    @property
    def at_work(self) -> int:
        """How many wait for an answer of the server."""
        with self._lock:
            return sum(session.is_at_work for session in self._open)

    def open(self, purpose: str) -> Session:
        session = Session(self.dsn, purpose, self.run_token)
        with self._lock:
            if not self._closed:
                self._open.add(session)
                return session
        session.close()
        raise ServerLostError("The run is closing its connections.")

    @contextlib.contextmanager
    def opened(self, purpose: str) -> Iterator[Session]:
        """A session for the length of a block."""
        session = self.open(purpose)
        try:
            yield session
        finally:
            self.release(session)

    def release(self, session: Session) -> None:
        with self._lock:
            self._open.discard(session)
        session.close()

    def interrupt_all(self, *, spare: tuple[Session, ...] = ()) -> None:
        """End the statements the sessions are running, so that a stop takes no longer than a
        rollback. The sessions stay usable."""
        with self._lock:
            ids = [session.id for session in self._open if session not in spare]
        if not ids:
            return
        try:
            connection = connect(self.dsn)
        except EngineError:
            logger.warning("Could not connect to interrupt running statements.", exc_info=True)
            return
        with contextlib.closing(connection):
            for session_id in ids:
                with contextlib.suppress(MySQLdb.Error):
                    connection.query(f"KILL QUERY {session_id}")

    def close_all(self) -> None:
        """Close everything; later ``open`` calls are refused. Calling twice is harmless."""
        with self._lock:
            self._closed = True
            sessions, self._open = list(self._open), set()
        for session in sessions:
            session.close()
