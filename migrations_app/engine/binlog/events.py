"""The layout of binary log events: header, and the bodies of all events without rows.

Every function takes the whole event (header included, checksum cut off) and returns plain
values. Layouts: https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__replication.html
"""

from __future__ import annotations

import enum
import functools
import struct
import uuid as uuids
import zlib
from typing import NamedTuple

# timestamp 4, kind 1, server id 4, size 4, log_pos 4, flags 2
HEADER_BYTES = 19
KIND_AT = 4
SIZE_AT = 9
_LOG_POS_AT = 13
CHECKSUM_BYTES = 4
_LOG_POS = struct.Struct("<I")
_NUMBER = struct.Struct("<q")
_QUERY_POST_HEADER = struct.Struct("<IIBHH")
_CRC32 = 1
# A FORMAT_DESCRIPTION event always ends in algorithm (1 byte) and checksum (4 bytes).
_FORMAT_DESCRIPTION_TAIL_BYTES = 5


class EventType(enum.IntEnum):
    """The events that mean something to this reader."""

    QUERY = 2
    STOP = 3
    ROTATE = 4
    FORMAT_DESCRIPTION = 15
    XID = 16
    EXECUTE_LOAD_QUERY = 18
    TABLE_MAP = 19
    WRITE_ROWS_V1 = 23
    UPDATE_ROWS_V1 = 24
    DELETE_ROWS_V1 = 25
    INCIDENT = 26
    HEARTBEAT = 27
    WRITE_ROWS = 30
    UPDATE_ROWS = 31
    DELETE_ROWS = 32
    GTID = 33
    ANONYMOUS_GTID = 34
    PREVIOUS_GTIDS = 35
    XA_PREPARE = 38
    PARTIAL_UPDATE_ROWS = 39
    TRANSACTION_PAYLOAD = 40
    HEARTBEAT_V2 = 41
    GTID_TAGGED = 42


def created_at(event: bytes) -> int:
    """When the event was written, in the server's seconds since 1970; 0 for one in no file."""
    return int.from_bytes(event[:KIND_AT], "little")


def log_pos(event: bytes) -> int:
    """Where the event ends in its file, modulo 2**32; 0 for an event that is in no file."""
    return int(_LOG_POS.unpack_from(event, _LOG_POS_AT)[0])


def without_checksum_if_valid(event: bytes) -> bytes:
    """Cut a checksum off an event of which it is not known whether it has one.

    Artificial ROTATE and HEARTBEAT events come before the FORMAT_DESCRIPTION that would say so.
    """
    body, tail = event[:-CHECKSUM_BYTES], event[-CHECKSUM_BYTES:]
    return body if zlib.crc32(body) == int.from_bytes(tail, "little") else event


def checksum_bytes_after(format_description: bytes) -> int:
    """How many checksum bytes end each event that follows this FORMAT_DESCRIPTION."""
    algorithm = format_description[-_FORMAT_DESCRIPTION_TAIL_BYTES]
    return CHECKSUM_BYTES if algorithm == _CRC32 else 0


def parse_rotate(event: bytes) -> tuple[str, int]:
    """The next file and the offset in it."""
    (offset,) = struct.unpack_from("<Q", event, HEADER_BYTES)
    return event[HEADER_BYTES + 8 :].decode(), offset


def parse_gtid(event: bytes) -> tuple[str, int]:
    """(uuid, number) of a GTID event."""
    body = HEADER_BYTES + 1
    return _uuid_text(event[body : body + 16]), _NUMBER.unpack_from(event, body + 16)[0]


@functools.lru_cache(maxsize=256)
def _uuid_text(uuid: bytes) -> str:
    return str(uuids.UUID(bytes=uuid))


class Query(NamedTuple):
    """A statement as logged; schema is the default schema it ran in."""

    schema: str
    sql: str


def parse_query(event: bytes, *, load_data: bool = False) -> Query:
    """A QUERY event, or an EXECUTE_LOAD_QUERY event, which has 13 more bytes of post-header."""
    _, _, schema_bytes, _, status_bytes = _QUERY_POST_HEADER.unpack_from(event, HEADER_BYTES)
    at = HEADER_BYTES + _QUERY_POST_HEADER.size + (13 if load_data else 0) + status_bytes
    schema = event[at : at + schema_bytes]
    return Query(_decode(schema), _decode(event[at + schema_bytes + 1 :]))


def _decode(text: bytes) -> str:
    """Statements come in their client's character set; nearly always UTF-8.

    Latin-1 maps every byte, so that the ASCII parts, which are what is looked for, stay legible.
    """
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


class XaPrepare(NamedTuple):
    """The end of an XA transaction's rows; one_phase: it was committed in the same step."""

    xid: str
    one_phase: bool


def parse_xa_prepare(event: bytes) -> XaPrepare:
    one_phase, format_id, gtrid_bytes, bqual_bytes = struct.unpack_from(
        "<?III", event, HEADER_BYTES
    )
    at = HEADER_BYTES + 13
    gtrid = event[at : at + gtrid_bytes]
    bqual = event[at + gtrid_bytes : at + gtrid_bytes + bqual_bytes]
    # As the server writes it in its own XA COMMIT and XA ROLLBACK events.
    return XaPrepare(f"x'{gtrid.hex()}',x'{bqual.hex()}',{format_id}", one_phase)


def read_packed(data: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer: (value, offset behind it)."""
    first = data[at]
    if first < 251:
        return first, at + 1
    size = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size
