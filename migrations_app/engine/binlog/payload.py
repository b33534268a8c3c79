"""TRANSACTION_PAYLOAD events: a whole transaction in one event, usually compressed.

The inner events have headers as usual, but no checksum, and their positions mean nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

import zstandard

from migrations_app.engine.binlog.errors import UnreadableEventError
from migrations_app.engine.binlog.events import HEADER_BYTES, SIZE_AT, read_packed

_END_FIELD, _SIZE_FIELD, _COMPRESSION_FIELD = 0, 1, 2
_ZSTD, _NONE = 0, 255


def inner_events(event: bytes) -> Iterator[bytes]:
    """The events of a payload, one at a time: a large transaction is never held unpacked.

    Raises UnreadableEventError.
    """
    try:
        compression, start, size = _parse_fields(event)
    except (IndexError, KeyError) as error:
        raise UnreadableEventError("A transaction's payload has no fields to read.") from error
    payload = io.BytesIO(memoryview(event)[start : start + size])
    if compression == _NONE:
        yield from _split(payload)
    elif compression == _ZSTD:
        decompressor = zstandard.ZstdDecompressor()
        try:
            with decompressor.stream_reader(payload, read_across_frames=True) as stream:
                yield from _split(io.BufferedReader(stream, 1 << 16))
        except zstandard.ZstdError as error:
            raise UnreadableEventError(
                f"A compressed transaction could not be unpacked: {error}."
            ) from error
    else:
        raise UnreadableEventError(
            f"A transaction is compressed in a way this program does not know ({compression}). "
            f"Set binlog_transaction_compression=OFF on the server for the time of the migration."
        )


def _parse_fields(event: bytes) -> tuple[int, int, int]:
    """(compression, offset of the payload, its size)."""
    compression, size, at = _NONE, 0, HEADER_BYTES
    while True:
        field, at = read_packed(event, at)
        if field == _END_FIELD:
            return compression, at, size
        length, at = read_packed(event, at)
        value, _ = read_packed(event, at)
        if field == _SIZE_FIELD:
            size = value
        elif field == _COMPRESSION_FIELD:
            compression = value
        at += length


def _split(stream: BinaryIO) -> Iterator[bytes]:
    while header := _read_fully(stream, HEADER_BYTES):
        size = int.from_bytes(header[SIZE_AT : SIZE_AT + 4], "little")
        event = header + _read_fully(stream, size - HEADER_BYTES)
        if len(event) != size:
            raise UnreadableEventError("A transaction's payload ends in the middle of an event.")
        yield event


def _read_fully(stream: BinaryIO, size: int) -> bytes:
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
