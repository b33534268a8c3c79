"""Which values of a column's old type its new type cannot hold."""

from __future__ import annotations

from migrations_app.engine.keys import members
from migrations_app.engine.table import Column

INTEGER_BYTES = {"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "bigint": 8}
TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext"})
BINARIES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_LISTS = frozenset({"enum", "set"})
_FLOATS = ("float", "double")
_DATES = frozenset({"date", "datetime", "timestamp"})
# The longest text of a value: "-9223372036854775808", "2024-05-31 23:59:59.000000".
_DATE_CHARS = {"date": 10, "datetime": 19, "timestamp": 19, "time": 10, "year": 4}


def unsigned(column: Column) -> bool:
    return "unsigned" in column.column_type.lower()


def largest_integer(column: Column) -> int:
    """The largest value of an integer column."""
    bits = 8 * INTEGER_BYTES[column.data_type]
    return int(2 ** (bits if unsigned(column) else bits - 1)) - 1


def what_is_lost(before: Column, after: Column) -> str:
    """Why values of ``before`` may not fit ``after``, as a part of a sentence; "" when all do."""
    family = _family(before)
    if family == _family(after):
        return _WITHIN[family](before, after) if family in _WITHIN else ""
    if family == "integer" and after.data_type == "decimal":
        return _too_few_digits(_digits(before), after)
    if after.data_type in TEXTS and (needed := _text_chars(before)):
        room = _number(after, "CHARACTER_MAXIMUM_LENGTH")
        return f"values may have {needed} characters, it takes {room}" if needed > room else ""
    if before.data_type in BINARIES and after.data_type in TEXTS:
        return f"not every value is text in {after.charset}"
    if after.data_type in BINARIES and before.data_type in TEXTS:
        return _shorter(before, after, "CHARACTER_OCTET_LENGTH", "bytes")
    if before.data_type == "bit" and family == "integer":
        return ""
    return "values are converted, and not every value has an equal there"


def _family(column: Column) -> str:
    kind = column.data_type
    for family, kinds in (
        ("integer", INTEGER_BYTES), ("text", TEXTS), ("binary", BINARIES), ("float", _FLOATS),
        ("date", _DATES),
    ):  # fmt: skip
        if kind in kinds:
            return family
    return kind


def _number(column: Column, fact: str) -> int:
    return int(column.facts.get(fact) or 0)


def _digits(column: Column) -> int:
    return len(str(largest_integer(column)))


def _integers(before: Column, after: Column) -> str:
    if not unsigned(before) and unsigned(after):
        return "negative numbers do not fit"
    if largest_integer(after) < largest_integer(before):
        return f"numbers above {largest_integer(after):,} do not fit"
    return ""


def _too_few_digits(digits: int, after: Column) -> str:
    room = _number(after, "NUMERIC_PRECISION") - _number(after, "NUMERIC_SCALE")
    return f"numbers with more than {room} digits do not fit" if room < digits else ""


def _decimals(before: Column, after: Column) -> str:
    if not unsigned(before) and unsigned(after):
        return "negative numbers do not fit"
    scale = _number(after, "NUMERIC_SCALE")
    if scale < _number(before, "NUMERIC_SCALE"):
        return f"numbers are rounded to {scale} decimals"
    digits = _number(before, "NUMERIC_PRECISION") - _number(before, "NUMERIC_SCALE")
    return _too_few_digits(digits, after)


def _floats(before: Column, after: Column) -> str:
    if (before.data_type, after.data_type) == ("double", "float"):
        return "numbers keep about 7 digits instead of 15"
    return ""


def _shorter(before: Column, after: Column, fact: str, unit: str) -> str:
    room = _number(after, fact)
    return f"values longer than {room:,} {unit} do not fit" if room < _number(before, fact) else ""


def _texts(before: Column, after: Column) -> str:
    if {before.data_type, after.data_type} <= {"char", "varchar"}:
        return _shorter(before, after, "CHARACTER_MAXIMUM_LENGTH", "characters")
    if after.data_type in ("char", "varchar"):
        # A TEXT's length is in bytes; it may hold as many characters of one byte.
        return _shorter(before, after, "CHARACTER_MAXIMUM_LENGTH", "characters")
    return _shorter(before, after, "CHARACTER_OCTET_LENGTH", "bytes")


def _binaries(before: Column, after: Column) -> str:
    return _shorter(before, after, "CHARACTER_OCTET_LENGTH", "bytes")


def _fewer_decimals(before: Column, after: Column) -> str:
    decimals = _number(after, "DATETIME_PRECISION")
    if decimals < _number(before, "DATETIME_PRECISION"):
        return f"seconds are rounded to {decimals} decimals"
    return ""


def _dates(before: Column, after: Column) -> str:
    if after.data_type == "date" and before.data_type != "date":
        return "the time of day is lost"
    if after.data_type == "timestamp" and before.data_type != "timestamp":
        return "only times from 1970 to January 2038 fit"
    return _fewer_decimals(before, after)


def _members_lost(before: Column, after: Column) -> str:
    kept = {member.lower() for member in members(after.column_type)}
    lost = [member for member in members(before.column_type) if member.lower() not in kept]
    return f"rows with {', '.join(map(repr, lost))} do not fit" if lost else ""


def _bits(before: Column, after: Column) -> str:
    bits = _number(after, "NUMERIC_PRECISION")
    return (
        f"more than {bits} bits do not fit" if bits < _number(before, "NUMERIC_PRECISION") else ""
    )


_WITHIN = {
    "integer": _integers,
    "decimal": _decimals,
    "float": _floats,
    "text": _texts,
    "binary": _binaries,
    "date": _dates,
    "time": _fewer_decimals,
    "enum": _members_lost,
    "set": _members_lost,
    "bit": _bits,
}


def _text_chars(before: Column) -> int:
    """How many characters the longest value has as text; 0 when that cannot be said."""
    if before.data_type in INTEGER_BYTES:
        return _digits(before) + (not unsigned(before))
    if before.data_type == "decimal":
        return _number(before, "NUMERIC_PRECISION") + 2
    if before.data_type in _DATE_CHARS:
        decimals = _number(before, "DATETIME_PRECISION")
        return _DATE_CHARS[before.data_type] + (decimals + 1 if decimals else 0)
    if before.data_type == "enum":
        return max(map(len, members(before.column_type)))
    if before.data_type == "set":
        return len(",".join(members(before.column_type)))
    return 0
