"""A source column's value as the shadow table's column would hold it, as an SQL expression.

Used to compare rows of both tables: by the checksum, and when a duplicate is looked for.
"""

from __future__ import annotations

import re

from migrations_app.engine.mapping import ColumnPair, Mapping
from migrations_app.engine.names import literal, quote
from migrations_app.engine.table import Column

_INTEGERS = {"tinyint", "smallint", "mediumint", "int", "bigint"}
_TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext"}
_BYTES = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
_CHOICES = {"enum", "set"}


def same_representation(pair: ColumnPair) -> bool:
    """Whether a value is stored the same in both columns, so that it needs no cast."""
    source, target = pair.source, pair.target
    if (source.column_type, source.charset) == (target.column_type, target.charset):
        return True
    if source.data_type in _INTEGERS and target.data_type in _INTEGERS:
        return True
    if source.data_type in _TEXTS and target.data_type in _TEXTS:
        # CHAR loses trailing spaces.
        shortens = target.data_type == "char" and source.data_type != "char"
        return source.charset == target.charset and not shortens
    return source.data_type in _BYTES - {"binary"} and target.data_type in _BYTES - {"binary"}


def as_new(pair: ColumnPair, column_sql: str) -> str:
    """``column_sql`` (a source column) converted to the target column's type."""
    if same_representation(pair):
        return column_sql
    return _cast(pair.target, column_sql)


def key_pairs(mapping: Mapping) -> list[ColumnPair]:
    """The columns of the key, in key order, on both sides."""
    by_name = {pair.source.name.lower(): pair for pair in mapping.pairs}
    return [by_name[name.lower()] for name in mapping.source_key.names]


def equals_new(pair: ColumnPair, source_sql: str, target_sql: str) -> str:
    """The condition that a source column's value is the target column's, by the target's own
    collation and so that its index can be used.

    Without naming one, two columns of different collations cannot be compared at all.
    """
    value = as_new(pair, source_sql)
    target = pair.target
    if target.collation and target.collation != pair.source.collation:
        value = f"{value} COLLATE {target.collation}"
    return f"{target_sql} = {value}"


def equals_old(pair: ColumnPair, source_sql: str, target_sql: str) -> str:
    """The same condition by the source's collation, so that the source's index can be used."""
    return equals_new(ColumnPair(pair.target, pair.source), target_sql, source_sql)


def _cast(target: Column, value: str) -> str:
    kind = target.data_type
    if kind == "set":
        return _in_order_of_members(target, value)
    if kind == "char":
        # The server gives CHAR back without trailing spaces.
        return f"TRIM(TRAILING ' ' FROM CONVERT({value} USING {target.charset}))"
    if kind in _TEXTS or kind in _CHOICES:
        return f"CONVERT({value} USING {target.charset})"
    type_name = _type_to_cast_to(target)
    return f"CAST({value} AS {type_name})" if type_name else value


def _type_to_cast_to(target: Column) -> str:
    """What CAST calls the type of a column that holds no text, "" when it does not know it."""
    kind, facts = target.data_type, target.facts
    decimals = facts["DATETIME_PRECISION"] or 0
    if kind in _INTEGERS:
        return "UNSIGNED" if "unsigned" in target.column_type else "SIGNED"
    if kind in _BYTES:
        return f"BINARY({facts['CHARACTER_MAXIMUM_LENGTH']})" if kind == "binary" else "BINARY"
    return {
        "decimal": f"DECIMAL({facts['NUMERIC_PRECISION']},{facts['NUMERIC_SCALE']})",
        "float": "FLOAT",
        "double": "DOUBLE",
        "datetime": f"DATETIME({decimals})",
        "timestamp": f"DATETIME({decimals})",
        "time": f"TIME({decimals})",
        "date": "DATE",
        "year": "YEAR",
        "json": "JSON",
    }.get(kind, "")


def _in_order_of_members(target: Column, value: str) -> str:
    """A SET's text lists its members in the order of the column's definition."""
    members = re.findall(r"'((?:[^']|'')*)'", target.column_type)
    parts = ", ".join(
        f"IF(FIND_IN_SET({text}, {value}), {text}, NULL)"
        for text in (literal(member.replace("''", "'")) for member in members)
    )
    return f"IF({value} IS NULL, NULL, CONCAT_WS(',', {parts}))"


def comparable_text(column: Column, value: str) -> str:
    """A value of a column as bytes that are equal exactly when the stored values are."""
    kind = column.data_type
    if kind in _TEXTS or kind in _CHOICES:
        # Trailing spaces, case and accents count: two texts are the same only byte for byte.
        return f"CAST(CONVERT({value} USING utf8mb4) AS BINARY)"
    if kind == "json":
        return f"CAST(CAST({value} AS CHAR CHARACTER SET utf8mb4) AS BINARY)"
    if kind == "bit":
        return f"CAST({value} + 0 AS CHAR CHARACTER SET binary)"
    if kind in ("float", "double"):
        # A FLOAT's own text has six digits; as a DOUBLE it shows all it holds.
        return f"CAST(CAST({value} AS DOUBLE) AS CHAR CHARACTER SET binary)"
    if kind == "vector":
        return f"CAST(HEX({value}) AS CHAR CHARACTER SET binary)"
    return value


def row_fingerprint(values: list[str]) -> str:
    """A number of a row, given its values' expressions (see ``comparable_text``).

    CRC32 is linear: swapping two values between rows of the same length leaves the XOR of all
    rows' CRCs as it was. Taking the CRC of the CRC's decimal digits breaks that.
    """
    texts = ", ".join(f"COALESCE({value}, '')" for value in values)
    nulls = ", ".join(f"ISNULL({value})" for value in values)
    # The separator is a byte that no UTF-8 text holds.
    return f"CRC32(CRC32(CONCAT_WS(0xFF, {texts}, CONCAT({nulls}))))"


def source_values(pairs: tuple[ColumnPair, ...], qualifier: str = "") -> list[str]:
    return [
        comparable_text(pair.target, as_new(pair, qualifier + quote(pair.source.name)))
        for pair in pairs
    ]


def shadow_values(pairs: tuple[ColumnPair, ...], qualifier: str = "") -> list[str]:
    return [comparable_text(pair.target, qualifier + quote(pair.target.name)) for pair in pairs]
