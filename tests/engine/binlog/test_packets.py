"""Whatever pieces a dump arrives in, the same events come out of it, each once and in order."""

from __future__ import annotations

import random
import socket
import threading
from typing import Any

import pymysql
import pytest

from migrations_app.engine import Dsn
from migrations_app.engine.binlog.packets import EventSplitter, SequenceError
from migrations_app.engine.binlog.stream import DumpStream, StreamClosedError

MOST = 0xFFFFFF


def packet(number: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([number % 256]) + payload


def dump(events: list[bytes], first: int = 1) -> bytes:
    """As a server sends it: what is too long for a packet goes on in the next one."""
    sent, number = [], first
    for event in events:
        payload = b"\0" + event
        while True:
            part, payload = payload[:MOST], payload[MOST:]
            sent.append(packet(number, part))
            number += 1
            if len(part) < MOST:
                break
    return b"".join(sent)


def fed(splitter: EventSplitter, received: bytes, sizes: list[int]) -> list[bytes]:
    found: list[bytes] = []
    at = 0
    for size in [*sizes, len(received)]:
        found += splitter.feed(received[at : at + size])
        at += size
    return found


@pytest.mark.parametrize("seed", range(20))
def test_events_are_the_same_however_they_are_cut(seed: int) -> None:
    source = random.Random(seed)
    events = [source.randbytes(source.choice((19, 40, 300, 9_000))) for _ in range(600)]
    received = dump(events, first=250)
    sizes = [source.choice((1, 2, 3, 5, 60, 1_400, 20_000)) for _ in range(300)]
    assert fed(EventSplitter(250), received, sizes) == events


@pytest.mark.parametrize("size", [MOST - 2, MOST - 1, MOST, 2 * MOST - 1, 2 * MOST + 5])
def test_an_event_of_several_packets_is_one_event(size: int) -> None:
    events = [b"a" * 30, b"b" * size, b"c" * 30]
    found = fed(EventSplitter(1), dump(events), [16_384] * (size // 16_384))
    assert [len(event) for event in found] == [30, size, 30]
    assert found == events


def test_events_before_an_error_come_first_and_nothing_after_it() -> None:
    splitter = EventSplitter(1)
    error = b"\xff\xd4\x04#HY000gone"
    received = dump([b"x" * 20]) + packet(2, error) + packet(3, b"\0" + b"y" * 20)
    assert splitter.feed(received) == [b"x" * 20]
    assert splitter.end == error
    assert splitter.feed(packet(4, b"\0" + b"z" * 20)) == []


def test_a_packet_out_of_turn_is_refused() -> None:
    with pytest.raises(SequenceError, match="3 of the stream came instead of 2"):
        EventSplitter(1).feed(packet(1, b"\0" + b"x" * 20) + packet(3, b"\0" + b"x" * 20))


def test_closing_wakes_the_reader_although_others_open_connections_meanwhile() -> None:
    """A descriptor that is closed while another thread waits on it can become another
    connection's: then nothing would wake that thread before its time-out."""
    for _ in range(100):
        server, client = socket.socketpair()
        client.settimeout(30)
        connection: Any = pymysql.connections.Connection(defer_connect=True)
        connection._sock, connection._rfile = client, client.makefile("rb")
        stream = DumpStream(
            Dsn("localhost", 1, "u", "", "d"), server_id=1, replica_uuid="", heartbeat_secs=1
        )
        stream._connection = connection
        reading = threading.Event()
        ended: list[Exception] = []

        def read(
            stream: DumpStream = stream,
            reading: threading.Event = reading,
            ended: list[Exception] = ended,
        ) -> None:
            reading.set()
            try:
                stream.read_ready()
            except StreamClosedError as error:
                ended.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        reading.wait(5)
        stream.close()
        others = socket.socketpair()
        thread.join(10)
        assert not thread.is_alive(), "the reader still waits"
        assert ended
        for one in (server, *others):
            one.close()
