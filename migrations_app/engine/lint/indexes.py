"""Rules about indexes."""

from __future__ import annotations

from collections.abc import Iterator

from migrations_app.engine.lint.case import Case, Said
from migrations_app.engine.table import Index, Table

_MOST_INDEXES = 16
_LONGEST_CHARS = 255
_RANGE_TYPES = frozenset({"date", "datetime", "timestamp", "time", "float", "double"})


def dropped_unseen(case: Case) -> Iterator[Said]:
    for index in case.dropped_indexes:
        if index.primary or not index.visible or _covering(index, case.after):
            continue
        # It cannot be otherwise: its columns go.
        if any(name.lower() in case.statement.dropped_columns for name in index.columns):
            continue
        yield Said(
            f"Index {index.name} ({_columns(index)}) is dropped and was never made invisible: if "
            f"a query needs it, it must be built again.",
            f"First ALTER TABLE {case.name} ALTER INDEX {index.name} INVISIBLE; that can be "
            f"taken back at once. Drop it when nothing has become slower.",
        )


def new_unique(case: Case) -> Iterator[Said]:
    vouched = [
        {case.new_names.get(name.lower(), "").lower() for name in index.columns}
        for index in case.before.indexes
        if index.unique and not index.functional and not index.prefixed
    ]
    for index in case.added_indexes:
        columns = {name.lower() for name in index.columns}
        known = not (index.functional or index.prefixed) and any(k <= columns for k in vouched)
        if index.unique and not known:
            yield Said(
                f"Unique index {index.name} ({_columns(index)}) is new: rows that share a value "
                f"end the run, and are named.",
                "Look for duplicates first: SELECT … GROUP BY … HAVING COUNT(*) > 1.",
            )


def redundant(case: Case) -> Iterator[Said]:
    added = {index.name for index in case.added_indexes}
    # A descending part serves other queries; an invisible index serves none.
    indexes = [
        index
        for index in case.after.indexes
        if index.kind == "BTREE" and not index.functional and " DESC" not in index.definition
    ]
    for index in indexes:
        for other in indexes:
            if other is index or not other.visible or not {index.name, other.name} & added:
                continue
            same = _parts(index) == _parts(other)
            if _is_the_lesser(index, other, added) if same else _is_prefix(index, other):
                what = "the same columns as" if same else "the first columns of"
                yield Said(
                    f"Index {index.name} ({_columns(index)}) has {what} {other.name} "
                    f"({_columns(other)}), which serves its queries too.",
                    f"Leave out or drop {index.name}: each index slows every write.",
                )
                break


def _is_the_lesser(index: Index, other: Index, added: set[str]) -> bool:
    """Which of two indexes of the same columns can go: the one that is less, newer, or named
    later."""
    return (index.primary, index.unique, index.name not in added, other.name) < (
        other.primary, other.unique, other.name not in added, index.name,
    )  # fmt: skip


def range_first(case: Case) -> Iterator[Said]:
    for index in case.added_indexes:
        first = case.after.column(index.columns[0])
        if len(index.columns) > 1 and first is not None and first.data_type in _RANGE_TYPES:
            yield Said(
                f"Index {index.name} begins with {first.name} ({first.column_type}), which is "
                f"mostly asked for by range: the columns behind it then narrow nothing.",
                "Put the columns that are compared by = first.",
            )


def too_many(case: Case) -> Iterator[Said]:
    count = len(case.after.indexes)
    if case.added_indexes and count > _MOST_INDEXES:
        yield Said(
            f"{case.name} would have {count} indexes (more than {_MOST_INDEXES}): each one slows "
            f"every write.",
            "Drop those that no query uses (sys.schema_unused_indexes names them).",
        )


def long_text(case: Case) -> Iterator[Said]:
    for index in case.added_indexes:
        if index.kind != "BTREE":
            continue
        for name, prefix in zip(index.columns, index.prefix_chars, strict=True):
            column = case.after.column(name)
            length = column and column.facts.get("CHARACTER_MAXIMUM_LENGTH")
            if column is not None and length and (prefix or int(length)) > _LONGEST_CHARS:
                yield Said(
                    f"Index {index.name} holds up to {prefix or int(length):,} characters of "
                    f"{name} a row: it grows as large as the column itself.",
                    f"Index a prefix ({name}(64)), or a hash of the value.",
                )


def _columns(index: Index) -> str:
    return ", ".join(name or "an expression" for name in index.columns)


def _parts(index: Index) -> list[tuple[str, int | None]]:
    return list(zip([name.lower() for name in index.columns], index.prefix_chars, strict=True))


def _is_prefix(index: Index, other: Index) -> bool:
    mine = _parts(index)
    return (
        not index.unique and len(mine) < len(other.columns) and _parts(other)[: len(mine)] == mine
    )


def _covering(index: Index, table: Table) -> bool:
    """Whether an index of the table begins with all columns of this one."""
    mine = _parts(index)
    return not index.functional and any(
        other.kind == index.kind and other.visible and _parts(other)[: len(mine)] == mine
        for other in table.indexes
    )
