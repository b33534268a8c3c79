"""The key a run walks a table by, as SQL: ranges, key lists, order, and rows read back."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from migrations_app.engine.keys import Key, KeyColumn
from migrations_app.engine.names import quote
from migrations_app.engine.session import Row

# Kept as numbers here. Within a row constructor MySQL 9.7 compares an ENUM with a number as texts,
# and finds nothing; by itself (k = 2) it compares as numbers.
_NUMBERED = frozenset({"enum", "set", "bit", "year"})


KEYS_A_BATCH = 1_000
# Of key values; as hexadecimal literals they take twice as much. A server's max_allowed_packet may
# be as low as a megabyte.
_BYTES_A_BATCH = 200_000


@dataclasses.dataclass(frozen=True, slots=True)
class TableKey:
    """A unique key without NULLs: the index's name and its columns, in key order."""

    index: str
    columns: tuple[KeyColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def comparable(self) -> bool:
        """Whether Python orders keys as the server does."""
        return all(column.comparable for column in self.columns)

    @property
    def is_single_integer(self) -> bool:
        return len(self.columns) == 1 and self.columns[0].data_type in (
            "tinyint", "smallint", "mediumint", "int", "bigint",
        )  # fmt: skip

    def renamed(self, index: str, new_names: Mapping[str, str]) -> TableKey:
        """The same key in the shadow table. new_names: old column name (lower case) → new."""
        columns = tuple(
            dataclasses.replace(column, name=new_names.get(column.name.lower(), column.name))
            for column in self.columns
        )
        return TableKey(index, columns)

    @property
    def force_index(self) -> str:
        return f"FORCE INDEX ({quote(self.index)})"

    @property
    def column_list(self) -> str:
        return ", ".join(quote(name) for name in self.names)

    @property
    def order(self) -> str:
        """For ORDER BY: the sequence in which the key is walked."""
        return self._ordered(backwards=False)

    @property
    def order_from_end(self) -> str:
        return self._ordered(backwards=True)

    def _ordered(self, *, backwards: bool) -> str:
        return ", ".join(
            quote(column.name) + (" DESC" if column.descending is not backwards else "")
            for column in self.columns
        )

    @property
    def select_list(self) -> str:
        """Expressions whose row ``parse`` turns into a key."""
        return ", ".join(column.select_expression(quote(column.name)) for column in self.columns)

    def parse(self, row: Row) -> Key:
        """A key from the first columns of a row selected by ``select_list``."""
        return tuple(
            column.from_server(value) for column, value in zip(self.columns, row, strict=False)
        )

    def where(self, lower: Key | None, upper: Key | None, qualifier: str = "") -> str:
        """``lower <= key < upper`` as the key is walked; None is unbounded.

        qualifier: ``t.`` before each column.

        Row constructors are written out, because the server uses no range on
        ``(a, b) >= (1, 2)``. No comparison is there twice: the server makes exact ranges of the
        condition, and then compares again for each row, which a text column's collation makes
        the dearest part of reading it. A first column that both bounds share is no equality: the
        server might look that up by itself, and read all it finds for every chunk.
        """
        named = [(qualifier + quote(column.name), column) for column in self.columns]
        parts = []
        if lower is not None:
            parts.append(_beyond(named, lower, strictly=">", at_last=">="))
        if upper is not None:
            parts.append(_beyond(named, upper, strictly="<", at_last="<"))
        return " AND ".join(parts) or "TRUE"

    def where_first_is(self, lower: Key) -> str:
        """``lower <= key``, of the rows that have lower's first value; all of them, if that is all
        that lower has."""
        named = [(quote(column.name), column) for column in self.columns[: len(lower)]]
        name, column = named[0]
        condition = column.compared(name, "=", lower[0])
        if len(lower) > 1:
            condition += f" AND {_beyond(named[1:], lower[1:], strictly='>', at_last='>=')}"
        return condition

    def in_list(self, keys: Iterable[Key], qualifier: str = "") -> str:
        """``key IN (…)``; keys must not be empty."""
        columns = ", ".join(qualifier + quote(name) for name in self.names)
        if len(self.columns) == 1:
            literal = self.columns[0].literal
            return f"{columns} IN ({', '.join(literal(key[0]) for key in keys)})"
        if any(column.data_type in _NUMBERED for column in self.columns):
            return f"({' OR '.join(self._equals(key, qualifier) for key in keys)})"
        rows = ", ".join(f"({', '.join(self._literals(key))})" for key in keys)
        return f"({columns}) IN ({rows})"

    def _equals(self, key: Key, qualifier: str) -> str:
        parts = (
            f"{qualifier}{quote(name)} = {literal}"
            for name, literal in zip(self.names, self._literals(key), strict=True)
        )
        return f"({' AND '.join(parts)})"

    def _literals(self, key: Key) -> list[str]:
        return [column.literal(value) for column, value in zip(self.columns, key, strict=True)]

    def batches(self, keys: Iterable[Key]) -> Iterator[list[Key]]:
        """The keys in lists short enough for one statement each."""
        iterator = iter(keys)
        if not any(column.octet_length for column in self.columns):
            while batch := list(itertools.islice(iterator, KEYS_A_BATCH)):
                yield batch
            return
        batch, size = [], 0
        for key in iterator:
            batch.append(key)
            size += sum(len(value) for value in key if isinstance(value, bytes))
            if len(batch) >= KEYS_A_BATCH or size >= _BYTES_A_BATCH:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def to_texts(self, key: Key) -> list[str]:
        return [column.to_text(value) for column, value in zip(self.columns, key, strict=True)]

    def from_texts(self, texts: Sequence[str]) -> Key:
        return tuple(
            column.from_text(text) for column, text in zip(self.columns, texts, strict=True)
        )

    def describe(self, key: Key) -> str:
        """A key for people: ``id=7``, ``(a=1, b=2)``."""
        parts = [
            f"{name}={text}" for name, text in zip(self.names, self.to_texts(key), strict=True)
        ]
        return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def _beyond(
    named: Sequence[tuple[str, KeyColumn]], key: Key, *, strictly: str, at_last: str
) -> str:
    """The condition of one bound. named: quoted names and their columns."""
    *parts, ((name, column), value) = zip(named, key, strict=True)
    condition = column.compared(name, at_last, value)
    for (name, column), value in reversed(parts):
        beyond = column.compared(name, strictly, value)
        equal = column.compared(name, "=", value)
        condition = f"({beyond} OR ({equal} AND {condition}))"
    return condition
