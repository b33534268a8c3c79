"""What stands in the way of a change, all of it at once, before anything is touched."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import MySQLdb

from migrations_app.engine import mapping, server
from migrations_app.engine.dsn import Dsn
from migrations_app.engine.errors import EngineError, RefusedError
from migrations_app.engine.server import ServerFacts
from migrations_app.engine.session import Session, connect, server_text
from migrations_app.engine.statement import Change, Statement, parse_change
from migrations_app.engine.table import (
    Table,
    foreign_keys_of,
    load_table,
    triggers_of,
    with_file_size,
)


@dataclasses.dataclass(frozen=True, slots=True)
class TargetReport:
    """What a connection test found. problems: sentences; empty when all is well."""

    version: str
    problems: list[str]
    facts: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Something that stands in the way. kind: a short name, the same for problems of one kind."""

    kind: str
    text: str


def inspect_target(dsn: Dsn) -> TargetReport:
    """Connect and look; never raises for a server that is down, refuses or does not fit."""
    try:
        require_supported_server(dsn)
        session = Session(dsn, "inspect", "")
    except EngineError as error:
        return TargetReport("", [str(error)], {})
    except MySQLdb.Error as error:
        return TargetReport("", [f"The server could not be asked: {server_text(error)}."], {})
    try:
        facts = server.read_facts(session)
        problems = server.server_problems(facts)
        problems += server.missing_privileges(session, dsn.database)
        return TargetReport(facts.version_text, problems, dict(facts.variables))
    except EngineError as error:
        return TargetReport("", [str(error)], {})
    except MySQLdb.Error as error:
        return TargetReport("", [f"The server could not be asked: {server_text(error)}."], {})
    finally:
        session.close()


def require_supported_server(dsn: Dsn) -> None:
    """Raise RefusedError or TransientError when this server can be no target at all.

    Asked on a bare connection: MariaDB does not know some of a Session's settings.
    """
    connection = connect(dsn, database=False)
    try:
        connection.query("SELECT VERSION(), @@version_comment")
        version_text, comment = connection.store_result().fetch_row(maxrows=1)[0]
    finally:
        connection.close()
    facts = server.facts_from(str(version_text), str(comment), ())
    if facts.mariadb or facts.version < server.OLDEST_VERSION:
        raise RefusedError(server.server_problems(facts)[:1])


def check(session: Session, change: Change, facts: ServerFacts) -> tuple[Table, ...]:
    """Look at server, account and tables; returns the tables, in the order of the statements.

    Raises RefusedError with every problem found.
    """
    tables, problems = [], []
    for statement in change.statements:
        table, found = look(session, statement, facts)
        # What is wrong with the server or the account is found for each table.
        problems += [problem for problem in found if problem not in problems]
        if table is not None:
            tables.append(table)
    if problems:
        raise RefusedError([problem.text for problem in problems])
    return tuple(tables)


def look(
    session: Session, statement: Statement, facts: ServerFacts
) -> tuple[Table | None, list[Problem]]:
    """The table, None when there is none, and everything that stands in the way."""
    names = statement.names
    problems = [Problem("server", text) for text in server.server_problems(facts)]
    lacking = server.missing_privileges(session, names.schema)
    problems += [Problem("privileges", text) for text in lacking]
    table = load_table(session, names.schema, names.table)
    if table is None:
        text = (
            f"There is no table {names.schema}.{names.table} (or this account may not see it). "
            f"Check the name and the target's schema."
        )
        return None, [*problems, Problem("table", text)]
    problems += _table_problems(session, statement, table)
    return with_file_size(session, names.schema, table), problems


def _table_problems(session: Session, statement: Statement, table: Table) -> list[Problem]:
    names = statement.names
    if table.kind != "BASE TABLE":
        return [Problem("table", f"{names.table} is a view: only tables can be migrated.")]
    problems = []
    if table.engine.lower() != "innodb":
        text = (
            f"{names.table} is stored by {table.engine}: only InnoDB tables can be read without "
            f"locks. Convert it first (ALTER TABLE … ENGINE=InnoDB, in a maintenance window)."
        )
        problems.append(Problem("table", text))
    triggers = triggers_of(session, names.schema, names.table)
    if triggers:
        text = (
            f"{names.table} has triggers ({', '.join(triggers)}), which the swap would lose. "
            f"Drop them first and create them again afterwards."
        )
        problems.append(Problem("triggers", text))
    keys = foreign_keys_of(session, names.schema, names.table)
    if keys:
        text = (
            f"{names.table} is part of foreign keys ({', '.join(keys)}), which would go on "
            f"pointing at the old table. Drop them first."
        )
        problems.append(Problem("foreign-keys", text))
    usable = mapping.usable_keys(table)
    if not usable:
        problems.append(Problem("no-key", mapping.no_key_reason(table)))
    elif all(
        any(name.lower() in statement.dropped_columns for name in index.columns) for index in usable
    ):
        text = (
            f"The statement drops a column of the only usable key of {names.table}. "
            f"Add another unique key without NULLs first."
        )
        problems.append(Problem("key-dropped", text))
    return problems


def inspect_table(dsn: Dsn, statement: str) -> list[str]:
    """What stands in the way of a change, as sentences; never raises for a server that is down or
    refuses. Nothing is changed."""
    try:
        parsed = parse_change(statement, dsn.database)
        require_supported_server(dsn)
        session = Session(dsn, "inspect", "")
    except RefusedError as error:
        return error.reasons
    except EngineError as error:
        return [str(error)]
    try:
        check(session, parsed, server.read_facts(session))
    except RefusedError as error:
        return error.reasons
    except (EngineError, MySQLdb.Error) as error:
        return [f"The server could not be asked: {server_text(error)}."]
    finally:
        session.close()
    return []
