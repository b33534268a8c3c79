"""Rules about the table as a whole."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from migrations_app.engine.lint import types
from migrations_app.engine.lint.case import Case, Said
from migrations_app.engine.observer import Method
from migrations_app.engine.table import Table

_FULL = 0.85
_SMALL_ROWS = 10_000
_SMALL_BYTES = 16 * 1024 * 1024
_JUST_NOW_SECS = 60


def auto_increment_full(case: Case) -> Iterator[Said]:
    number = case.before.auto_increment
    for column in case.after.columns:
        if number is None or "auto_increment" not in column.extra:
            continue
        if column.data_type not in types.INTEGER_BYTES:
            continue
        used = number / types.largest_integer(column)
        if used > _FULL:
            yield Said(
                f"The AUTO_INCREMENT of {column.name} ({column.column_type}) has used "
                f"{used:.0%} of its numbers; when they end, every INSERT fails.",
                f"Make {column.name} BIGINT UNSIGNED in this change.",
            )


def charset(case: Case) -> Iterator[Said]:
    for name, found in _new_texts(case, "CHARACTER_SET_NAME"):
        if not _matches(found, case.facts.allowed.charsets):
            yield Said(
                f"{name} uses the character set {found}.",
                f"Use {case.facts.allowed.charsets[0]}.",
            )


def collation(case: Case) -> Iterator[Said]:
    inherited = str(case.before.facts.get("TABLE_COLLATION") or "")
    for name, found in _new_texts(case, "COLLATION_NAME"):
        # A column like its table's others is no news.
        if found != inherited and not _matches(found, case.facts.allowed.collations):
            yield Said(
                f"{name} uses the collation {found}.",
                f"Allowed are {', '.join(case.facts.allowed.collations)}.",
            )


def _new_texts(case: Case, fact: str) -> Iterator[tuple[str, str]]:
    """(what, charset or collation) of each text that the statement adds or changes."""
    for column in case.touched:
        if found := str(column.facts.get(fact) or ""):
            yield f"Column {column.name}", found
    before, after = _table_default(case.before, fact), _table_default(case.after, fact)
    if before != after:
        yield f"Table {case.name}", after


def _table_default(table: Table, fact: str) -> str:
    found = str(table.facts.get("TABLE_COLLATION") or "")
    return found if fact == "COLLATION_NAME" else found.partition("_")[0]


def engine(case: Case) -> Iterator[Said]:
    if case.facts.after is not None and not _matches(case.after.engine, case.facts.allowed.engines):
        yield Said(
            f"{case.name} would be stored by {case.after.engine}.",
            f"Leave out ENGINE={case.after.engine}; use {case.facts.allowed.engines[0]}.",
        )


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatch(name.lower(), pattern.lower()) for pattern in patterns)


def small(case: Case) -> Iterator[Said]:
    table = case.before
    size = table.data_bytes + table.index_bytes
    if case.facts.method is not Method.COPY:
        return
    if table.rows < _SMALL_ROWS and size < _SMALL_BYTES:
        yield Said(
            f"{case.name} is small (about {table.rows:,} rows, {size / 2**20:.1f} MiB): a plain "
            f"ALTER TABLE would take about a second.",
            "An online copy does no harm; use it if even a second of waiting writes is too long.",
        )


def written_just_now(case: Case) -> Iterator[Said]:
    ago = case.facts.written_secs_ago
    if ago is None or ago > _JUST_NOW_SECS:
        return
    if case.statement.dropped_columns or case.dropped_indexes:
        yield Said(
            f"{case.name} was written to {ago:.0f} s ago, so programs are using it while "
            f"something of it is dropped.",
            "Make sure that none of them names what is dropped.",
        )
