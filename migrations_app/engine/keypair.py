"""A table's key and the same key in its shadow table, which the change may have altered.

Rows are told apart by the source's key. The shadow table must be able to find them by the same
values: its key may be wider or in another character set, it may sort otherwise, and it need not
be unique there (``PRIMARY KEY (id)`` that becomes ``(id, created)``). It must not turn one value
into another.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Collection

from migrations_app.engine import casting
from migrations_app.engine.keys import INTEGER_TYPES, Key, members
from migrations_app.engine.names import quote
from migrations_app.engine.table import Column, ColumnPair
from migrations_app.engine.tablekey import TableKey

_TEXTS = frozenset({"char", "varchar"})
_MOMENTS = frozenset({"datetime", "timestamp"})


class KeyOrder(enum.Enum):
    """How the values of a key column sort in the shadow table."""

    SAME = enum.auto()
    OTHER = enum.auto()


def order_in_shadow(source: Column, target: Column) -> KeyOrder | None:
    """None when the new column may hold another value than the old one, or cannot be looked up by
    the old one's values."""
    old, new = source.data_type, target.data_type
    if (source.column_type, source.collation) == (target.column_type, target.collation):
        return KeyOrder.SAME
    if old in _TEXTS and new in _TEXTS:
        if (old, new) == ("varchar", "char"):
            return None  # loses trailing spaces
        return KeyOrder.SAME if source.collation == target.collation else KeyOrder.OTHER
    if old in _TEXTS and new == "varbinary":
        return KeyOrder.OTHER
    return KeyOrder.SAME if _keeps_values(source, target) else None


def _keeps_values(source: Column, target: Column) -> bool:
    old, new = source.data_type, target.data_type
    if (old in INTEGER_TYPES or old == "year") and new in INTEGER_TYPES:
        return True
    if (old in INTEGER_TYPES or old == "decimal") and new == "decimal":
        return _number(target, "NUMERIC_SCALE") >= _number(source, "NUMERIC_SCALE")
    if (old == "date" and new in _MOMENTS) or (old in _MOMENTS and new in _MOMENTS):
        return _decimals(target) >= _decimals(source)
    if old == new == "time":
        return _decimals(target) >= _decimals(source)
    if old == new and old in ("enum", "set"):
        before = members(source.column_type)
        return members(target.column_type)[: len(before)] == before
    if new == "varbinary":
        return old in ("binary", "varbinary")
    return old == new == "bit"


def _number(column: Column, fact: str) -> int:
    return int(column.facts[fact] or 0)


def _decimals(column: Column) -> int:
    return _number(column, "DATETIME_PRECISION")


@dataclasses.dataclass(frozen=True, slots=True)
class KeyPair:
    """source, shadow: the same columns, in the source key's sequence and form; columns: these
    columns; own: the shadow table's index on them, in its own sequence and form.

    unique: whether the shadow table itself keeps a value from coming twice. same_order: whether a
    range of the key holds the same rows in both tables.
    """

    source: TableKey
    shadow: TableKey
    own: TableKey
    columns: tuple[ColumnPair, ...]
    unique: bool
    same_order: bool

    @property
    def comparable(self) -> bool:
        """Whether Python orders keys as both tables do (rule 4)."""
        return self.same_order and self.source.comparable

    def shadow_expressions(self, qualifier: str = "") -> list[str]:
        """Expressions on the shadow table whose row the source key parses to the source's key."""
        return [
            key.select_expression(_as_old(pair, qualifier + quote(pair.target.name)))
            for key, pair in zip(self.source.columns, self.columns, strict=True)
        ]

    def shadow_select_list(self, qualifier: str = "") -> str:
        """The same as a list for SELECT."""
        return ", ".join(self.shadow_expressions(qualifier))

    def shadow_in_list(self, keys: Collection[Key]) -> str:
        """Whether a row of the shadow table has one of these keys of the source.

        To the last bit: where the new collation is coarser, looking up 'a' finds 'A' as well, and
        deleting it would take the other row's copy away.
        """
        found = self.shadow.in_list(keys)
        if self.same_order:
            return found
        return f"{found} AND ({' OR '.join(self._is_exactly(key) for key in keys)})"

    def _is_exactly(self, key: Key) -> str:
        parts = []
        for column, pair, value in zip(self.source.columns, self.columns, key, strict=True):
            name = quote(pair.target.name)
            if isinstance(value, bytes):
                exact = column.select_expression(_as_old(pair, name))
                parts.append(f"{exact} = {f'0x{value.hex()}' if value else repr('')}")
            else:
                parts.append(f"{name} = {column.literal(value)}")
        return f"({' AND '.join(parts)})"

    def find_in_shadow(self, source_alias: str, shadow_alias: str) -> str:
        """A condition that finds a source row's copy by the shadow table's index."""
        return " AND ".join(
            f"{shadow_alias}.{quote(pair.target.name)} = "
            f"{casting.as_stored(pair, f'{source_alias}.{quote(pair.source.name)}')}"
            for pair in self.columns
        )

    def find_in_source(self, source_alias: str, shadow_alias: str) -> str:
        """A condition that finds a copy's source row by the source's index."""
        return " AND ".join(
            f"{source_alias}.{quote(pair.source.name)} = "
            f"{casting.as_stored(_reversed(pair), f'{shadow_alias}.{quote(pair.target.name)}')}"
            for pair in self.columns
        )

    def exactly(self, source_alias: str, shadow_alias: str) -> str:
        """A condition that is true when both rows have the same key to the last bit: a collation
        may take two keys for one."""
        return " AND ".join(
            f"{key.select_expression(f'{source_alias}.{quote(pair.source.name)}')} = "
            f"{key.select_expression(_as_old(pair, f'{shadow_alias}.{quote(pair.target.name)}'))}"
            for key, pair in zip(self.source.columns, self.columns, strict=True)
        )


def _reversed(pair: ColumnPair) -> ColumnPair:
    return ColumnPair(pair.target, pair.source)


def _as_old(pair: ColumnPair, column_sql: str) -> str:
    """A column of the shadow table in the source column's type."""
    source = pair.source
    if source.data_type in _TEXTS and source.charset != pair.target.charset:
        return f"CONVERT({column_sql} USING {source.charset})"
    if source.data_type != pair.target.data_type or _decimals(source) != _decimals(pair.target):
        # As text: a CAST to a date refuses the zero dates that a table may hold.
        if source.data_type == "date":
            return f"LEFT(CAST({column_sql} AS CHAR), {len('2024-05-31')})"
        if source.data_type in _MOMENTS:
            decimals = 1 + _decimals(source) if _decimals(source) else 0
            return f"LEFT(CAST({column_sql} AS CHAR), {len('2024-05-31 23:59:59') + decimals})"
        if source.data_type == "time":
            return f"CAST({column_sql} AS TIME({_decimals(source)}))"
    return column_sql
