"""Key values: one canonical form for a key, wherever it was read.

A key comes from two places, from SELECT and from the binary log, and both must give exactly the
same Python value, because keys are looked up in dictionaries. The canonical forms are:

====================================  =====================================================
integers, YEAR                        int
BIT, SET                              int (the bits)
ENUM                                  int (the index; 0 is the invalid value '')
DECIMAL                               decimal.Decimal
DATE, DATETIME, TIMESTAMP             str, ``2024-05-31 23:59:59.000001`` with the column's
                                      number of decimals; TIMESTAMP in UTC
TIME                                  int, microseconds, negative for a negative time
CHAR, VARCHAR                         bytes in the column's character set; CHAR without its
                                      trailing spaces
BINARY, VARBINARY                     bytes; BINARY padded with zero bytes to its length
====================================  =====================================================

SQL made here is for sessions whose time_zone is '+00:00'. An ENUM or SET literal is a number:
it means the same in another table only while the list of members begins alike. The server looks
such columns up by an index for equality only, not for a range, so a range is written as the list of
its values.
"""

from __future__ import annotations

import dataclasses
import decimal
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

KeyValue = int | str | bytes | decimal.Decimal
Key = tuple[KeyValue, ...]

INTEGER_TYPES = frozenset({"tinyint", "smallint", "mediumint", "int", "bigint"})
_NUMBERED_TYPES = frozenset({"year", "bit", "enum", "set"})
_MOST_VALUES_LISTED = 1_024
# Seen with MySQL 9.7: k = 9223372036854775809 does not find the row of a SET that has this value.
_MOST_BITS_COMPARED = 64
_MEMBER = re.compile(r"'((?:[^']|'')*)'")
_DATE_TYPES = frozenset({"date", "datetime", "timestamp"})
_TEXT_TYPES = frozenset({"char", "varchar"})
_BINARY_TYPES = frozenset({"binary", "varbinary"})
_TIME = re.compile(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d{1,6})?)?")
# The only text collation whose order is provably that of the stored bytes. The other *_bin
# collations pad with spaces: 'a' sorts after 'a\t' in them, and equals 'a '.
_BYTE_ORDERED_COLLATION = "utf8mb4_0900_bin"
_OLD_UTF8 = frozenset({"utf8", "utf8mb3"})
_MICROSECONDS = 1_000_000


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": operator.eq,
}  # fmt: skip
_DOWNWARDS = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


def members(column_type: str) -> list[str]:
    """What an ENUM or SET may hold, in the order of its definition."""
    return [text.replace("''", "'") for text in _MEMBER.findall(column_type)]


class _Form(Protocol):
    """How one family of column types selects, reads, writes and shows its values."""

    def select(self, column: KeyColumn, quoted: str) -> str: ...

    def from_server(self, column: KeyColumn, raw: Any) -> KeyValue: ...

    def literal(self, column: KeyColumn, value: Any) -> str: ...

    def to_text(self, column: KeyColumn, value: Any) -> str: ...

    def from_text(self, column: KeyColumn, text: str) -> KeyValue: ...


@dataclasses.dataclass(frozen=True, slots=True)
class KeyColumn:
    """One column of a key, as information_schema.COLUMNS describes it.

    data_type: DATA_TYPE in lower case. ordinal: index among the table's columns, from 0, as the
    binary log counts them. charset, collation: "" where there is none. octet_length:
    CHARACTER_OCTET_LENGTH or 0. fsp: decimals of the seconds. default: COLUMN_DEFAULT, None if
    there is none or it is an expression. descending: whether the key is walked downwards by this
    column.
    """

    name: str
    data_type: str
    column_type: str
    ordinal: int
    unsigned: bool = False
    charset: str = ""
    collation: str = ""
    octet_length: int = 0
    precision: int = 0
    scale: int = 0
    fsp: int = 0
    default: str | None = None
    descending: bool = False

    @classmethod
    def from_information_schema(cls, row: Mapping[str, Any], ordinal: int) -> KeyColumn:
        """row: a row of information_schema.COLUMNS with upper-case names."""
        default = row.get("COLUMN_DEFAULT")
        computed = "DEFAULT_GENERATED" in str(row.get("EXTRA") or "").upper()
        return cls(
            name=str(row["COLUMN_NAME"]),
            data_type=_text(row["DATA_TYPE"]).lower(),
            column_type=_text(row["COLUMN_TYPE"]),
            ordinal=ordinal,
            unsigned="unsigned" in _text(row["COLUMN_TYPE"]).lower(),
            charset=str(row["CHARACTER_SET_NAME"] or ""),
            collation=str(row["COLLATION_NAME"] or ""),
            octet_length=int(row["CHARACTER_OCTET_LENGTH"] or 0),
            precision=int(row["NUMERIC_PRECISION"] or 0),
            scale=int(row["NUMERIC_SCALE"] or 0),
            fsp=int(row["DATETIME_PRECISION"] or 0),
            default=None if default is None or computed else _text(default),
        )

    @property
    def comparable(self) -> bool:
        """Whether Python orders this column's values exactly as the server does."""
        if self.descending:
            return False
        if self.data_type in _TEXT_TYPES:
            return self.data_type == "varchar" and self.collation == _BYTE_ORDERED_COLLATION
        return self.data_type in _FORMS

    def select_expression(self, quoted_column: str) -> str:
        """SQL that yields the column in the form ``from_server`` understands."""
        return self._form.select(self, quoted_column)

    def from_server(self, raw: Any) -> KeyValue:
        """The canonical value, from a MySQLdb row of ``select_expression``."""
        return self._form.from_server(self, raw)

    def literal(self, value: KeyValue) -> str:
        """SQL that compares as the column itself does, so that the key's index is used."""
        return self._form.literal(self, value)

    def compared(self, quoted_column: str, sign: str, value: KeyValue) -> str:
        """``column < value`` and the like as the key is walked, written so that its index is used.

        One value of an ENUM or SET is listed twice: of ``k IN (3)`` MySQL 9.7 makes ``k = 3``, and
        then does not see that the key has its rows in order, so that it reads and sorts them all.
        """
        sign = self._as_walked(sign)
        values = self._all_values
        if not values:
            return f"{quoted_column} {sign} {self.literal(value)}"
        meets = _COMPARISONS[sign]
        chosen = [str(one) for one in values if meets(one, value)]
        if len(chosen) == 1:
            chosen *= 2
        return f"{quoted_column} IN ({', '.join(chosen)})" if chosen else "FALSE"

    @property
    def is_listed(self) -> bool:
        """Whether a range is written as the list of its values."""
        return bool(self._all_values)

    def values_after(self, value: KeyValue) -> list[int]:
        """Those of a listed column that come after it where the key is walked."""
        meets = _COMPARISONS[self._as_walked(">")]
        found = [one for one in self._all_values if meets(one, value)]
        return found[::-1] if self.descending else found

    def _as_walked(self, sign: str) -> str:
        return _DOWNWARDS[sign] if self.descending else sign

    @property
    def _all_values(self) -> range:
        """Every value that an ENUM or SET can have; empty for other types, and for too many."""
        count = len(members(self.column_type))
        if self.data_type == "enum" and count < _MOST_VALUES_LISTED:
            return range(count + 1)
        if self.data_type == "set" and 2**count <= _MOST_VALUES_LISTED:
            return range(2**count)
        return range(0)

    def to_text(self, value: KeyValue) -> str:
        """For the checkpoint's watermark; strings of bytes become hex."""
        return self._form.to_text(self, value)

    def from_text(self, text: str) -> KeyValue:
        """The inverse of ``to_text``. Raises ValueError for text that is no such value."""
        return self._form.from_text(self, text)

    @property
    def _form(self) -> _Form:
        try:
            return _FORMS[self.data_type]
        except KeyError:
            raise ValueError(refuse_reason(self)) from None


def refuse_reason(column: KeyColumn) -> str:
    """Why this column cannot be part of a key, as a sentence; "" when it can."""
    kind = column.data_type
    if kind == "set" and len(members(column.column_type)) >= _MOST_BITS_COMPARED:
        return (
            f"Column {column.name} is a SET of {_MOST_BITS_COMPARED} members, of which the server "
            f"compares the last as a sign, so rows cannot be found again by it. Use another key."
        )
    if kind in _FORMS:
        return ""
    if kind in ("float", "double"):
        return (
            f"Column {column.name} is a {kind.upper()}: two texts can name the same value and two "
            f"values the same text, so rows cannot be found again by it. Use an exact type as key."
        )
    if kind.endswith(("text", "blob")):
        return (
            f"Column {column.name} is a {kind.upper()}: a key on it covers only the beginning of "
            f"its values, which does not identify a row. Use a key of whole values."
        )
    return (
        f"Column {column.name} has type {kind.upper()}, which cannot serve as a key here. "
        f"Use a key of numbers, dates, or character or binary strings."
    )


def _text(value: Any) -> str:
    # information_schema gives some columns as bytes (LONGTEXT with a binary collation).
    return value.decode() if isinstance(value, bytes) else str(value)


class _Integers:
    """Integers, and what the server numbers: YEAR, BIT, ENUM and SET."""

    def select(self, column: KeyColumn, quoted: str) -> str:
        return f"CAST({quoted} AS UNSIGNED)" if column.data_type in _NUMBERED_TYPES else quoted

    def from_server(self, column: KeyColumn, raw: Any) -> KeyValue:
        return int(raw)

    def literal(self, column: KeyColumn, value: Any) -> str:
        return str(int(value))

    def to_text(self, column: KeyColumn, value: Any) -> str:
        return str(value)

    def from_text(self, column: KeyColumn, text: str) -> KeyValue:
        try:
            number = decimal.Decimal(text)  # 85.00 where the shadow table has a DECIMAL
        except decimal.InvalidOperation:
            raise ValueError(f"{text!r} is not a number") from None
        if number != int(number):
            raise ValueError(f"{text!r} is not a whole number")
        return int(number)


class _Decimals:
    def select(self, column: KeyColumn, quoted: str) -> str:
        return quoted

    def from_server(self, column: KeyColumn, raw: Any) -> KeyValue:
        return decimal.Decimal(_text(raw))

    def literal(self, column: KeyColumn, value: Any) -> str:
        # Never in exponent form: that would be a DOUBLE.
        return format(value, "f")

    def to_text(self, column: KeyColumn, value: Any) -> str:
        return format(value, "f")

    def from_text(self, column: KeyColumn, text: str) -> KeyValue:
        try:
            return decimal.Decimal(text)
        except decimal.InvalidOperation:
            raise ValueError(f"{text!r} is not a decimal number") from None


class _Dates:
    """DATE, DATETIME and TIMESTAMP: fixed-width text, which sorts as the dates do.

    Text, because Python's dates know neither zero dates nor 31 February.
    """

    def select(self, column: KeyColumn, quoted: str) -> str:
        return f"CAST({quoted} AS CHAR)"

    def from_server(self, column: KeyColumn, raw: Any) -> KeyValue:
        return _text(raw)

    def literal(self, column: KeyColumn, value: Any) -> str:
        return f"'{value}'"

    def to_text(self, column: KeyColumn, value: Any) -> str:
        return str(value)

    def from_text(self, column: KeyColumn, text: str) -> KeyValue:
        if not _DATE.fullmatch(text):
            raise ValueError(f"{text!r} is not a date")
        # The shadow table may have a DATETIME for a DATE, or more decimals.
        length = 10 if column.data_type == "date" else 19 + (column.fsp and column.fsp + 1)
        return text if text[length:].strip(" 0:.") else text[:length]


class _Times:
    def select(self, column: KeyColumn, quoted: str) -> str:
        return f"CAST({quoted} AS CHAR)"

    def from_server(self, column: KeyColumn, raw: Any) -> KeyValue:
        return self.from_text(column, _text(raw))

    def literal(self, column: KeyColumn, value: Any) -> str:
        # A text would be compared as a text where a list has one row: '10:00:00.7' is not
        # '10:00:00.700000', the same in a column of more decimals.
        return f"TIME'{self.to_text(column, value)}'"

    def to_text(self, column: KeyColumn, value: Any) -> str:
        secs, microseconds = divmod(abs(value), _MICROSECONDS)
        minutes, second = divmod(secs, 60)
        hour, minute = divmod(minutes, 60)
        text = f"{'-' if value < 0 else ''}{hour:02}:{minute:02}:{second:02}"
        return f"{text}.{microseconds:06}"[: len(text) + 1 + column.fsp] if column.fsp else text

    def from_text(self, column: KeyColumn, text: str) -> KeyValue:
        match = _TIME.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a time")
        sign, hour, minute, second, fraction = match.groups()
        secs = int(hour) * 3600 + int(minute) * 60 + int(second)
        microseconds = secs * _MICROSECONDS + int((fraction or "").ljust(6, "0"))
        return -microseconds if sign else microseconds


def _named_charset(column: KeyColumn) -> str:
    """The column's character set, as it can be written in a statement without a warning.

    The server warns of each mention of utf8mb3, and a warning is what stops a copy. The same text
    is the same bytes in utf8mb4, and the server turns a literal into the column's own.
    """
    return "utf8mb4" if column.charset in _OLD_UTF8 else column.charset


class _Bytes:
    """CHAR, VARCHAR, BINARY and VARBINARY: the bytes as stored."""

    def select(self, column: KeyColumn, quoted: str) -> str:
        return f"CAST({quoted} AS BINARY)" if column.data_type in _TEXT_TYPES else quoted

    def from_server(self, column: KeyColumn, raw: Any) -> KeyValue:
        return raw if isinstance(raw, bytes) else str(raw).encode()

    def literal(self, column: KeyColumn, value: Any) -> str:
        # With the column's own character set the column is compared by its own collation, and
        # without being converted, which would rule its index out.
        charset = _named_charset(column) if column.data_type in _TEXT_TYPES else "binary"
        return f"_{charset} 0x{value.hex()}" if value else f"_{charset} ''"

    def to_text(self, column: KeyColumn, value: Any) -> str:
        return str(value.hex())

    def from_text(self, column: KeyColumn, text: str) -> KeyValue:
        return bytes.fromhex(text)


_FORMS: Mapping[str, _Form] = {
    **dict.fromkeys(INTEGER_TYPES | _NUMBERED_TYPES, _Integers()),
    "decimal": _Decimals(),
    **dict.fromkeys(_DATE_TYPES, _Dates()),
    "time": _Times(),
    **dict.fromkeys(_TEXT_TYPES | _BINARY_TYPES, _Bytes()),
}
