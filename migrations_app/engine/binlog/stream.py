"""The dump connection: opened by mysql-replication, then read by ourselves.

The library asks for checksums, heartbeats and the dump (by file and offset or by GTID set); its
decoding of events is not used. This module also translates what can go wrong.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import re
import select
import socket
import struct
from typing import Any

import pymysql
from pymysql.protocol import MysqlPacket
from pymysqlreplication import BinLogStreamReader

from migrations_app.engine import tls
from migrations_app.engine.binlog.errors import PositionLostError
from migrations_app.engine.binlog.events import HEADER_BYTES
from migrations_app.engine.binlog.interpreter import ServerTraits
from migrations_app.engine.binlog.packets import EventSplitter, SequenceError
from migrations_app.engine.binlog.position import Position
from migrations_app.engine.dsn import Dsn
from migrations_app.engine.errors import EngineError, ServerLostError, TransientError

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECS = 10
FIRST_OFFSET = 4
_RECEIVED_BYTES = 256 * 1024
# Who receives less at once has caught up, or reads a TLS stream, which comes in smaller records.
_MUCH_BYTES = 64 * 1024
# Longer than a reader that is being throttled can leave a packet unread.
_NET_WRITE_TIMEOUT_SECS = 3600
# Silence of this many heartbeats means that the network, or the server, is dead.
_SILENT_HEARTBEATS = 20
_LEAST_READ_TIMEOUT_SECS = 15
# COM_BINLOG_DUMP has 32 bits for the offset.
_MAX_OFFSET = 2**32

ER_ACCESS_DENIED = 1045
ER_SPECIFIC_ACCESS_DENIED = 1227
ER_FATAL_READING_BINLOG = 1236
_REFUSALS = {ER_SPECIFIC_ACCESS_DENIED, ER_FATAL_READING_BINLOG}
# The same error number is used for conditions that pass or that an administrator can end.
_PASSING_TROUBLE = re.compile(
    r"max_allowed_packet|memory allocation|I/O error|same server_(?:uu)?id|log is not open",
    re.IGNORECASE,
)


class StreamClosedError(Exception):
    """The connection ended; reading may go on with another one. str() is the reason."""


class DumpStream:
    """One dump connection. ``close`` may be called by any thread, at any time, twice."""

    def __init__(
        self, dsn: Dsn, *, server_id: int, replica_uuid: str, heartbeat_secs: float
    ) -> None:
        self._dsn = dsn
        self._server_id = server_id
        self._replica_uuid = replica_uuid
        self._heartbeat_secs = heartbeat_secs
        self._connection: Any = None
        self._splitter = EventSplitter(sequence=1)
        self._ready: collections.deque[bytes] = collections.deque()
        self._closed = False
        self._last_received_bytes = 0
        self.server = ServerTraits()

    def open(self, position: Position, *, use_gtid: bool) -> None:
        """Connect and request the dump. Raises TransientError; PositionLostError comes from read.

        Without GTIDs an offset of 4 GiB or more cannot be requested: the file is then sent from
        its beginning.
        """
        offset = position.offset if position.offset < _MAX_OFFSET else FIRST_OFFSET
        stream = BinLogStreamReader(
            connection_settings=self._connection_settings(),
            server_id=self._server_id,
            slave_uuid=self._replica_uuid,
            slave_heartbeat=self._heartbeat_secs,
            blocking=True,
            resume_stream=True,
            log_file=position.file,
            log_pos=max(offset, FIRST_OFFSET),
            auto_position=position.gtid_set if use_gtid else None,
            pymysql_wrapper=self._connect,
            enable_logging=False,
        )
        try:
            # Its public way to connect is to fetch an event, which would decode it and open a
            # second connection.
            stream._BinLogStreamReader__connect_to_stream()
            # What was set last is the time-out for writing the request.
            self._connection._sock.settimeout(self._read_timeout_secs)
        except (pymysql.Error, OSError, AttributeError) as error:
            # AttributeError: closed by another thread meanwhile.
            self.close()
            raise translated(error, self._dsn) from error
        # The answer to the request, which is the dump, has not been read from yet.
        self._splitter = EventSplitter(self._connection._next_seq_id)

    def read(self) -> bytes:
        """The next event, header and checksum included.

        Raises StreamClosedError, PositionLostError, TransientError.
        """
        if not self._ready:
            self._receive()
        return self._ready.popleft()

    def read_ready(self) -> list[bytes]:
        """All events that have come so far; waits for one. Raises as ``read`` does."""
        if not self._ready:
            self._receive()
        events = list(self._ready)
        self._ready.clear()
        return events

    @property
    def is_drained(self) -> bool:
        """Whether little was received at last, and no more is there. For the thread that reads."""
        if self._last_received_bytes >= _MUCH_BYTES:
            return False
        try:
            sock = self._connection._sock
            if getattr(sock, "pending", int)():
                return False
            poll = select.poll()
            poll.register(sock, select.POLLIN)
            return not poll.poll(0)
        except (OSError, AttributeError, TypeError, ValueError):
            return False  # closed by another thread; reading says so

    def _receive(self) -> None:
        """Wait until another event is ready."""
        splitter, ready = self._splitter, self._ready
        try:
            # None when it was closed by another thread; the error below says so.
            sock = self._connection._sock
            # A file keeps the descriptor open: closed by another thread while this one waits on it,
            # its number could become another connection's, and nothing would wake this thread.
            with sock.makefile("rb", buffering=0):
                while not ready:
                    if splitter.end is not None:
                        raise self._ended(splitter.end)
                    received = sock.recv(_RECEIVED_BYTES)
                    if not received:
                        raise StreamClosedError("the connection was lost")
                    self._last_received_bytes = len(received)
                    ready.extend(splitter.feed(received))
        except (pymysql.Error, OSError, AttributeError, ValueError, SequenceError) as error:
            # AttributeError and ValueError: the socket was closed by another thread meanwhile.
            raise self._read_failure(error) from error
        if any(len(event) < HEADER_BYTES for event in ready):
            raise StreamClosedError("the server sent a packet that is not an event")

    def _ended(self, payload: bytes) -> Exception:
        """What the server's last packet says."""
        try:
            MysqlPacket(payload, "utf8").check_error()
        except pymysql.Error as error:
            return error
        except (IndexError, struct.error):
            return StreamClosedError("the server sent a packet that cannot be read")
        return StreamClosedError("the server ended the stream")

    def close(self) -> None:
        """Shut the socket down, which wakes a thread that is reading, and close it."""
        self._closed = True
        connection = self._connection
        if connection is None:
            return
        sock = getattr(connection, "_sock", None)
        if sock is not None:
            with contextlib.suppress(OSError, ValueError):
                # Not SSLSocket.shutdown: that one takes the TLS state from under the reader.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        with contextlib.suppress(Exception):
            connection._force_close()

    def _read_failure(self, error: Exception) -> Exception:
        if isinstance(error, pymysql.Error) and _code(error) in _REFUSALS:
            return translated(error, self._dsn)
        return StreamClosedError(_text(error))

    def _connect(self, **settings: Any) -> Any:
        dsn = self._dsn
        connection = tls.connected(
            dsn, lambda mode: pymysql.connect(**settings, **tls.pymysql_settings(dsn, mode))
        )
        self._connection = connection
        if self._closed:
            self.close()
            raise pymysql.err.OperationalError(2013, "closed while connecting")
        with connection.cursor() as cursor:
            cursor.execute("SELECT @@GLOBAL.server_uuid, @@GLOBAL.lower_case_table_names")
            uuid, lower_case_table_names = cursor.fetchone()
            self.server = ServerTraits(str(uuid), bool(lower_case_table_names))
        return connection

    @property
    def _read_timeout_secs(self) -> float:
        return max(_LEAST_READ_TIMEOUT_SECS, self._heartbeat_secs * _SILENT_HEARTBEATS)

    def _connection_settings(self) -> dict[str, Any]:
        dsn = self._dsn
        return {
            "host": dsn.tcp_host,
            "port": dsn.port,
            "user": dsn.user,
            "password": dsn.password,
            "charset": "utf8mb4",
            "connect_timeout": CONNECT_TIMEOUT_SECS,
            "read_timeout": self._read_timeout_secs,
            "write_timeout": CONNECT_TIMEOUT_SECS,
            # That this reader knows checksums must be said even when the server writes none now:
            # older files may have them.
            "init_command": (
                "SET @source_binlog_checksum = 'CRC32', @master_binlog_checksum = 'CRC32', "
                f"SESSION net_write_timeout = {_NET_WRITE_TIMEOUT_SECS}"
            ),
        }


def _code(error: BaseException) -> int:
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0


def _text(error: BaseException) -> str:
    if isinstance(error, pymysql.Error) and len(error.args) > 1:
        return f"{error.args[1]} (error {error.args[0]})"
    return str(error) or type(error).__name__


def translated(error: Exception, dsn: Dsn) -> EngineError:
    """A failed connection or a refused dump as the engine's error, in words."""
    code, text = _code(error), _text(error)
    where = f"{dsn.host}:{dsn.port}"
    if code == ER_FATAL_READING_BINLOG and not _PASSING_TROUBLE.search(text):
        return PositionLostError(
            f"The server at {where} no longer has the binary log from the position the migration "
            f"would go on from: {text}.",
            str(error.args[1]),
        )
    if code == ER_SPECIFIC_ACCESS_DENIED:
        return TransientError(
            f"The account {dsn.user!r} may not read the binary log of {where}: {text}. "
            f"It needs REPLICATION SLAVE ON *.*. Progress was kept.",
        )
    if code == ER_ACCESS_DENIED:
        return TransientError(
            f"The server at {where} refused the account {dsn.user!r} for reading the binary log: "
            f"{text}. Progress was kept; user or password have changed.",
        )
    if code in (2003, 2006, 2013) or isinstance(error, OSError):
        return ServerLostError(
            f"The server at {where} cannot be reached for reading the binary log: {text}. "
            f"Progress was kept.",
            advice="Run it again when the server is up.",
        )
    return TransientError(f"The binary log of {where} cannot be read: {text}. Progress was kept.")
