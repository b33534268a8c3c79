"""``spirit lint``: what is wrong, dangerous or odd about a statement; nothing is changed.

Exit codes: 0 nothing that would be refused; 2 bad usage or refused; 5 the server cannot be asked
now.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from migrations_app.commandline import show
from migrations_app.commandline.arguments import (
    REFUSED,
    add_dsn,
    add_json,
    add_statement,
    code_of,
    complain,
    dsn_of,
)
from migrations_app.commandline.levels import add_levels, levels_of
from migrations_app.engine import Dsn, EngineError, RefusedError, parse_change
from migrations_app.engine.lint import Finding, LintLevel, findings_of_refusal, lint, refused


def add_to(commands: Any) -> None:
    """Add the subcommand to a parser's subcommands."""
    parser = commands.add_parser(
        "lint",
        help="say what is wrong, dangerous or odd about a statement",
        description="Check a statement and its table, as it is now, against the rules of "
        "docs/lint.md. The server tries the statement out on an empty copy, which is dropped "
        "again; nothing else is changed.",
        epilog="Exit codes: 0 nothing that would be refused; 2 bad usage or refused; 5 the server "
        "cannot be reached now.",
    )
    parser.set_defaults(run=run)
    add_dsn(parser)
    add_statement(parser)
    add_levels(parser)
    add_json(parser)


def run(arguments: dict[str, Any]) -> int:
    try:
        levels = levels_of(arguments)
        dsn = dsn_of(arguments)
        by_table = _find(dsn, arguments["statement"], levels)
    except EngineError as error:
        if not arguments["json"]:
            return complain(error)
        show.write_json({"error": str(error), "exit_code": code_of(error)})
        return code_of(error)
    code = REFUSED if any(refused(found) for found in by_table.values()) else 0
    if arguments["json"]:
        documents = [
            {
                "table": table,
                "statement": arguments["statement"],
                "findings": [dataclasses.asdict(finding) for finding in found],
            }
            for table, found in by_table.items()
        ]
        document = documents[0] if len(documents) == 1 else {"tables": documents}
        show.write_json({**document, "exit_code": code})
    else:
        for table, found in by_table.items():
            _print(table or "The statement", found)
    return code


def _find(dsn: Dsn, sql: str, levels: dict[str, LintLevel]) -> dict[str, list[Finding]]:
    """The findings by table (by "" when the statement could not be read)."""
    try:
        change = parse_change(sql, dsn.database)
    except RefusedError as error:
        return {"": findings_of_refusal(error)}
    return {
        f"{statement.schema}.{statement.table}": lint(dsn, statement, levels)
        for statement in change.statements
    }


def _print(table: str, found: list[Finding]) -> None:
    out = show.console()
    show.heading(out, f"{table}: {show.counts(found)}")
    show.findings(out, found)
