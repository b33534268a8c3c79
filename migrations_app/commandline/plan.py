"""``spirit plan``: what a run would do; nothing is changed.

Exit codes: 0 it would run; 2 bad usage, or it would be refused; 5 the server cannot be asked now.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from migrations_app.commandline import show
from migrations_app.commandline.arguments import (
    REFUSED,
    add_defer_indexes,
    add_dsn,
    add_json,
    add_max_age,
    add_statement,
    add_strict,
    code_of,
    complain,
    dsn_of,
)
from migrations_app.commandline.levels import add_levels, levels_of
from migrations_app.engine import (
    DeferIndexes,
    EngineError,
    Method,
    Options,
    RefusedError,
    parse_change,
)
from migrations_app.engine.lint import Finding, findings_of_refusal
from migrations_app.engine.plan import (
    FAST_BYTES_PER_SEC,
    FAST_ROWS_PER_SEC,
    SLOW_BYTES_PER_SEC,
    SLOW_ROWS_PER_SEC,
    Plan,
    plan,
)
from migrations_app.engine.saved import NextKind

_METHODS = {
    Method.INSTANT: "at once, by the server (INSTANT); no row is copied",
    Method.INPLACE: "in place, by the server (metadata only); no row is copied",
    Method.COPY: "an online copy into a new table, verified and swapped in",
    Method.UNDECIDED: "none",
}
_NEXT = {
    NextKind.BEGIN: "none",
    NextKind.RESUME: "would be resumed",
    NextKind.FINISH: "would be finished",
    NextKind.FRESH: "would be given up for a fresh start",
    NextKind.REFUSE: "stands in the way",
}


def add_to(commands: Any) -> None:
    """Add the subcommand to a parser's subcommands."""
    parser = commands.add_parser(
        "plan",
        help="say what a run would do, and change nothing",
        description="Say what a run would do: how, how long, with what is saved of an earlier run, "
        "and the table before and after. The server tries the statement out on an empty copy, "
        "which is dropped again; nothing else is changed.",
        epilog="Exit codes: 0 it would run; 2 bad usage, or it would be refused; 5 the server "
        "cannot be reached now.",
    )
    parser.set_defaults(run=run)
    add_dsn(parser)
    add_statement(parser)
    add_levels(parser)
    add_strict(parser)
    add_max_age(parser)
    add_defer_indexes(parser)
    add_json(parser)


def run(arguments: dict[str, Any]) -> int:
    try:
        levels = levels_of(arguments)
        dsn = dsn_of(arguments)
        try:
            change = parse_change(arguments["statement"], dsn.database)
        except RefusedError as error:
            return _refused(arguments, findings_of_refusal(error))
        options = Options(
            strict=arguments["strict"],
            checkpoint_max_age_secs=arguments["checkpoint_max_age"],
            defer_indexes=DeferIndexes(arguments["defer_indexes"]),
        )
        plans = plan(dsn, change, options, levels)
    except EngineError as error:
        if not arguments["json"]:
            return complain(error)
        show.write_json({"error": str(error), "exit_code": code_of(error)})
        return code_of(error)
    code = REFUSED if any(made.refused for made in plans) else 0
    if arguments["json"]:
        documents = [_document(made) for made in plans]
        show.write_json(
            {**(documents[0] if len(plans) == 1 else {"plans": documents}), "exit_code": code}
        )
    else:
        for made in plans:
            _print(made)
    return code


def _refused(arguments: dict[str, Any], found: list[Finding]) -> int:
    """The statement could not even be read."""
    if arguments["json"]:
        findings = [dataclasses.asdict(finding) for finding in found]
        show.write_json(
            {"statement": arguments["statement"], "findings": findings, "exit_code": REFUSED}
        )
    else:
        out = show.console()
        show.heading(out, "The statement would be refused.", "bold red")
        show.findings(out, found)
    return REFUSED


def _document(made: Plan) -> dict[str, Any]:
    return {
        "table": f"{made.statement.schema}.{made.statement.table}",
        "statement": made.statement.sql,
        "refused": made.refused,
        "method": made.method.value,
        "method_reason": made.method_reason,
        "key": {"index": made.key_index, "columns": made.key_columns},
        "size": dataclasses.asdict(made.size),
        "indexes_later": made.indexes_later,
        "next_run": dataclasses.asdict(made.next_run),
        "duration_secs": made.duration_secs,
        "running_connection": made.running_connection,
        "findings": [dataclasses.asdict(finding) for finding in made.findings],
        "before": made.before_sql,
        "after": made.after_sql,
        "diff": made.diff,
    }


def _print(made: Plan) -> None:
    out = show.console()
    table = f"{made.statement.schema}.{made.statement.table}"
    if made.refused:
        show.heading(out, f"{table}: this would be refused; nothing would be changed.", "bold red")
    elif made.running_connection is not None:
        show.heading(out, f"{table}: this would run after the run that works on it now.")
    else:
        show.heading(out, f"{table}: this would run. Nothing has been changed.")
    show.pairs(out, _lines(made))
    if made.findings:
        out.print()
        show.heading(out, f"Findings: {show.counts(list(made.findings))}")
        show.findings(out, list(made.findings))
    if made.diff:
        out.print()
        show.heading(out, "The table now and afterwards:")
        show.diff(out, made.diff)


def _lines(made: Plan) -> list[tuple[str, str]]:
    size = made.size
    lines = [("Method", f"{_METHODS[made.method]}: {made.method_reason}.")]
    lines.append(
        (
            "Size",
            (
                f"about {size.rows:,} rows; data {show.size_words(size.data_bytes)}, indexes "
                f"{show.size_words(size.index_bytes)}"
            ),
        )
    )
    if made.method is Method.COPY:
        lines += _copy_lines(made)
    kind = made.next_run.kind
    if kind is not NextKind.BEGIN:
        lines.append(("Earlier run", f"{_NEXT[kind]}: {made.next_run.reason}."))
        lines += _kept(made)
    if made.running_connection is not None:
        lines.append(
            (
                "Running now",
                (
                    f"A run works on this table (connection {made.running_connection} of the "
                    f"server); another one would be refused until it has ended."
                ),
            )
        )
    return lines


def _kept(made: Plan) -> list[tuple[str, str]]:
    if made.next_run.rows_kept:
        return [("", f"{made.next_run.rows_kept:,} copied rows are kept.")]
    if made.next_run.rows_lost:
        return [("", f"{made.next_run.rows_lost:,} copied rows would be copied again.")]
    return []


def _copy_lines(made: Plan) -> list[tuple[str, str]]:
    size = made.size
    lines = []
    if made.key_columns:
        lines.append(("Walked by", f"{made.key_index} ({', '.join(made.key_columns)})"))
    later = ", ".join(made.indexes_later)
    indexes = f"built after the copy: {later}" if later else "kept up to date during the copy"
    lines.append(("Indexes", indexes))
    lines.append(
        (
            "Disk",
            (
                f"about {show.size_words(size.disk_bytes)} for the new table, and "
                f"{show.size_words(size.log_bytes)} of binary log"
            ),
        )
    )
    if made.duration_secs is not None:
        lines.append(("Duration", _duration(*made.duration_secs)))
    return lines


def _duration(fast: float, slow: float) -> str:
    if slow < 1:
        return "about a second"
    return (
        f"{show.secs_words(fast)} to {show.secs_words(slow)}, a rough guess: at "
        f"{FAST_ROWS_PER_SEC:,} to {SLOW_ROWS_PER_SEC:,} rows/s, and "
        f"{FAST_BYTES_PER_SEC // 2**20} to {SLOW_BYTES_PER_SEC // 2**20} MiB/s"
    )
