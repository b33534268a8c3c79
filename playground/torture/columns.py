"""Kinds of columns: the type in SQL, and a maker of values the server gives back as they are."""

from __future__ import annotations

import dataclasses
import datetime as dt
import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from playground.makers import Maker

_ASCII = ("amber", "birch", "Cedar", "DELTA", "ember", "it's", "a%sb", 'quo"te', "back\\slash", "_")
_LATIN = (*_ASCII, "grün", "straße", "café", "naïve", "ÅNGSTRÖM")
_ALL = (*_LATIN, "雪", "šuma", "Ωmega", "привет")
_EVERY = (*_ALL, "🚲", "𝄞")
_WORDS: Mapping[str, Sequence[str]] = {
    "ascii": _ASCII,
    "latin1": _LATIN,
    "utf8mb3": _ALL,
    "utf8mb4": _EVERY,
}
MEMBERS = ("red", "Green", "blue", "it''s", "violet")
MEMBERS_SQL = ",".join(f"'{member}'" for member in MEMBERS)
_SPECIAL_SHARE = 0.05
_FIRST_DAY = dt.date(1990, 1, 1)


@dataclasses.dataclass(frozen=True)
class Kind:
    """family: what ``alters`` may turn it into; type_sql: without NULL and default; make: values
    for it; charset: of texts."""

    family: str
    type_sql: str
    make: Maker = dataclasses.field(compare=False, repr=False)
    charset: str = ""
    is_json: bool = False


def integers(lowest: int, highest: int) -> Maker:
    def make(source: random.Random, serial: int) -> int:
        if source.random() < _SPECIAL_SHARE:
            return source.choice((lowest, highest, 0))
        return source.randint(lowest, highest)

    return make


def _decimals(digits: int, places: int) -> Maker:
    most = 10**digits - 1
    return lambda source, serial: Decimal(source.randint(-most, most)).scaleb(-places)


def texts(charset: str, length: int, *, may_end_in_space: bool = False) -> Maker:
    """Words of a character set, at most ``length`` characters; sometimes empty."""

    def make(source: random.Random, serial: int) -> str:
        if source.random() < _SPECIAL_SHARE:
            return ""
        words = " ".join(source.choices(_WORDS[charset], k=source.randrange(1, 9)))
        made = f"{serial % 1000:x} {words}"[:length].rstrip()
        if may_end_in_space and len(made) < length and source.random() < _SPECIAL_SHARE:
            return made + " "
        return made

    return make


def _bytes(longest: int, *, fixed: bool = False) -> Maker:
    def make(source: random.Random, serial: int) -> bytes:
        return source.randbytes(longest if fixed else source.randrange(longest + 1))

    return make


def _days(source: random.Random, serial: int) -> dt.date:
    return _FIRST_DAY + dt.timedelta(source.randrange(15_000))


def _moments(decimals: int) -> Maker:
    step = 10 ** (6 - decimals)

    def make(source: random.Random, serial: int) -> dt.datetime:
        at = dt.datetime(1990, 1, 1) + dt.timedelta(seconds=source.randrange(15_000 * 86_400))
        return at.replace(microsecond=source.randrange(0, 1_000_000, step))

    return make


def _times(source: random.Random, serial: int) -> dt.timedelta:
    return dt.timedelta(
        seconds=source.randint(-838 * 3600, 838 * 3600), microseconds=10_000 * source.randrange(100)
    )


def _json(source: random.Random, serial: int) -> Any:
    word = source.choice(_EVERY)
    return source.choice(
        (
            {"serial": serial, "word": word, "deep": [1, None, {"x": -0.5}]},
            [serial, word, True],
            word,
            serial,
            {},
        )
    )


def _bits(width: int) -> Maker:
    count = (width + 7) // 8
    return lambda source, serial: source.randrange(2**width).to_bytes(count, "big")


def _members(source: random.Random, serial: int) -> str:
    return source.choice(MEMBERS).replace("''", "'")


def _sets(source: random.Random, serial: int) -> str:
    return ",".join(m.replace("''", "'") for m in MEMBERS if source.random() < 0.4)


COLLATIONS: Mapping[str, Sequence[str]] = {
    "ascii": ("ascii_general_ci", "ascii_bin"),
    "latin1": ("latin1_swedish_ci", "latin1_bin", "latin1_general_cs"),
    "utf8mb3": ("utf8mb3_general_ci", "utf8mb3_bin"),
    "utf8mb4": ("utf8mb4_0900_ai_ci", "utf8mb4_bin", "utf8mb4_0900_as_cs", "utf8mb4_general_ci"),
}


def _text_kinds(source: random.Random) -> list[Kind]:
    charset = source.choice(list(_WORDS))
    suffix = f" CHARACTER SET {charset} COLLATE {source.choice(COLLATIONS[charset])}"
    return [
        Kind("varchar", f"VARCHAR(60){suffix}", texts(charset, 60, may_end_in_space=True), charset),
        Kind("char", f"CHAR(24){suffix}", texts(charset, 24), charset),
        Kind("text", f"TEXT{suffix}", texts(charset, 400, may_end_in_space=True), charset),
    ]


_PLAIN = (
    Kind("int", "TINYINT", integers(-128, 127)),
    Kind("int", "SMALLINT", integers(-(2**15), 2**15 - 1)),
    Kind("int", "MEDIUMINT", integers(-(2**23), 2**23 - 1)),
    Kind("int", "INT", integers(-(2**31), 2**31 - 1)),
    Kind("unsigned", "TINYINT UNSIGNED", integers(0, 255)),
    Kind("unsigned", "INT UNSIGNED", integers(0, 2**32 - 1)),
    Kind("big", "BIGINT", integers(-(2**63), 2**63 - 1)),
    Kind("big", "BIGINT UNSIGNED", integers(0, 2**64 - 1)),
    Kind("decimal", "DECIMAL(12,4)", _decimals(12, 4)),
    Kind("float", "FLOAT", lambda source, serial: source.randrange(-8000, 8000) / 8),
    Kind("double", "DOUBLE", lambda source, serial: source.randrange(-(10**9), 10**9) / 64),
    Kind("json", "JSON", _json, is_json=True),
    Kind("date", "DATE", _days),
    Kind("datetime", "DATETIME", _moments(0)),
    Kind("datetime", "DATETIME(6)", _moments(6)),
    Kind("timestamp", "TIMESTAMP(3)", _moments(3)),
    Kind("time", "TIME(2)", _times),
    Kind("year", "YEAR", lambda source, serial: source.randint(1901, 2155)),
    Kind("enum", f"ENUM({MEMBERS_SQL})", _members),
    Kind("set", f"SET({MEMBERS_SQL})", _sets),
    Kind("bit", "BIT(9)", _bits(9)),
    Kind("bit", "BIT(1)", _bits(1)),
    Kind("blob", "BLOB", _bytes(300)),
    Kind("varbinary", "VARBINARY(30)", _bytes(30)),
    Kind("binary", "BINARY(8)", _bytes(8, fixed=True)),
)


def random_kind(source: random.Random) -> Kind:
    """Texts are chosen in a quarter of the cases: they come in the most variants."""
    if source.random() < 0.25:
        return source.choice(_text_kinds(source))
    return source.choice(_PLAIN)
