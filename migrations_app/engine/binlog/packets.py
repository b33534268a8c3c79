"""Cutting what a dump connection receives into events, many at a time.

A packet is a length (3 bytes), a sequence number (1 byte) and a payload; a payload of the greatest
length goes on in the next packet. In a dump each payload is a status byte and, after 0, an event:
https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_com_binlog_dump.html
"""

from __future__ import annotations

_HEADER_BYTES = 4
_MOST_BYTES = 0xFFFFFF


class SequenceError(Exception):
    """A packet is not the one that should have come; the connection cannot be read on."""


class EventSplitter:
    """What was received and is no whole event yet. sequence: the number of the next packet.

    end: the payload that ends the dump, once it has come: an error, or the server's goodbye.
    """

    def __init__(self, sequence: int) -> None:
        self._sequence = sequence
        self._parts: list[bytes] = []
        self._missing = 0
        self._begun: list[bytes] = []
        self.end: bytes | None = None

    def feed(self, received: bytes) -> list[bytes]:
        """The events that are whole now, in order. Raises SequenceError."""
        # An event may have a gigabyte: it is put together once, when its last byte is there.
        if len(received) < self._missing:
            self._parts.append(received)
            self._missing -= len(received)
            return []
        data = b"".join([*self._parts, received]) if self._parts else received
        events: list[bytes] = []
        at, last = 0, len(data)
        size = 0
        while last - at >= _HEADER_BYTES and self.end is None:
            size = data[at] | data[at + 1] << 8 | data[at + 2] << 16
            end = at + _HEADER_BYTES + size
            if end > last:
                break
            if data[at + 3] != self._sequence:
                raise SequenceError(
                    f"packet {data[at + 3]} of the stream came instead of {self._sequence}"
                )
            self._sequence = (self._sequence + 1) & 0xFF
            if size == _MOST_BYTES or self._begun:
                self._go_on(data[at + _HEADER_BYTES : end], events)
            elif data[at + _HEADER_BYTES : at + _HEADER_BYTES + 1] == b"\0":
                events.append(data[at + _HEADER_BYTES + 1 : end])
            else:
                self.end = data[at + _HEADER_BYTES : end]
            at = end
        rest = data[at:]
        self._parts = [rest] if rest else []
        wanted = _HEADER_BYTES + size if len(rest) >= _HEADER_BYTES else _HEADER_BYTES
        self._missing = wanted - len(rest) if rest else 0
        return events

    def _go_on(self, part: bytes, events: list[bytes]) -> None:
        """A part of a payload of several packets, perhaps its last."""
        self._begun.append(part)
        if len(part) == _MOST_BYTES:
            return
        payload = b"".join(self._begun)
        self._begun.clear()
        if payload[:1] == b"\0":
            events.append(payload[1:])
        else:
            self.end = payload
