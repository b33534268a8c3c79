"""When a binary log file was begun, which no statement of the server tells."""

from __future__ import annotations

import contextlib
import secrets
import uuid

from migrations_app.engine.binlog.events import KIND_AT, EventType, created_at
from migrations_app.engine.binlog.position import Position
from migrations_app.engine.binlog.stream import FIRST_OFFSET, DumpStream, StreamClosedError
from migrations_app.engine.dsn import Dsn

_SERVER_ID_BASE = 2**31
# What the server sends before the first event of the file: it makes up a ROTATE.
_EVENTS_READ = 4
# So that the server soon notices that nobody reads any more.
_HEARTBEAT_SECS = 1.0


def begun_at(dsn: Dsn, file: str) -> float | None:
    """When the server began a file, in its own seconds since 1970: the one before was closed then.

    Its first event says so; it is asked for as a replica would, and no more is read. None when the
    server does not send it. Raises TransientError and PositionLostError.
    """
    stream = DumpStream(
        dsn,
        server_id=_SERVER_ID_BASE + secrets.randbelow(2**31 - 1),
        replica_uuid=str(uuid.uuid4()),
        heartbeat_secs=_HEARTBEAT_SECS,
    )
    with contextlib.closing(stream), contextlib.suppress(StreamClosedError):
        stream.open(Position(file, FIRST_OFFSET), use_gtid=False)
        for _ in range(_EVENTS_READ):
            event = stream.read()
            if event[KIND_AT] == EventType.FORMAT_DESCRIPTION:
                return float(created_at(event)) or None
    return None
