"""Decoders of key values: from the bytes of a row image to the canonical form of ``keys``.

A decoder takes (data, offset, length) of one value that is not NULL.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable

from migrations_app.engine.binlog import tablemap as types
from migrations_app.engine.binlog.tablemap import DIGITS_BYTES, ColumnFormat
from migrations_app.engine.keys import KeyColumn, KeyValue

Decoder = Callable[[bytes, int, int], KeyValue]

_EPOCH = datetime.datetime(1970, 1, 1)
_MICROSECONDS = 1_000_000

_EXPECTED_KINDS: dict[str, tuple[int, ...]] = {
    "tinyint": (types.TINY,),
    "smallint": (types.SHORT,),
    "mediumint": (types.INT24,),
    "int": (types.LONG,),
    "bigint": (types.LONGLONG,),
    "year": (types.YEAR,),
    "bit": (types.BIT,),
    "enum": (types.ENUM,),
    "set": (types.SET,),
    "decimal": (types.NEWDECIMAL,),
    "date": (types.DATE, types.NEWDATE),
    "datetime": (types.DATETIME2,),
    "timestamp": (types.TIMESTAMP2,),
    "time": (types.TIME2,),
    "char": (types.STRING,),
    "binary": (types.STRING,),
    "varchar": (types.VARCHAR,),
    "varbinary": (types.VARCHAR,),
}


def fits(column: KeyColumn, layout: ColumnFormat) -> bool:
    """Whether the binary log's column can be the key column we were told of."""
    if layout.kind not in _EXPECTED_KINDS.get(column.data_type, ()):
        return False
    if column.data_type == "decimal":
        return (layout.precision, layout.scale) == (column.precision, column.scale)
    if column.octet_length and layout.kind in (types.STRING, types.VARCHAR):
        return layout.length == column.octet_length
    return True


def decoder_for(column: KeyColumn, layout: ColumnFormat) -> Decoder:
    """The decoder of a column that ``fits``."""
    kind = column.data_type
    if kind == "decimal":
        return _decimal_decoder(layout.precision, layout.scale)
    if kind == "binary":
        return _padded_decoder(column.octet_length)
    if kind in ("datetime", "timestamp", "time"):
        return _temporal_decoder(kind, layout.fsp)
    if kind in _PLAIN:
        return _PLAIN[kind]
    return _unsigned if column.unsigned else _signed


def _signed(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "little", signed=True)


def _unsigned(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length], "little")


def _big_endian(data: bytes, at: int, length: int) -> int:
    return int.from_bytes(data[at : at + length])


def _slice(data: bytes, at: int, length: int) -> bytes:
    return data[at : at + length]


def _year(data: bytes, at: int, length: int) -> int:
    return data[at] and data[at] + 1900


def _date(data: bytes, at: int, length: int) -> str:
    packed = int.from_bytes(data[at : at + 3], "little")
    return f"{packed >> 9:04}-{packed >> 5 & 15:02}-{packed & 31:02}"


_PLAIN: dict[str, Decoder] = {
    "date": _date,
    "year": _year,
    "bit": _big_endian,
    "enum": _unsigned,
    "set": _unsigned,
    "char": _slice,
    "varchar": _slice,
    "varbinary": _slice,
}


def _padded_decoder(size: int) -> Decoder:
    def decode(data: bytes, at: int, length: int) -> bytes:
        # The log leaves the trailing zero bytes of BINARY away.
        return data[at : at + length].ljust(size, b"\0")

    return decode


def _temporal_decoder(kind: str, fsp: int) -> Decoder:
    whole_bytes = {"datetime": 5, "timestamp": 4, "time": 3}[kind]
    # 1 and 2 decimals are stored as hundredths, 3 and 4 as ten-thousandths, 5 and 6 whole.
    fraction_bytes = (fsp + 1) // 2
    fraction_unit: int = 10 ** (6 - 2 * fraction_bytes)
    fraction_range = 1 << 8 * fraction_bytes
    length_of_text = 19 + (fsp + 1 if fsp else 0)

    def split(data: bytes, at: int) -> tuple[int, int]:
        behind = at + whole_bytes
        whole = int.from_bytes(data[at:behind])
        return whole, int.from_bytes(data[behind : behind + fraction_bytes]) * fraction_unit

    def decode_datetime(data: bytes, at: int, length: int) -> str:
        packed, microseconds = split(data, at)
        return f"{_date_and_time(packed - (1 << 39))}.{microseconds:06}"[:length_of_text]

    def decode_timestamp(data: bytes, at: int, length: int) -> str:
        secs, microseconds = split(data, at)
        moment = "0000-00-00 00:00:00"
        if secs or microseconds:
            moment = (_EPOCH + datetime.timedelta(seconds=secs)).isoformat(" ")
        return f"{moment}.{microseconds:06}"[:length_of_text]

    def decode_time(data: bytes, at: int, length: int) -> int:
        size = whole_bytes + fraction_bytes
        # Whole and fraction are one number, offset by half its range; its sign covers both.
        packed = int.from_bytes(data[at : at + size]) - (1 << 8 * size - 1)
        whole, fraction = divmod(abs(packed), fraction_range)
        secs = (whole >> 12 & 0x3FF) * 3600 + (whole >> 6 & 0x3F) * 60 + (whole & 0x3F)
        microseconds = secs * _MICROSECONDS + fraction * fraction_unit
        return -microseconds if packed < 0 else microseconds

    decoders: dict[str, Decoder] = {
        "datetime": decode_datetime,
        "timestamp": decode_timestamp,
        "time": decode_time,
    }
    return decoders[kind]


def _date_and_time(packed: int) -> str:
    months, day = packed >> 22, packed >> 17 & 31
    year, month = divmod(months, 13)
    return (
        f"{year:04}-{month:02}-{day:02} "
        f"{packed >> 12 & 31:02}:{packed >> 6 & 63:02}:{packed & 63:02}"
    )


def _decimal_decoder(precision: int, scale: int) -> Decoder:
    """Groups of nine digits in four bytes, big-endian; the odd digits lie at the outer ends."""
    head, tail = (precision - scale) % 9, scale % 9
    groups = [head] * bool(head) + [9] * ((precision - scale) // 9)
    groups += [9] * (scale // 9) + [tail] * bool(tail)
    sizes = [(digits, DIGITS_BYTES[digits]) for digits in groups]
    context = decimal.Context(prec=max(precision, 1))

    def decode(data: bytes, at: int, length: int) -> decimal.Decimal:
        raw = bytearray(data[at : at + length])
        negative = not raw[0] & 0x80
        raw[0] ^= 0x80
        if negative:
            raw = bytearray(byte ^ 0xFF for byte in raw)
        number = offset = 0
        for digits, size in sizes:
            part = int.from_bytes(raw[offset : offset + size])
            number = number * 10**digits + part
            offset += size
        value = decimal.Decimal(number).scaleb(-scale, context)
        return value.copy_negate() if negative else value

    return decode
