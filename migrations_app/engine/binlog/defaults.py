"""The value of a key column that an INSERT left to its default.

With binlog_row_image=MINIMAL such a column is not in the row's image; the reader of the log is
expected to know the table. Defaults that are computed for each row, and AUTO_INCREMENT, are
always in the image, so only constants matter here.
"""

from __future__ import annotations

import codecs
import decimal

from migrations_app.engine.keys import INTEGER_TYPES, KeyColumn, KeyValue, members

# MySQL's names of character sets, as Python knows them. Others only where all is ASCII.
_CODECS = {
    "utf8mb4": "utf-8", "utf8mb3": "utf-8", "utf8": "utf-8", "latin1": "cp1252",
    "ascii": "ascii", "ucs2": "utf-16-be", "utf16": "utf-16-be", "utf16le": "utf-16-le",
    "utf32": "utf-32-be",
}  # fmt: skip
_ZERO_DATES = {"date": "0000-00-00", "datetime": "0000-00-00 00:00:00"}
_ZERO_DATES["timestamp"] = _ZERO_DATES["datetime"]


def default_value(column: KeyColumn) -> KeyValue:
    """The column's constant default, or the type's own where none is declared.

    Raises ValueError for a default this module cannot read.
    """
    text = column.default
    kind = column.data_type
    if kind in INTEGER_TYPES or kind == "year":
        return int(text or 0)
    if kind == "bit":
        return int(text.strip("b'"), 2) if text else 0
    if kind in ("enum", "set"):
        return _members_value(column, text)
    if kind == "decimal":
        return decimal.Decimal(text or 0)
    if kind == "time":
        return column.from_text(text or "00:00:00")
    if kind in _ZERO_DATES:
        if text is None:
            text = _ZERO_DATES[kind] + (f".{0:0{column.fsp}}" if column.fsp else "")
        return column.from_text(text)
    if kind == "binary":
        return _binary(text or "").ljust(column.octet_length, b"\0")
    if kind == "varbinary":
        if text:
            raise ValueError("information_schema cuts zero bytes off a VARBINARY default")
        return b""
    return _encoded(text or "", column.charset)


def _members_value(column: KeyColumn, text: str | None) -> int:
    if text is None:
        # Without a default an ENUM has its first member, a SET no member at all.
        return 1 if column.data_type == "enum" else 0
    known = members(column.column_type)
    if column.data_type == "enum":
        return known.index(text) + 1
    return sum(1 << known.index(part) for part in text.split(",") if part)


def _binary(text: str) -> bytes:
    # information_schema writes binary defaults in hex.
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


def _encoded(text: str, charset: str) -> bytes:
    codec = _CODECS.get(charset, "ascii")
    return codecs.encode(text, codec)
