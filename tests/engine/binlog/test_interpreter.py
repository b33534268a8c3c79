"""What cannot be had from a server on demand: huge files, incidents, damaged payloads.

The events are laid out by hand, without checksums.
"""

from __future__ import annotations

import struct

import pytest

from migrations_app.engine.binlog import ChangesLostError, Position, UnreadableEventError
from migrations_app.engine.binlog.events import EventType
from migrations_app.engine.binlog.interpreter import Interpreter, ServerTraits
from tests.engine.binlog.recorder import Recorder

FOUR_GIB = 2**32


def event(kind: EventType, body: bytes = b"", end: int = 0) -> bytes:
    """An event that ends at ``end`` of its file (0: it is in no file)."""
    return struct.pack("<IBIIIH", 1, kind, 1, 19 + len(body), end % FOUR_GIB, 0) + body


def rotate(file: str, offset: int) -> bytes:
    return event(EventType.ROTATE, struct.pack("<Q", offset) + file.encode())


def format_description(*, checksums: bool) -> bytes:
    return event(EventType.FORMAT_DESCRIPTION, b"\x04\0" + bytes(60) + bytes([checksums]) + b"crc!")


def interpreter(start: Position, recorder: Recorder, *, use_gtid: bool = False) -> Interpreter:
    made = Interpreter(start, [], recorder, use_gtid=use_gtid)
    made.stream_opened(ServerTraits("uuid"), by_gtid=use_gtid)
    return made


def test_offsets_of_4_gib_and_more_are_followed_although_events_hold_32_bits() -> None:
    recorder = Recorder()
    start = Position("log.000001", FOUR_GIB - 50)
    reading = interpreter(start, recorder)
    reading.handle(rotate("log.000001", FOUR_GIB - 50))
    reading.handle(format_description(checksums=False))
    for end in (FOUR_GIB - 10, FOUR_GIB + 20, FOUR_GIB + 60, 2 * FOUR_GIB + 5):
        reading.handle(event(EventType.ANONYMOUS_GTID, bytes(42), end - 5))
        reading.handle(event(EventType.XID, bytes(8), end))
        assert reading.delivered == Position("log.000001", end)


def test_a_file_sent_from_its_beginning_does_not_take_positions_back() -> None:
    recorder = Recorder()
    reading = interpreter(Position("log.000001", 5 * FOUR_GIB), recorder)
    reading.handle(rotate("log.000001", 4))
    reading.handle(format_description(checksums=False))
    reading.handle(event(EventType.ANONYMOUS_GTID, bytes(42), 100))
    reading.handle(event(EventType.XID, bytes(8), 200))
    assert recorder.positions == [Position("log.000001", 5 * FOUR_GIB)] * 2


def test_by_gtid_another_server_may_have_lower_positions() -> None:
    recorder = Recorder()
    reading = interpreter(Position("log.000009", 900), recorder, use_gtid=True)
    reading.handle(rotate("log.000002", 4))
    assert reading.delivered == Position("log.000002", 4)
    reading.stream_opened(ServerTraits("uuid"), by_gtid=True)
    reading.handle(rotate("log.000001", 4))
    assert reading.delivered == Position("log.000002", 4)
    reading.stream_opened(ServerTraits("another uuid"), by_gtid=True)
    reading.handle(rotate("log.000001", 4))
    assert reading.delivered == Position("log.000001", 4)


def test_an_incident_means_that_changes_are_lost() -> None:
    reading = interpreter(Position("log.000001", 4), Recorder())
    reading.handle(rotate("log.000001", 4))
    reading.handle(format_description(checksums=False))
    with pytest.raises(ChangesLostError, match=r"log\.000001:150"):
        reading.handle(event(EventType.INCIDENT, b"\x01\0\0", 150))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\x02\x03\xfc\xff\x00\x01\x01\x05\x00short", "middle of an event"),
        (b"\x02\x01\xff", "no fields"),
        (b"\x02\x01\x00\x01\x01\x05\x00junk!", "could not be unpacked"),
        (b"\x02\x01\x07\x01\x01\x05\x00junk!", "does not know"),
    ],
)
def test_a_damaged_payload_is_an_error_in_words(payload: bytes, message: str) -> None:
    reading = interpreter(Position("log.000001", 4), Recorder())
    reading.handle(format_description(checksums=False))
    with pytest.raises(UnreadableEventError, match=message):
        reading.handle(event(EventType.TRANSACTION_PAYLOAD, payload, 150))


def test_an_uncompressed_payload_is_read() -> None:
    recorder = Recorder()
    reading = interpreter(Position("log.000001", 4), recorder)
    reading.handle(rotate("log.000001", 4))
    reading.handle(format_description(checksums=False))
    reading.handle(event(EventType.ANONYMOUS_GTID, bytes(42), 100))
    inner = event(EventType.XID, bytes(8), 7)
    head = b"\x02\x03\xfc\xff\x00\x01\x01" + bytes([len(inner)]) + b"\x00"
    reading.handle(event(EventType.TRANSACTION_PAYLOAD, head + inner, 200))
    assert recorder.calls("ended") == [("ended", Position("log.000001", 200))]


def test_a_tagged_gtid_that_makes_no_sense_is_an_error_in_words() -> None:
    reading = interpreter(Position("log.000001", 4), Recorder())
    reading.handle(format_description(checksums=False))
    with pytest.raises(UnreadableEventError, match="tagged GTID"):
        reading.handle(event(EventType.GTID_TAGGED, b"\x02\x10\x06\x04"))
