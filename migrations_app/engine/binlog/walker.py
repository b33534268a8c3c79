"""Walkers: small generated functions that find the keys in the row images of one kind of event.

Decoding whole rows is what makes reading a binary log slow. A walker steps over the columns it
does not need by their lengths and slices only the key's. There is one for each table, operation
and set of columns present in the images, written as Python source and compiled once, so that
nothing is decided row by row that is known beforehand.

What the source looks like, for (id INT, name VARCHAR(20) NULL, ref BIGINT) with key (id, ref)::

    def walk(data, pos, end):
        keys = []
        while pos < end:
            nulls = from_bytes(data[pos:pos + 1], "little")
            pos += 1
            k0 = read_0(data, pos)[0]
            pos += 4
            if not nulls & 2:
                pos += 1 + data[pos]
            k1 = read_1(data, pos)[0]
            pos += 8
            keys.append((k0, k1))
        return keys, pos
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from migrations_app.engine.binlog import tablemap as types
from migrations_app.engine.binlog.defaults import default_value
from migrations_app.engine.binlog.errors import ChangesLostError
from migrations_app.engine.binlog.events import read_packed
from migrations_app.engine.binlog.tablemap import ColumnFormat, TableMap
from migrations_app.engine.binlog.values import decoder_for
from migrations_app.engine.keys import Key, KeyColumn

# Both take (data, first offset, end of the rows) and return the offset they ended at.
RowWalker = Callable[[bytes, int, int], tuple[list[Key], int]]
UpdateWalker = Callable[[bytes, int, int], tuple[list[Key], list[Key], int]]

_STRUCTS = {
    types.TINY: "b", types.SHORT: "<h", types.LONG: "<i", types.LONGLONG: "<q",
}  # fmt: skip
_PREFIXED = frozenset(
    {types.BLOB, types.TINY_BLOB, types.MEDIUM_BLOB, types.LONG_BLOB, types.JSON,
     types.GEOMETRY, types.VECTOR}
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class Image:
    """Which columns a row image holds, and how its lines of source are named."""

    present: tuple[int, ...]
    prefix: str


def build_row_walker(
    table: TableMap, present: bytes, key: Sequence[KeyColumn], *, inserted: bool
) -> RowWalker:
    """The walker of WRITE_ROWS (inserted) or DELETE_ROWS events.

    present: the event's bitmap of columns. An inserted row that lacks a key column has its
    default there. Raises ChangesLostError if a key column is lacking otherwise.
    """
    image = Image(_present_columns(present, len(table.columns)), "k")
    constants: dict[str, Any] = {}

    def absent(index: int) -> str:
        name = f"default_{index}"
        try:
            if inserted:
                constants[name] = default_value(key[index])
                return name
        except ValueError as error:
            raise _missing_key(table, key[index]) from error
        raise _missing_key(table, key[index])

    names = _key_names(table, image, key, absent)
    body = [*_image_source(table, image, key), f"add(({', '.join(names)},))"]
    source = _function("keys = []", "add = keys.append", loop=body, result="keys")
    walk: RowWalker = _compiled(source, table, key, constants)
    return walk


def build_update_walker(
    table: TableMap, before: bytes, after: bytes, key: Sequence[KeyColumn], *, partial_json: bool
) -> UpdateWalker:
    """The walker of UPDATE_ROWS and PARTIAL_UPDATE_ROWS events.

    A key column that the after image lacks was not changed, and is taken from the before image.
    """
    old = Image(_present_columns(before, len(table.columns)), "b")
    new = Image(_present_columns(after, len(table.columns)), "a")

    def absent(index: int) -> str:
        raise _missing_key(table, key[index])

    old_names = _key_names(table, old, key, absent)
    new_names = _key_names(table, new, key, old_names.__getitem__)
    body = [*_image_source(table, old, key), f"add_old(({', '.join(old_names)},))"]
    if partial_json:
        body += _partial_json_header(table)
    body += [*_image_source(table, new, key), f"add_new(({', '.join(new_names)},))"]
    source = _function(
        "olds = []", "news = []", "add_old = olds.append", "add_new = news.append",
        loop=body, result="olds, news",
    )  # fmt: skip
    walk: UpdateWalker = _compiled(source, table, key, {})
    return walk


def _present_columns(bitmap: bytes, count: int) -> tuple[int, ...]:
    bits = int.from_bytes(bitmap, "little")
    return tuple(index for index in range(count) if bits >> index & 1)


def _key_names(
    table: TableMap, image: Image, key: Sequence[KeyColumn], absent: Callable[[int], str]
) -> list[str]:
    """The source's names of the key's values; absent: names one that the image lacks."""
    return [
        f"{image.prefix}{index}" if column.ordinal in image.present else absent(index)
        for index, column in enumerate(key)
    ]


def _missing_key(table: TableMap, column: KeyColumn) -> ChangesLostError:
    return ChangesLostError(
        f"A row event of {table.schema}.{table.table} lacks the key column {column.name}: it was "
        f"written with another binlog_row_image than FULL, so it is not known which row changed. "
        f"Set binlog_row_image=FULL on the server (new sessions take it up) and run the migration "
        f"again, which then starts afresh; or give the table a primary key first."
    )


def _image_source(table: TableMap, image: Image, key: Sequence[KeyColumn]) -> Iterator[str]:
    key_index = {column.ordinal: index for index, column in enumerate(key)}
    null_bytes = (len(image.present) + 7) // 8
    if any(table.columns[ordinal].nullable for ordinal in image.present):
        yield f"nulls = from_bytes(data[pos:pos + {null_bytes}], 'little')"
    skip = null_bytes
    for bit, ordinal in enumerate(image.present):
        layout = table.columns[ordinal]
        is_key = ordinal in key_index
        if not is_key and not layout.nullable and (size := _fixed_bytes(layout)) is not None:
            skip += size
            continue
        if skip:
            yield f"pos += {skip}"
            skip = 0
        name = f"{image.prefix}{key_index[ordinal]}" if is_key else ""
        lines = _key_source(layout, name, key_index[ordinal]) if is_key else _skip_source(layout)
        if layout.nullable:
            if is_key:
                yield f"{name} = None"
            yield f"if not nulls & {1 << bit}:"
            yield from (f"    {line}" for line in lines)
        else:
            yield from lines
    if skip:
        yield f"pos += {skip}"


def _fixed_bytes(layout: ColumnFormat) -> int | None:
    """The length of every value of a column; None when it varies."""
    if layout.kind in _PREFIXED or layout.kind in (types.VARCHAR, types.STRING):
        return None
    return layout.length


def _prefix_bytes(layout: ColumnFormat) -> int:
    """The size of the length in front of a value of varying length."""
    if layout.kind in _PREFIXED:
        return layout.length
    return 2 if layout.length > 255 else 1


def _length_source(layout: ColumnFormat) -> str:
    size = _prefix_bytes(layout)
    if size == 1:
        return "data[pos]"
    if size == 2:
        return "(data[pos] | data[pos + 1] << 8)"
    return f"from_bytes(data[pos:pos + {size}], 'little')"


def _skip_source(layout: ColumnFormat) -> list[str]:
    size = _fixed_bytes(layout)
    if size is not None:
        return [f"pos += {size}"]
    return [f"pos += {_prefix_bytes(layout)} + {_length_source(layout)}"]


def _key_source(layout: ColumnFormat, name: str, index: int) -> list[str]:
    size = _fixed_bytes(layout)
    if layout.kind in _STRUCTS:
        return [f"{name} = read_{index}(data, pos)[0]", f"pos += {size}"]
    if size is not None:
        return [f"{name} = read_{index}(data, pos, {size})", f"pos += {size}"]
    return [
        f"length = {_length_source(layout)}",
        f"pos += {_prefix_bytes(layout)}",
        f"{name} = read_{index}(data, pos, length)",
        "pos += length",
    ]


def _reader(column: KeyColumn, layout: ColumnFormat) -> Callable[..., Any]:
    code = _STRUCTS.get(layout.kind)
    if code is None:
        return decoder_for(column, layout)
    return struct.Struct(code.upper() if column.unsigned else code).unpack_from


def _partial_json_header(table: TableMap) -> list[str]:
    """In front of an after image: options, and if bit 0 is set one bit for each JSON column.

    The difference itself has the framing of a whole JSON value, so nothing else changes.
    """
    size = (table.json_columns + 7) // 8
    return [
        "options, pos = read_packed(data, pos)",
        "if options & 1:",
        f"    pos += {size}",
    ]


def _function(*prologue: str, loop: Sequence[str], result: str) -> str:
    lines = ["def walk(data, pos, end):"]
    lines += [f"    {line}" for line in prologue]
    lines += ["    while pos < end:"]
    lines += [f"        {line}" for line in loop]
    lines += [f"    return {result}, pos"]
    return "\n".join(lines)


def _compiled(
    source: str, table: TableMap, key: Sequence[KeyColumn], constants: dict[str, Any]
) -> Any:
    """Only numbers and names made here are in the source; nothing of the server's data is."""
    scope: dict[str, Any] = {
        "from_bytes": int.from_bytes,
        "read_packed": read_packed,
        **constants,
        **{
            f"read_{index}": _reader(column, table.columns[column.ordinal])
            for index, column in enumerate(key)
        },
    }
    exec(compile(source, f"<walker of {table.schema}.{table.table}>", "exec"), scope)
    return scope["walk"]
