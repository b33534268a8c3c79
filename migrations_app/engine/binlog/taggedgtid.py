"""GTID_TAGGED events (MySQL 8.3 and later), which use the server's serialization library.

A message is a sequence of fields, each preceded by its number. Integers have variable length:
the number of one-bits at the low end of the first byte says how many bytes follow.
"""

from __future__ import annotations

import uuid as uuids

from migrations_app.engine.binlog.errors import UnreadableEventError
from migrations_app.engine.binlog.events import HEADER_BYTES

_FLAGS_FIELD, _UUID_FIELD, _NUMBER_FIELD, _TAG_FIELD = range(4)


def parse_gtid_tagged(event: bytes) -> tuple[str, int, str]:
    """(uuid, number, tag) of a GTID_TAGGED event. Raises UnreadableEventError."""
    cursor = _Cursor(event, HEADER_BYTES)
    uuid = tag = ""
    number = 0
    try:
        for _ in range(3):  # serialization version, message size, last field that must be known
            cursor.unsigned()
        while not tag:
            field = cursor.unsigned()
            if field == _FLAGS_FIELD:
                cursor.unsigned()
            elif field == _UUID_FIELD:
                uuid = str(uuids.UUID(bytes=bytes(cursor.unsigned() for _ in range(16))))
            elif field == _NUMBER_FIELD:
                number = cursor.signed()
            elif field == _TAG_FIELD:
                tag = cursor.text()
            else:
                break
    except (IndexError, ValueError) as error:
        raise UnreadableEventError(f"A tagged GTID event could not be read: {error}.") from error
    if not uuid or number < 1:
        raise UnreadableEventError("A tagged GTID event names no transaction.")
    return uuid, number, tag


class _Cursor:
    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at

    def unsigned(self) -> int:
        first = self._data[self._at]
        extra = 0
        while extra < 8 and first >> extra & 1:
            extra += 1
        value = int.from_bytes(self._data[self._at : self._at + 1 + extra], "little")
        self._at += 1 + extra
        # With 8 further bytes the first byte holds no bit of the value.
        return value >> (extra + 1) if extra < 8 else value >> 8

    def signed(self) -> int:
        """The sign is the lowest bit."""
        value = self.unsigned()
        return -(value >> 1) - 1 if value & 1 else value >> 1

    def text(self) -> str:
        size = self.unsigned()
        text = self._data[self._at : self._at + size].decode()
        self._at += size
        return text
