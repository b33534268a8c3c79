"""A source column's value as the shadow table's column would hold it, as an SQL expression.

Used to compare rows of both tables: by the checksum, and when a duplicate is looked for.
"""

from __future__ import annotations

from migrations_app.engine.keys import members
from migrations_app.engine.names import literal, quote
from migrations_app.engine.table import Column, ColumnPair

_INTEGERS = {"tinyint", "smallint", "mediumint", "int", "bigint"}
_TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext"}
_BYTES = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
_CHOICES = {"enum", "set"}
_NUMBERS_AND_TIMES = _INTEGERS | {"decimal", "datetime", "timestamp", "time", "date", "year"}


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
    value, target = column_sql, pair.target.data_type
    if target in _TEXTS | _BYTES | _CHOICES:
        value = _as_assigned_to_text(pair, value)
    elif target == "bit" and pair.source.data_type in _TEXTS | _BYTES:
        # Its bytes, read as a number.
        return f"IF({value} = '', 0, CAST(CONV(HEX({value}), 16, 10) AS UNSIGNED))"
    return _cast(pair.target, value)


def _as_assigned_to_text(pair: ColumnPair, value: str) -> str:
    """Assigning these to a CHAR or VARCHAR is not what CONVERT makes of them, and not what a TEXT
    gets: a BIT becomes the digits of its number, and a FLOAT shows all that it holds."""
    if pair.target.data_type.endswith(("text", "blob")):
        return value
    if pair.source.data_type == "bit":
        return f"({value} + 0)"
    if pair.source.data_type == "float":
        return f"CAST({value} AS DOUBLE)"
    return value


def as_stored(pair: ColumnPair, column_sql: str) -> str:
    """The same, to be compared with the target column by the target column's own collation."""
    value = as_new(pair, column_sql)
    if not pair.target.collation or pair.source.collation == pair.target.collation:
        return value
    if pair.source.charset == pair.target.charset:
        return f"{value} COLLATE {pair.target.collation}"
    return f"CONVERT({value} USING {pair.target.charset}) COLLATE {pair.target.collation}"


def _cast(target: Column, value: str) -> str:
    kind = target.data_type
    if kind == "set":
        return _in_order_of_members(target, value)
    if kind == "char":
        # The server gives CHAR back without trailing spaces.
        return f"TRIM(TRAILING ' ' FROM CONVERT({value} USING {target.charset}))"
    if kind in _TEXTS or kind in _CHOICES:
        return f"CONVERT({value} USING {target.charset})"
    if kind == "date":
        # Stored, a moment is rounded to the second first; CAST would cut it off.
        return f"CAST(CAST({value} AS DATETIME) AS DATE)"
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
    parts = ", ".join(
        f"IF(FIND_IN_SET({text}, {value}), {text}, NULL)"
        for text in map(literal, members(target.column_type))
    )
    return f"IF({value} IS NULL, NULL, CONCAT_WS(',', {parts}))"


def comparable_text(column: Column, value: str) -> str:
    """A value of a column as a text, or a number, that is equal exactly when the stored values
    are; without a comma."""
    kind = column.data_type
    if kind in _NUMBERS_AND_TIMES:
        return value
    if kind == "bit":
        return f"({value} + 0)"
    if kind in ("float", "double"):
        # A FLOAT's own text has six digits; as a DOUBLE it shows all it holds.
        return f"CAST({value} AS DOUBLE)"
    if kind in _CHOICES:
        value = f"CONVERT({value} USING utf8mb4)"
    elif kind == "json":
        value = f"CAST({value} AS CHAR CHARACTER SET utf8mb4)"
    elif kind == "vector":
        value = f"HEX({value})"
    # Of the bytes, whatever the collation: trailing spaces, case and accents count. By column,
    # since a whole row may be longer than max_allowed_packet, of which the server makes NULL.
    return f"CRC32({value})"


def row_fingerprint(values: list[str]) -> str:
    """A number of a row, given its values' expressions (see ``comparable_text``).

    CRC32 is linear: where two rows have swapped a value of one length, the XOR of both rows' CRCs
    is as it was, whatever the value was replaced by before. The CRC of the row's CRC, in decimal
    digits, is not.
    """
    return f"CRC32(CRC32(CONCAT_WS(',', {', '.join(values)})))"


def source_values(pairs: tuple[ColumnPair, ...], qualifier: str = "") -> list[str]:
    found = []
    for pair in pairs:
        value = qualifier + quote(pair.source.name)
        # Of all texts only these keep the zeros.
        if not pair.target.data_type.endswith(("text", "blob")):
            value = _unpadded(pair.source, value)
        found.append(_never_null(pair, as_new(pair, value)))
    return found


def shadow_values(pairs: tuple[ColumnPair, ...], qualifier: str = "") -> list[str]:
    return [
        _never_null(pair, _unpadded(pair.target, qualifier + quote(pair.target.name)))
        for pair in pairs
    ]


def _unpadded(column: Column, value: str) -> str:
    """ZEROFILL is how a number is shown, not what it is."""
    return f"({value} + 0)" if "zerofill" in column.column_type else value


def _never_null(pair: ColumnPair, value: str) -> str:
    """CONCAT_WS leaves NULLs out, so that two NULLs in different columns would look the same."""
    text = comparable_text(pair.target, value)
    if pair.source.nullable or pair.target.nullable or not same_representation(pair):
        return f"COALESCE({text}, 'N')"
    return text
