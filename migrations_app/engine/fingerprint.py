"""A number of a row that is the same for its copy: an SQL expression for each of the two tables.

Most of the checksum's time goes into this expression, so it is made of what costs the server least
(docs/benchmarks.md): whole numbers in hexadecimal, and short texts as they are.
"""

from __future__ import annotations

from migrations_app.engine import casting
from migrations_app.engine.keys import INTEGER_TYPES
from migrations_app.engine.names import quote
from migrations_app.engine.table import Column, ColumnPair

_AS_THEY_ARE = {"decimal", "datetime", "timestamp", "time", "date"}
# The CHARs and VARCHARs of a row have 65,535 bytes together at most, and it has 1,017 columns at
# most: less than the least max_allowed_packet (server.LEAST_PACKET_BYTES). A longer text would be
# NULL, and its row left out of the sum.
_SHORT_TEXTS = {"char", "varchar", "tinytext"}
_SHORT_TEXTS_CHARSET = "utf8mb4"


def of_source(pairs: tuple[ColumnPair, ...], qualifier: str = "") -> str:
    """For a row of the source, as if it were converted. qualifier: ``t.`` before each column."""
    values = []
    for pair in pairs:
        value = qualifier + quote(pair.source.name)
        if not casting.becomes_text(pair):
            value = _unpadded(pair.source, value)
        values.append(casting.as_new(pair, value))
    return _fingerprint(pairs, values)


def of_shadow(pairs: tuple[ColumnPair, ...], qualifier: str = "") -> str:
    """For a row of the shadow table."""
    values = [_unpadded(pair.target, qualifier + quote(pair.target.name)) for pair in pairs]
    return _fingerprint(pairs, values)


def _fingerprint(pairs: tuple[ColumnPair, ...], values: list[str]) -> str:
    """CRC32 is linear: where two rows have swapped a value of one length, the XOR of both rows'
    CRCs is as it was, whatever the value was replaced by before. The CRC of the row's CRC, in
    decimal digits, is not.
    """
    parts: list[str] = []
    for pair, value in zip(pairs, values, strict=True):
        if _is_short_text(pair):
            parts += _text_as_it_is(pair, value)
        else:
            parts.append(_never_null(pair, _short(pair.target, value)))
    row = ", ',', ".join(parts)
    return f"CRC32(CRC32(CONCAT({row})))"


def _is_short_text(pair: ColumnPair) -> bool:
    return all(
        column.data_type in _SHORT_TEXTS and column.charset == _SHORT_TEXTS_CHARSET
        for column in (pair.source, pair.target)
    )


def _text_as_it_is(pair: ColumnPair, value: str) -> list[str]:
    """The length comes first: a text may hold a comma. Texts of several collations make one text
    only when they are told which is its own."""
    text = f"{value} COLLATE {_SHORT_TEXTS_CHARSET}_bin"
    length = _never_null(pair, f"HEX(LENGTH({value}))")
    return [length, f"COALESCE({text}, '')" if _may_be_null(pair) else text]


def _short(column: Column, value: str) -> str:
    """A value of a column as a text that is equal exactly when the stored values are; without a
    comma. (Of a long one, its CRC.)"""
    kind = column.data_type
    if kind in _AS_THEY_ARE:
        return value
    if kind in INTEGER_TYPES:
        return f"HEX({value})"
    if kind in ("bit", "year"):
        # A YEAR 0000 that is computed shows as 0.
        return f"HEX({value} + 0)"
    if kind in ("float", "double"):
        # A FLOAT's own text has six digits; as a DOUBLE it shows all it holds.
        return f"CAST({value} AS DOUBLE)"
    if kind in ("enum", "set"):
        value = f"CONVERT({value} USING utf8mb4)"
    elif kind == "json":
        value = f"CAST({value} AS CHAR CHARACTER SET utf8mb4)"
    elif kind == "vector":
        value = f"HEX({value})"
    # Of the bytes, whatever the collation: trailing spaces, case and accents count.
    return f"HEX(CRC32({value}))"


def _unpadded(column: Column, value: str) -> str:
    """ZEROFILL is how a number is shown, not what it is."""
    return f"({value} + 0)" if "zerofill" in column.column_type else value


def _may_be_null(pair: ColumnPair) -> bool:
    return pair.source.nullable or pair.target.nullable or not casting.same_representation(pair)


def _never_null(pair: ColumnPair, text: str) -> str:
    """One NULL would make the whole row NULL. ``N`` is no hexadecimal digit."""
    return f"COALESCE({text}, 'N')" if _may_be_null(pair) else text
