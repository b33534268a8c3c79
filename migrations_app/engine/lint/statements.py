"""Rules about the statement as a whole, and about what keeps it from running at all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from migrations_app.engine.errors import RefusedError
from migrations_app.engine.lint.case import Case, Said
from migrations_app.engine.mapping import map_tables
from migrations_app.engine.observer import Method

_KEY_KINDS = {"no-key", "key-dropped"}
# A problem's text says what is wrong first, then what to do.
_REMEDY_BEGINS = re.compile(r"(?<=[.)]) (?=[A-Z])|: (?=[A-Za-z])")


def problems_of(kind: str) -> Callable[[Case], Iterator[Said]]:
    """A rule that passes on what the preflight found of one kind."""

    def check(case: Case) -> Iterator[Said]:
        for problem in case.facts.problems:
            if problem.kind == kind:
                yield split(problem.text)

    return check


def split(text: str) -> Said:
    """A sentence for people, as what is wrong and what to do."""
    message, *rest = _REMEDY_BEGINS.split(text, maxsplit=1)
    if not rest:
        return Said(text, "")
    remedy = rest[0]
    return Said(message.rstrip(".") + ".", remedy[:1].upper() + remedy[1:])


def refused_by_server(case: Case) -> Iterator[Said]:
    if case.facts.refusal:
        yield Said(
            f"The server does not accept the statement: {case.facts.refusal.rstrip('.')}.",
            "Correct the statement.",
        )


def key_not_kept(case: Case) -> Iterator[Said]:
    if case.facts.after is None or case.facts.method is not Method.COPY:
        return
    if _KEY_KINDS & {problem.kind for problem in case.facts.problems}:
        return
    try:
        map_tables(case.statement, case.before, case.after)
    except RefusedError as error:
        yield split(str(error))


def old_table_exists(case: Case) -> Iterator[Said]:
    if case.facts.old_table:
        yield Said(
            f"The table {case.facts.old_table} exists, probably the old table of an earlier "
            f"change; the swap needs that name.",
            f"Drop or rename {case.facts.old_table} first.",
        )


def drop_and_add(case: Case) -> Iterator[Said]:
    for clause in case.clauses:
        for name in clause.added:
            if name.lower() in case.statement.dropped_columns:
                yield Said(
                    f"Column {name} is dropped and added again: its values are not carried over, "
                    f"every row begins with the new column's default.",
                    f"To change the column and keep its values, write MODIFY COLUMN {name} …",
                )


def rename_collision(case: Case) -> Iterator[Said]:
    renamed = {
        old: new for old, new in case.statement.renamed_columns.items() if old != new.lower()
    }
    new_names = {new.lower() for new in renamed.values()}
    for clause in case.clauses:
        for name in clause.added:
            old = name.lower()
            if old in renamed:
                what = f"{name} is renamed to {renamed[old]}, and another column {name} is added"
            elif old in new_names:
                what = f"another column is renamed to {name}, and a column {name} is added"
            else:
                continue
            yield Said(
                f"In one statement {what}: whoever knows the column by its name gets the wrong "
                f"one.",
                "Rename in one statement, and add in a second one.",
            )


def visibility_with_rebuild(case: Case) -> Iterator[Said]:
    if case.facts.method is not Method.COPY or len(case.clauses) < 2:
        return
    for clause in case.clauses:
        if clause.sets_visibility:
            yield Said(
                f"The visibility of index {clause.index} is changed together with a copy of the "
                f"table: it can be tried, and taken back, only by another copy.",
                "Change the visibility by itself: that needs no copy.",
            )


def could_be_instant(case: Case) -> Iterator[Said]:
    if case.facts.method in (Method.INSTANT, Method.INPLACE):
        how = "at once" if case.facts.method is Method.INSTANT else "in place, in its metadata only"
        yield Said(
            f"The server can make this change {how}: no row is copied.",
            "Nothing to do: a run asks the server first.",
        )
