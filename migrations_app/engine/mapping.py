"""How the columns and the key of a table live on in its shadow table."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from migrations_app.engine import casting, keys
from migrations_app.engine.errors import RefusedError
from migrations_app.engine.keypair import KeyOrder, KeyPair, order_in_shadow
from migrations_app.engine.keys import INTEGER_TYPES, KeyColumn
from migrations_app.engine.names import quote
from migrations_app.engine.statement import Statement
from migrations_app.engine.table import Column, ColumnPair, Index, Table
from migrations_app.engine.tablekey import TableKey


@dataclasses.dataclass(frozen=True, slots=True)
class Mapping:
    """What is copied, and by which key.

    pairs: columns present on both sides (generated ones of the new table left out: the server
    computes them); keys: the same key in both; new_unique: unique indexes of the shadow table
    that the source's own indexes do not vouch for.
    """

    source: Table
    shadow: Table
    pairs: tuple[ColumnPair, ...]
    keys: KeyPair
    new_unique: tuple[Index, ...]

    @property
    def source_key(self) -> TableKey:
        return self.keys.source

    @property
    def shadow_key(self) -> TableKey:
        return self.keys.shadow

    @property
    def source_columns(self) -> str:
        """What is selected for ``shadow_columns``."""
        copied = [casting.as_selected(pair, quote(pair.source.name)) for pair in self.pairs]
        return ", ".join(copied + [value for _, value in self.filled])

    @property
    def shadow_columns(self) -> str:
        copied = [quote(pair.target.name) for pair in self.pairs]
        return ", ".join(copied + [quote(name) for name, _ in self.filled])

    @property
    def filled(self) -> list[tuple[str, str]]:
        """New columns without a default that hold no NULL, and what ALTER TABLE fills them with;
        INSERT would refuse to leave them out."""
        taken = {pair.target.name for pair in self.pairs}
        return [
            (column.name, value)
            for column in self.shadow.columns
            if column.name not in taken and (value := _filled_with(column))
        ]


def _filled_with(column: Column) -> str:
    """The implicit default of a column that needs one, as SQL; "" when it needs none."""
    if column.nullable or column.generated or "auto_increment" in column.extra:
        return ""
    if column.facts["COLUMN_DEFAULT"] is not None or "default_generated" in column.extra:
        return ""
    kind = column.data_type
    if kind in INTEGER_TYPES or kind in ("decimal", "float", "double", "bit", "year", "time"):
        return "0"
    if kind == "enum":
        return "1"
    if kind == "json":
        return "CAST('null' AS JSON)"
    texts = ("char", "varchar", "text", "binary", "varbinary", "blob", "set")
    return "''" if kind.endswith(texts) else ""


def map_tables(statement: Statement, source: Table, shadow: Table) -> Mapping:
    """Compare both tables. Raises RefusedError when no key is left to walk by."""
    new_names = _new_names(statement, source, shadow)
    pairs = tuple(
        ColumnPair(column, target)
        for column in source.columns
        if (target := shadow.column(new_names.get(column.name.lower(), ""))) is not None
        and not target.generated
    )
    return Mapping(
        source=source,
        shadow=shadow,
        pairs=pairs,
        keys=_shared_key(source, shadow, new_names),
        new_unique=_new_unique(source, shadow, new_names),
    )


def _new_names(statement: Statement, source: Table, shadow: Table) -> dict[str, str]:
    """Old column name (lower case) → its name in the shadow table; dropped ones are absent.

    A column that is dropped and added again under its name is a new column.
    """
    taken = {name.lower() for name in statement.renamed_columns.values()}
    names: dict[str, str] = {}
    for column in source.columns:
        old = column.name.lower()
        if old in statement.dropped_columns:
            continue
        new = statement.renamed_columns.get(old)
        if new is None and old in taken:
            continue
        if (target := shadow.column(new or old)) is not None:
            names[old] = target.name
    _refuse_what_is_not_accounted_for(statement, source, shadow, names)
    return names


def _refuse_what_is_not_accounted_for(
    statement: Statement, source: Table, shadow: Table, names: dict[str, str]
) -> None:
    """Whatever the statement was taken to say: no column's values are left behind unless it was
    plainly dropped. The server may read a name in another way than we do."""
    adds = any(clause.words[:1] == ("ADD",) for clause in statement.clauses)
    for column in source.columns:
        old = column.name.lower()
        is_dropped = old in statement.dropped_columns
        still_there = shadow.column(column.name) is not None and old not in {
            name.lower() for name in statement.renamed_columns.values()
        }
        if (old not in names and not is_dropped) or (is_dropped and still_there and not adds):
            raise RefusedError(
                f"It cannot be told for sure what becomes of the column {column.name} of "
                f"{source.name}. Write column names in the statement exactly as in the table, in "
                f"backticks. Nothing was touched."
            )


def usable_keys(table: Table) -> list[Index]:
    """Unique keys whose columns hold no NULL and whole values: the primary key first, the others as
    they are defined. The first is what the binary log shows under binlog_row_image=MINIMAL."""
    usable = []
    for index in table.indexes:
        columns = [table.column(name) for name in index.columns]
        if not index.unique or index.prefixed or index.functional or not index.visible:
            continue
        if any(column is None or column.nullable or _refusal(column) for column in columns):
            continue
        usable.append(index)
    return sorted(usable, key=lambda index: not index.primary)


def _refusal(column: Column) -> str:
    if column.generated:
        return f"Column {column.name} is generated: use a key of stored columns."
    return keys.refuse_reason(key_column(column))


def key_column(column: Column) -> KeyColumn:
    return KeyColumn.from_information_schema(column.facts, column.ordinal)


def key_columns(index: Index, columns: Iterable[Column]) -> tuple[KeyColumn, ...]:
    """columns: those that the index begins with.

    An index that is DESC throughout is read backwards; one of both directions only as it is.
    """
    pairs = list(zip(columns, index.descending, strict=False))
    mixed = len({down for _, down in pairs}) > 1
    return tuple(
        dataclasses.replace(key_column(column), descending=mixed and down) for column, down in pairs
    )


def _shared_key(source: Table, shadow: Table, new_names: dict[str, str]) -> KeyPair:
    """The first key of the source that the shadow table can be looked up by."""
    changed: list[str] = []
    for index in usable_keys(source):
        pairs = _key_pairs(source, shadow, index, new_names)
        found = _index_for(shadow, pairs) if pairs else None
        if found is None:
            continue
        candidate, unique, in_sequence = found
        orders = [order_in_shadow(pair.source, pair.target) for pair in pairs]
        same_order = in_sequence and KeyOrder.OTHER not in orders
        if not unique and not same_order and None not in orders:
            # Neither would a row stop its own second copy, nor a range find it.
            continue
        if None in orders:
            changed += [
                f"{pair.source.name} ({pair.source.column_type} → {pair.target.column_type})"
                for pair, order in zip(pairs, orders, strict=True)
                if order is None
            ]
            continue
        key = TableKey(index.name, key_columns(index, [pair.source for pair in pairs]))
        return KeyPair(
            source=key,
            shadow=key.renamed(candidate.name, new_names),
            own=TableKey(candidate.name, _own_columns(candidate, pairs)),
            columns=tuple(pairs),
            unique=unique,
            same_order=same_order,
        )
    raise RefusedError(_changed_key_reason(source, changed) if changed else no_key_reason(source))


def _key_pairs(
    source: Table, shadow: Table, index: Index, new_names: dict[str, str]
) -> list[ColumnPair]:
    """The index's columns in both tables; empty when one of them is gone."""
    pairs = []
    for name in index.columns:
        column, target = source.column(name), shadow.column(new_names.get(name.lower(), ""))
        if column is None or target is None or target.generated:
            return []
        pairs.append(ColumnPair(column, target))
    return pairs


def _index_for(shadow: Table, pairs: list[ColumnPair]) -> tuple[Index, bool, bool] | None:
    """The shadow table's best index on these columns; whether it is unique on them alone, and
    whether it has them in this sequence."""
    wanted = [pair.target.name.lower() for pair in pairs]
    usable = usable_keys(shadow)
    found = []
    for index in shadow.indexes:
        leading = [name.lower() for name in index.columns[: len(wanted)]]
        if sorted(leading) != sorted(wanted) or index.prefixed or index.kind != "BTREE":
            continue
        unique = index in usable and len(index.columns) == len(wanted)
        if not unique and not index.visible:
            continue
        found.append((index, unique, leading == wanted))
    # In sequence first: ranges of the key can be read. Then unique.
    return min(found, key=lambda one: (not one[2], not one[1]), default=None)


def _own_columns(index: Index, pairs: list[ColumnPair]) -> tuple[KeyColumn, ...]:
    targets = {pair.target.name.lower(): pair.target for pair in pairs}
    return key_columns(index, [targets[name.lower()] for name in index.columns[: len(pairs)]])


def _changed_key_reason(source: Table, changed: list[str]) -> str:
    return (
        f"The change gives a column of {source.name}'s key a type in which rows cannot be found by "
        f"their present values: {', '.join(changed)}. Change other columns here, and this one by "
        f"way of a new column: add it, fill it, make it the key."
    )


def no_key_reason(source: Table) -> str:
    if not usable_keys(source):
        reasons = {
            _refusal(column)
            for index in source.indexes
            for name in index.columns
            if index.unique and (column := source.column(name)) is not None
        }
        what = (
            f"The table {source.name} has no usable key: add a primary key, or a unique key whose "
            f"columns are NOT NULL, first."
        )
        return " ".join([what, *sorted(reasons - {""})])
    return (
        f"After this change no index of {source.name} would begin with the columns of a present "
        f"unique key, so rows could not be found again. Keep the present key as an index in this "
        f"change, and drop it in a second one."
    )


def _new_unique(source: Table, shadow: Table, new_names: dict[str, str]) -> tuple[Index, ...]:
    """Unique indexes that data without duplicates in the source may still violate."""
    vouched = {
        frozenset(new_names.get(name.lower(), "").lower() for name in index.columns)
        for index in source.indexes
        if index.unique and not index.functional and not index.prefixed
    }
    unchanged = {
        target.name.lower()
        for column in source.columns
        if (target := shadow.column(new_names.get(column.name.lower(), ""))) is not None
        and (column.column_type, column.collation) == (target.column_type, target.collation)
    }
    fresh = []
    for index in shadow.indexes:
        columns = frozenset(name.lower() for name in index.columns)
        known = any(key <= columns for key in vouched) and columns <= unchanged
        # What a generated column holds may have changed without its type.
        computed = any(
            column.generated for column in shadow.columns if column.name.lower() in columns
        )
        if index.unique and (index.functional or index.prefixed or computed or not known):
            fresh.append(index)
    return tuple(fresh)
