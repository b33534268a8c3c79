"""Rules about columns."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from migrations_app.engine.keys import members
from migrations_app.engine.lint import types
from migrations_app.engine.lint.case import Case, Said
from migrations_app.engine.mapping import usable_keys
from migrations_app.engine.names import literal
from migrations_app.engine.table import Column

_UNICODE = frozenset({"utf8mb4", "utf16", "utf16le", "utf32", "gb18030"})
# Every character of these is one of Unicode's first 65 536.
_BEYOND_UTF8MB3 = _UNICODE
_MONEY = re.compile(
    r"(^|_)(amount|balance|budget|charge|cost|credit|debit|discount|fee|money|payment|price|refund"
    r"|revenue|salary|tax|total|vat|wage)(s|es)?($|_)",
    re.IGNORECASE,
)
_NEEDS_EXACT = "Use DECIMAL: it holds the number that was written."


def dropped(case: Case) -> Iterator[Said]:
    for column in case.before.columns:
        if column.name.lower() in case.statement.dropped_columns:
            yield Said(
                f"Column {column.name} ({column.column_type}) is dropped with all its values.",
                "Make sure that no running program still reads or writes it.",
            )


def narrowed(case: Case) -> Iterator[Said]:
    for before, after in case.changed:
        if before.generated or after.generated:
            continue
        lost = types.what_is_lost(before, after)
        if lost:
            yield Said(
                f"Column {before.name} goes from {before.column_type} to {after.column_type}: "
                f"{lost}.",
                "Look for such rows first. One that does not fit ends the run, and is named.",
            )


def not_null_with_nulls(case: Case) -> Iterator[Said]:
    for before, _after in case.pairs:
        name = before.name.lower()
        if name in case.facts.with_nulls:
            yield Said(
                f"Column {before.name} becomes NOT NULL, and there are rows with NULL in it.",
                f"Give these rows a value first: UPDATE … SET {before.name} = … "
                f"WHERE {before.name} IS NULL.",
            )
        elif name in case.facts.nulls_unknown:
            yield Said(
                f"Column {before.name} becomes NOT NULL; whether a row has NULL in it could not "
                f"be found out in the time given to that.",
                f"Look for yourself: SELECT 1 FROM {case.name} WHERE {before.name} IS NULL "
                f"LIMIT 1.",
            )


def characters_lost(case: Case) -> Iterator[Said]:
    for before, after in case.changed:
        if not before.charset or not after.charset or before.charset == after.charset:
            continue
        if after.charset in _UNICODE or before.charset == "ascii" or after.charset == "binary":
            continue
        if after.charset in ("utf8mb3", "utf8", "ucs2") and before.charset not in _BEYOND_UTF8MB3:
            continue
        yield Said(
            f"Column {before.name} goes from {before.charset} to {after.charset}, which does not "
            f"have all of its characters.",
            "Use utf8mb4, or look for rows with other characters first.",
        )


def enum_of_key(case: Case) -> Iterator[Said]:
    in_key = {name.lower() for index in usable_keys(case.before)[:1] for name in index.columns}
    for before, after in case.changed:
        if before.name.lower() not in in_key or before.data_type not in ("enum", "set"):
            continue
        old, new = members(before.column_type), members(after.column_type)
        if before.data_type != after.data_type or new[: len(old)] != old:
            yield Said(
                f"The members of {before.name} are reordered or removed, and it is part of the "
                f"key: rows are found by the number of a member, which would mean another one in "
                f"the new table.",
                "Add new members at the end only.",
            )


def key_type(case: Case) -> Iterator[Said]:
    touched = {column.name for column in case.touched}
    primary = next((index for index in case.after.indexes if index.primary), None)
    for name in primary.columns if primary else ():
        column = case.after.column(name)
        if column is None or column.name not in touched:
            continue
        if column.data_type in ("binary", "varbinary"):
            continue
        if column.data_type == "bigint" and types.unsigned(column):
            continue
        yield Said(
            f"Key column {column.name} is {column.column_type}. A key is best BIGINT UNSIGNED, "
            f"which never runs out, or BINARY.",
            f"Make {column.name} BIGINT UNSIGNED while the table is changed anyway.",
        )


def inexact_money(case: Case) -> Iterator[Said]:
    for column in case.touched:
        if column.data_type in ("float", "double") and _MONEY.search(column.name):
            yield Said(
                f"Column {column.name} sounds like money and is {column.column_type}: sums of it "
                f"are not exact.",
                _NEEDS_EXACT,
            )


def timestamp(case: Case) -> Iterator[Said]:
    for column in case.touched:
        if column.data_type == "timestamp":
            yield Said(
                f"Column {column.name} is TIMESTAMP, which ends on 19 January 2038.",
                "Use DATETIME, with times in UTC.",
            )


def zero_date(case: Case) -> Iterator[Said]:
    for column in case.touched:
        default = str(column.facts.get("COLUMN_DEFAULT") or "")
        if column.data_type in ("date", "datetime", "timestamp") and re.match(
            r"\d{4}-(00|\d\d-00)", default
        ):
            yield Said(
                f"Column {column.name} has the default {default!r}, a date that does not exist: "
                f"many programs and strict modes refuse it.",
                "Use NULL for an unknown date.",
            )


def differs_elsewhere(case: Case) -> Iterator[Said]:
    primary = next((index for index in case.after.indexes if index.primary), None)
    alone = primary.columns[0].lower() if primary and len(primary.columns) == 1 else ""
    for column in case.touched:
        # An "id" names another thing in each table.
        if column.name.lower() == alone:
            continue
        others = [
            f"{other.table} ({other.column_type})"
            for other in case.facts.elsewhere
            if other.name.lower() == column.name.lower()
            and other.column_type.lower() != column.column_type.lower()
        ]
        if others:
            more = f" and {len(others) - 3} more" if len(others) > 3 else ""
            yield Said(
                f"Column {column.name} is {column.column_type} here, and another type in "
                f"{', '.join(others[:3])}{more}: joins on it convert, and may use no index.",
                "Give columns that mean the same the same type.",
            )


def reserved_word(case: Case) -> Iterator[Said]:
    for column in case.named:
        if column.name.upper() in case.facts.reserved:
            yield Said(
                f"Column name {column.name} is a reserved word of this server: every statement "
                f"must quote it.",
                "Choose another name.",
            )


def mixed_case(case: Case) -> Iterator[Said]:
    for column in case.named:
        if column.name != column.name.lower():
            yield Said(
                f"Column name {column.name} has capital letters.",
                f"Write {column.name.lower()}: names are then the same in every tool.",
            )


def not_null_without_default(case: Case) -> Iterator[Said]:
    for column in case.added:
        if column.nullable or column.generated or "auto_increment" in column.extra:
            continue
        if column.facts.get("COLUMN_DEFAULT") is None and "default_generated" not in column.extra:
            yield Said(
                f"New column {column.name} is NOT NULL and has no default: an INSERT that does "
                f"not name it fails, as those of programs that do not know it yet.",
                "Give it a default, or allow NULL until every program writes it.",
            )


def left_out(case: Case) -> Iterator[Said]:
    rewritten = {clause.column.lower(): clause for clause in case.clauses if clause.column}
    for before, after in case.pairs:
        clause = rewritten.get(before.name.lower())
        if clause is None or before.generated or after.generated:
            continue
        kept = set(dict(_attributes(after))) | _said_outright(clause.words)
        lost = [text for kind, text in _attributes(before) if kind not in kept]
        if lost:
            yield Said(
                f"Column {before.name} loses what it has now: {', '.join(lost)}. MODIFY and CHANGE "
                f"keep of a column only what they repeat.",
                "Repeat in the statement what is to stay.",
            )


def _said_outright(words: Sequence[str]) -> set[str]:
    """What NULL or a DEFAULT in the clause takes away on purpose."""
    said = {"default"} if "DEFAULT" in words else set()
    if any(b == "NULL" and a not in ("NOT", "DEFAULT") for a, b in itertools.pairwise(words)):
        said.add("not null")
    return said


def _attributes(column: Column) -> Iterator[tuple[str, str]]:
    """What MODIFY drops when it is not repeated, as kind and as it is written."""
    default, comment = column.facts.get("COLUMN_DEFAULT"), column.facts.get("COLUMN_COMMENT")
    if not column.nullable:
        yield "not null", "NOT NULL"
    if default is not None:
        is_expression = "default_generated" in column.extra
        yield "default", f"DEFAULT {default if is_expression else literal(str(default))}"
    for word in ("auto_increment", "on update", "invisible"):
        if word in column.extra:
            yield word, word.upper()
    if comment:
        yield "comment", "its comment"


def moved(case: Case) -> Iterator[Said]:
    for clause in case.clauses:
        if clause.moves_column:
            yield Said(
                f"Column {clause.column} gets another position: that copies the table, and "
                f"changes what SELECT * and INSERT without names mean.",
                "Leave out FIRST or AFTER.",
            )
