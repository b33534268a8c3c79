"""Values for columns: each maker gives a value the column can hold and the server gives back as is.

What is made looks like what is there: numbers and times stay within the range of the rows that were
sampled. Texts carry a serial number, so that no two writes of one row leave it the same.
"""

from __future__ import annotations

import datetime as dt
import random
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

Maker = Callable[[random.Random, int], Any]
"""Takes a source of randomness and a serial number that no other write has."""

WORDS = (
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "harbor",
    "island",
    "juniper",
    "kelp",
    "lagoon",
    "meadow",
    "nectar",
    "orchard",
    "pebble",
    "quartz",
    "river",
    "saffron",
    "thistle",
    "umber",
    "velvet",
    "willow",
    "xenon",
    "yarrow",
    "zephyr",
    "grün",
    "straße",
    "café",
    "雪",
    "šuma",
)

_INTEGER_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext"}
_BYTES = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
_LONGEST_MADE = 120
# A new key may lie this far above the highest one, as a share of the range there is.
_ROOM_ABOVE = 5


def integer_limits(data_type: str, column_type: str) -> tuple[int, int]:
    """The smallest and largest value of an integer type."""
    bits = _INTEGER_BITS[data_type]
    if "unsigned" in column_type:
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1


def is_integer(data_type: str) -> bool:
    return data_type in _INTEGER_BITS


def is_text(data_type: str) -> bool:
    """Types whose values a collation may call equal although they differ."""
    return data_type in _TEXTS or data_type in {"enum", "set"}


def maker_for(
    data_type: str, column_type: str, length: int, seen: Sequence[Any], *, unique: bool
) -> Maker:
    """A maker for a column.

    length: characters or bytes it can hold; seen: values of rows that are there; unique: no two
    calls with different serial numbers may give the same value, nor one of the rows'.
    Raises ValueError for a type nothing can be made for.
    """
    known = [value for value in seen if value is not None]
    if data_type in _INTEGER_BITS:
        return _integers(integer_limits(data_type, column_type), known, unique=unique)
    if data_type in _TEXTS:
        return _texts(length, unique=unique)
    if data_type in _BYTES:
        return _bytes(length, fixed=data_type == "binary")
    if data_type in {"datetime", "timestamp"} and not unique:
        return _times(known)
    if data_type == "decimal" and not unique:
        return _decimals(column_type, known)
    if data_type in {"float", "double"} and not unique:
        return lambda source, serial: float(source.randrange(1000))
    if data_type == "date" and not unique:
        return lambda source, serial: dt.date(2020, 1, 1) + dt.timedelta(source.randrange(2500))
    if data_type == "json":
        return lambda source, serial: {"serial": serial, "city": source.choice(WORDS)}
    if data_type in {"enum", "set"} and not unique:
        values = re.findall(r"'((?:[^']|'')*)'", column_type)
        return lambda source, serial: source.choice(values).replace("''", "'")
    if known and not unique:
        return lambda source, serial: source.choice(known)
    raise ValueError(f"no value can be made for a column of type {column_type}")


def key_maker(
    data_type: str, column_type: str, length: int, seen: Sequence[Any], *, below: bool
) -> Maker:
    """A maker for new keys, spread over the keys that are there and, unless ``below``, above."""
    if data_type not in _INTEGER_BITS:
        return maker_for(data_type, column_type, length, seen, unique=data_type in _TEXTS)
    lowest, highest = (min(seen), max(seen)) if seen else (1, 1000)
    if not below:
        room = max(1000, (highest - lowest) // _ROOM_ABOVE)
        highest = min(highest + room, integer_limits(data_type, column_type)[1])
    return lambda source, serial: source.randint(lowest, highest)


def _integers(limits: tuple[int, int], known: Sequence[int], *, unique: bool) -> Maker:
    if unique:
        first = max(known, default=0) + 1
        # Rows that were not sampled may lie above those that were.
        first += max(1_000_000, first) if limits[1] - first > 4_000_000 else 0
        return lambda source, serial: first + serial
    lowest, highest = (min(known), max(known)) if known else (0, 100)
    highest = min(max(highest, lowest + 100), limits[1])
    return lambda source, serial: source.randint(lowest, highest)


def _texts(length: int, *, unique: bool) -> Maker:
    def make(source: random.Random, serial: int) -> str:
        tag = f"w{serial:x}"
        if unique or length <= len(tag) + 1:
            return tag[-length:] if not unique else tag
        words = source.choices(WORDS, k=source.randrange(1, 12))
        return " ".join([tag, *words])[: min(length, _LONGEST_MADE)].rstrip()

    return make


def _bytes(length: int, *, fixed: bool) -> Maker:
    def make(source: random.Random, serial: int) -> bytes:
        made = serial.to_bytes(8, "big") + source.randbytes(source.randrange(1, 24))
        # From the end of the number, where it differs from its neighbours.
        made = made[-length:] if length < 9 else made[:length]
        return made.ljust(length, b"\0") if fixed else made

    return make


def _times(known: Sequence[dt.datetime]) -> Maker:
    first = min(known, default=dt.datetime(2024, 1, 1)).replace(microsecond=0)
    last = max(known, default=dt.datetime(2026, 1, 1))
    seconds = max(86_400, int((last - first).total_seconds()))
    return lambda source, serial: first + dt.timedelta(seconds=source.randrange(seconds))


def _decimals(column_type: str, known: Sequence[Decimal]) -> Maker:
    digits, _, places = column_type.partition("(")[2].partition(")")[0].partition(",")
    step = Decimal(1).scaleb(-int(places or 0))
    largest = min(
        max(known, default=Decimal(100)), Decimal(10) ** (int(digits) - int(places or 0)) - 1
    )
    count = max(100, int(largest / step))
    return lambda source, serial: source.randrange(min(count, 10 ** int(digits) - 1)) * step
