"""TABLE_MAP events: which table the row events that follow belong to, and its columns' types."""

from __future__ import annotations

import dataclasses

from migrations_app.engine.binlog.errors import UnreadableEventError
from migrations_app.engine.binlog.events import read_packed

_TABLE_ID_BYTES = 6
_FLAGS_BYTES = 2

TINY, SHORT, LONG, FLOAT, DOUBLE, NULL, TIMESTAMP, LONGLONG, INT24, DATE = range(1, 11)
TIME, DATETIME, YEAR, NEWDATE, VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2 = range(11, 20)
TYPED_ARRAY = 20
VECTOR, JSON, NEWDECIMAL, ENUM, SET = 242, 245, 246, 247, 248
TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, BLOB, VAR_STRING, STRING, GEOMETRY = range(249, 256)

_METADATA_BYTES = {
    FLOAT: 1, DOUBLE: 1, VARCHAR: 2, BIT: 2, TIMESTAMP2: 1, DATETIME2: 1, TIME2: 1, VECTOR: 1,
    JSON: 1, NEWDECIMAL: 2, ENUM: 2, SET: 2, TINY_BLOB: 1, MEDIUM_BLOB: 1, LONG_BLOB: 1, BLOB: 1,
    VAR_STRING: 2, STRING: 2, GEOMETRY: 1,
}  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnFormat:
    """How one column's values are laid out in row images.

    kind: a type number above; ENUM and SET are already told apart from STRING. length: bytes of
    the value, or the greatest number of bytes, or the size of the length prefix, as the type has
    it. precision, scale: of NEWDECIMAL. fsp: of the temporal types.
    """

    kind: int
    nullable: bool
    length: int = 0
    precision: int = 0
    scale: int = 0
    fsp: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class TableMap:
    schema: str
    table: str
    columns: tuple[ColumnFormat, ...]

    @property
    def json_columns(self) -> int:
        return sum(column.kind == JSON for column in self.columns)


def table_name(body: bytes) -> tuple[str, str]:
    """(schema, table) of a TABLE_MAP body (an event from behind its header on)."""
    schema, at = _read_name(body, _TABLE_ID_BYTES + _FLAGS_BYTES)
    return schema, _read_name(body, at)[0]


def parse_table_map(body: bytes) -> TableMap:
    """Raises UnreadableEventError for a column type that this reader does not know."""
    schema, at = _read_name(body, _TABLE_ID_BYTES + _FLAGS_BYTES)
    table, at = _read_name(body, at)
    count, at = read_packed(body, at)
    kinds = body[at : at + count]
    _, at = read_packed(body, at + count)
    metadata = []
    for kind in kinds:
        size = _METADATA_BYTES.get(kind, 0)
        metadata.append(body[at : at + size])
        at += size
    nulls = int.from_bytes(body[at : at + (count + 7) // 8], "little")
    columns = tuple(
        _column(kind, facts, bool(nulls >> index & 1), f"column {index + 1} of {schema}.{table}")
        for index, (kind, facts) in enumerate(zip(kinds, metadata, strict=True))
    )
    return TableMap(schema, table, columns)


def _read_name(body: bytes, at: int) -> tuple[str, int]:
    size = body[at]
    return body[at + 1 : at + 1 + size].decode(), at + 2 + size


_FIXED_BYTES = {
    TINY: 1, YEAR: 1, SHORT: 2, INT24: 3, DATE: 3, NEWDATE: 3, TIME: 3, LONG: 4, FLOAT: 4,
    TIMESTAMP: 4, LONGLONG: 8, DOUBLE: 8, DATETIME: 8, NULL: 0,
}  # fmt: skip
_TEMPORAL_BYTES = {TIMESTAMP2: 4, DATETIME2: 5, TIME2: 3}
_PREFIXED = frozenset({BLOB, TINY_BLOB, MEDIUM_BLOB, LONG_BLOB, JSON, GEOMETRY, VECTOR})


def _column(kind: int, facts: bytes, nullable: bool, where: str) -> ColumnFormat:
    if kind in _FIXED_BYTES:
        return ColumnFormat(kind, nullable, _FIXED_BYTES[kind])
    if kind in _TEMPORAL_BYTES:
        fsp = facts[0]
        return ColumnFormat(kind, nullable, _TEMPORAL_BYTES[kind] + (fsp + 1) // 2, fsp=fsp)
    if kind in _PREFIXED:
        return ColumnFormat(kind, nullable, facts[0])
    if kind in (VARCHAR, VAR_STRING):
        return ColumnFormat(VARCHAR, nullable, facts[0] | facts[1] << 8)
    if kind == BIT:
        return ColumnFormat(BIT, nullable, facts[1] + bool(facts[0]))
    if kind == NEWDECIMAL:
        precision, scale = facts
        return ColumnFormat(kind, nullable, decimal_bytes(precision, scale), precision, scale)
    if kind == STRING:
        real_kind, length = facts
        if real_kind in (ENUM, SET):
            return ColumnFormat(real_kind, nullable, length)
        # Lengths of 256 and more keep their two highest bits, inverted, in the type's byte.
        return ColumnFormat(STRING, nullable, length | ((real_kind & 0x30) ^ 0x30) << 4)
    raise UnreadableEventError(
        f"The binary log has a column of an unknown type ({kind}): {where}. "
        f"This server version is newer than this program knows."
    )


# Bytes for 0 to 9 decimal digits.
DIGITS_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)


def decimal_bytes(precision: int, scale: int) -> int:
    whole = precision - scale
    return whole // 9 * 4 + DIGITS_BYTES[whole % 9] + scale // 9 * 4 + DIGITS_BYTES[scale % 9]
