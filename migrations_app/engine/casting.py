"""A source column's value as the shadow table's column would hold it, as an SQL expression.

Used to compare rows of both tables: in their fingerprints, and when a duplicate is looked for.
"""

from __future__ import annotations

from migrations_app.engine.keys import INTEGER_TYPES, members
from migrations_app.engine.names import literal
from migrations_app.engine.table import Column, ColumnPair

_TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext"}
_BYTES = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"}
_CHOICES = {"enum", "set"}
_APPROXIMATE = {"float", "double"}
_AS_SHOWN = _APPROXIMATE | {"year"}


def same_representation(pair: ColumnPair) -> bool:
    """Whether a value is stored the same in both columns, so that it needs no cast."""
    source, target = pair.source, pair.target
    if (source.column_type, source.charset) == (target.column_type, target.charset):
        return True
    if source.data_type in INTEGER_TYPES and target.data_type in INTEGER_TYPES:
        return True
    if source.data_type == target.data_type and source.data_type in _APPROXIMATE:
        return not _rounds(target) and _is_unsigned(source) == _is_unsigned(target)
    if source.data_type in _TEXTS and target.data_type in _TEXTS:
        # CHAR loses trailing spaces.
        shortens = target.data_type == "char" and source.data_type != "char"
        return source.charset == target.charset and not shortens
    return source.data_type in _BYTES - {"binary"} and target.data_type in _BYTES - {"binary"}


def _rounds(column: Column) -> bool:
    """A FLOAT(M,D) or DOUBLE(M,D)."""
    return column.data_type in _APPROXIMATE and "(" in column.column_type


def _is_unsigned(column: Column) -> bool:
    return "unsigned" in column.column_type


def becomes_text(pair: ColumnPair) -> bool:
    """Whether the target holds texts or bytes, which show a number's zeros."""
    return pair.target.data_type in _TEXTS | _BYTES


def as_selected(pair: ColumnPair, column_sql: str) -> str:
    """``column_sql`` (a source column) as it is selected to be inserted into the target column.

    INSERT … SELECT converts most values as ALTER TABLE does, but not all.
    """
    source, target = pair.source, pair.target.data_type
    if source.data_type == "date" and target in {*INTEGER_TYPES, "bit"}:
        # MySQL 8.0 would insert 20200229000000 for 20200229.
        return f"CAST({column_sql} AS SIGNED)"
    is_padded = "zerofill" in source.column_type
    if (is_padded or source.data_type in _AS_SHOWN) and becomes_text(pair):
        # 7 for 00007, a postal code's; 0.10000000149011612 for 0.1; 1.5 for a DOUBLE(10,2) 1.50.
        return f"CAST({column_sql} AS CHAR)"
    if source.data_type in _TEXTS | _BYTES and target == "bit":
        # The bytes of '1' for 1.
        return f"CAST({column_sql} AS SIGNED)"
    if target == "json" and source.data_type in INTEGER_TYPES:
        # INSERT takes JSON for JSON only.
        return f"CAST({column_sql} AS JSON)"
    if source.data_type == target and _rounds(pair.target) and not same_representation(pair):
        # From a column to another of its kind the bytes would be copied, digits and all.
        return f"({column_sql} + 0e0)"
    return column_sql


def as_new(pair: ColumnPair, column_sql: str) -> str:
    """``column_sql`` (a source column) converted to the target column's type."""
    if same_representation(pair):
        return column_sql
    value, target = as_selected(pair, column_sql), pair.target.data_type
    if target in _TEXTS | _BYTES | _CHOICES:
        value = _as_assigned_to_text(pair, value)
    elif target == "bit" and pair.source.data_type == "decimal":
        # MySQL 8.0's HEX, in the fingerprint, takes a DECIMAL for a DOUBLE; 9.7's does not.
        return f"CAST({value} AS UNSIGNED)"
    return _cast(pair.target, value)


def _as_assigned_to_text(pair: ColumnPair, value: str) -> str:
    """Assigned to a CHAR or VARCHAR, and not to a TEXT, a BIT becomes the digits of its number."""
    if pair.source.data_type == "bit" and not pair.target.data_type.endswith(("text", "blob")):
        return f"({value} + 0)"
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
    if kind == "float" or _rounds(target):
        return _as_stored_number(target, value)
    type_name = _type_to_cast_to(target)
    return f"CAST({value} AS {type_name})" if type_name else value


def _as_stored_number(target: Column, value: str) -> str:
    """Rounded as the column rounds, by a column of JSON_TABLE: CAST knows no DOUBLE(M,D), and its
    FLOAT keeps all digits of a DOUBLE on MySQL 8.0.28."""
    column_type = target.column_type.replace(" zerofill", "")
    return (
        f"(SELECT as_column.v FROM JSON_TABLE(CAST(CAST({value} AS DOUBLE) AS JSON), '$' "
        f"COLUMNS (v {column_type} PATH '$')) AS as_column)"
    )


def _type_to_cast_to(target: Column) -> str:
    """What CAST calls the type of a column that holds no text, "" when it does not know it."""
    kind, facts = target.data_type, target.facts
    decimals = facts["DATETIME_PRECISION"] or 0
    if kind in INTEGER_TYPES:
        return "UNSIGNED" if _is_unsigned(target) else "SIGNED"
    if kind in _BYTES:
        return f"BINARY({facts['CHARACTER_MAXIMUM_LENGTH']})" if kind == "binary" else "BINARY"
    return {
        "decimal": f"DECIMAL({facts['NUMERIC_PRECISION']},{facts['NUMERIC_SCALE']})",
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
