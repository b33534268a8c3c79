"""``spirit checkpoint``: what is saved for a table, and whether it can be resumed.

Exit codes: 0 it can be resumed; 1 it cannot; 2 bad usage or refused by the server; 3 nothing is
saved; 5 the server cannot be asked now.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from migrations_app.commandline import show
from migrations_app.commandline.arguments import (
    add_dsn,
    add_json,
    add_max_age,
    add_statement,
    add_strict,
    code_of,
    complain,
    dsn_of,
)
from migrations_app.engine import Change, EngineError, Options, parse_change
from migrations_app.engine.saved import NextKind, Saved, look_up

RESUMABLE, NOT_RESUMABLE, NOTHING = 0, 1, 3
_NEXT = {
    NextKind.BEGIN: "begins at the first row",
    NextKind.RESUME: "resumes",
    NextKind.FINISH: "finishes what is left to do",
    NextKind.FRESH: "starts afresh",
    NextKind.REFUSE: "is refused",
}


def add_to(commands: Any) -> None:
    """Add the subcommand to a parser's subcommands."""
    parser = commands.add_parser(
        "checkpoint",
        help="say what is saved for a table, and whether it can be resumed",
        description="Say what an earlier run has saved for a table, and what the next run would "
        "do with it. Nothing is changed.",
        epilog="Exit codes: 0 it can be resumed; 1 it cannot; 2 bad usage or refused by the "
        "server; 3 nothing is saved; 5 the server cannot be reached now.",
    )
    parser.set_defaults(run=run)
    add_dsn(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--table", help="the table; the next run has the saved statement then")
    add_statement(which, required=False)
    add_strict(parser)
    add_max_age(parser)
    add_json(parser)


def run(arguments: dict[str, Any]) -> int:
    try:
        dsn = dsn_of(arguments)
        of: Change | str = arguments["table"] or ""
        if arguments["statement"] is not None:
            of = parse_change(arguments["statement"], dsn.database)
        options = Options(
            strict=arguments["strict"], checkpoint_max_age_secs=arguments["checkpoint_max_age"]
        )
        saved = look_up(dsn, of, options)
    except EngineError as error:
        if not arguments["json"]:
            return complain(error)
        show.write_json({"error": str(error), "exit_code": code_of(error)})
        return code_of(error)
    code = NOTHING if saved.nothing else RESUMABLE if saved.resumable else NOT_RESUMABLE
    if arguments["json"]:
        show.write_json({**_document(saved), "exit_code": code})
    else:
        _print(saved)
    return code


def _document(saved: Saved) -> dict[str, Any]:
    document = dataclasses.asdict(saved)
    names = document.pop("names")
    return {
        "table": f"{names['schema']}.{names['table']}",
        "saved": not saved.nothing,
        "resumable": saved.resumable,
        **document,
    }


def _print(saved: Saved) -> None:
    out = show.console()
    table = f"{saved.names.schema}.{saved.names.table}"
    if saved.nothing:
        show.heading(out, f"{table}: nothing is saved.")
    elif saved.resumable:
        show.heading(out, f"{table}: this can be resumed.", "bold green")
    else:
        show.heading(out, f"{table}: this cannot be resumed.", "bold red")
    show.pairs(out, _lines(saved))


def _lines(saved: Saved) -> list[tuple[str, str]]:
    lines = []
    if saved.problem:
        lines.append(("Checkpoint", saved.problem))
    if saved.newest is not None:
        lines += _checkpoint_lines(saved)
    for label, table in (("Shadow table", saved.shadow), ("Old table", saved.old)):
        if table is not None:
            size = show.size_words(table.size_bytes)
            lines.append((label, f"{table.name}, about {table.rows:,} rows, {size}"))
        elif label == "Shadow table" and not saved.nothing:
            lines.append((label, "it is gone"))
    coming = saved.next_run
    what = f"{_NEXT[coming.kind]}: {coming.reason}."
    if coming.rows_lost:
        what += f" {coming.rows_lost:,} copied rows are lost then."
    lines.append(("Next run", what))
    if saved.running_connection is not None:
        lines.append(
            (
                "Running now",
                (
                    f"A run works on this table (connection {saved.running_connection} of the "
                    f"server); what is said here changes with it."
                ),
            )
        )
    return lines


def _checkpoint_lines(saved: Saved) -> list[tuple[str, str]]:
    row = saved.newest
    assert row is not None
    age = saved.ages_secs.get(row.id, 0.0)
    lines = [
        ("Checkpoint", f"number {row.id}, {show.secs_words(age)} old; {len(saved.ages_secs)} kept"),
        ("Statement", row.statement),
        ("Phase", row.phase),
        ("Rows copied", f"{row.rows_copied:,}"),
        ("Position", row.position),
    ]
    if row.gtid_set:
        lines.append(("", row.gtid_set))
    if saved.why_gone:
        lines.append(("Binary log", saved.why_gone))
    elif saved.expiry.hours is None:
        lines.append(("Binary log", f"is on the server; {saved.expiry.reason}."))
    else:
        left_secs = saved.expiry.hours * 3600
        left = show.secs_words(left_secs)
        lines.append(
            (
                "Binary log",
                f"is on the server for another {left} at the earliest: {saved.expiry.reason}."
                if left_secs > 0
                else f"may be deleted at any moment: {saved.expiry.reason}.",
            )
        )
    return lines
