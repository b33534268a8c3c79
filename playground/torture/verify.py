"""After a round: is every row right, is the definition, and was nothing left behind?"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from typing import Any

from migrations_app.engine.statement import parse_statement
from playground.comparison import compare
from playground.connections import connected, query, quote
from playground.server import PrivateServer
from playground.torture.faults import engine_sessions
from playground.torture.tables import NAME
from playground.writer import LiveWriter

EXPECTED = "expected"
OLD = f"_{NAME}_old"
_SETTLE_SECS = 10.0
_MOST_SHOWN = 12
_LOCKS = """
SELECT OBJECT_NAME FROM performance_schema.metadata_locks
WHERE OBJECT_TYPE = 'USER LEVEL LOCK' AND OBJECT_NAME LIKE 'spirit:%'
"""
_TEXTS = ("char", "varchar", "text", "mediumtext", "longtext", "tinytext", "enum", "set")


def make_expected(dsn: str, statement: str, schema: str) -> None:
    """What the server itself makes of the old table by the same ALTER."""
    clauses = parse_statement(statement, schema).alter_clauses
    with connected(dsn) as connection:
        query(connection, f"CREATE TABLE {EXPECTED} LIKE {OLD}")
        names = ", ".join(
            quote(name)
            for name, extra in query(
                connection,
                "SELECT COLUMN_NAME, EXTRA FROM information_schema.COLUMNS WHERE TABLE_SCHEMA ="
                " DATABASE() AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION",
                (OLD,),
            )
            if "GENERATED" not in extra or "DEFAULT_GENERATED" in extra
        )
        # A row whose AUTO_INCREMENT column holds 0 stays as it is.
        query(connection, "SET SESSION sql_mode = CONCAT(@@sql_mode, ',NO_AUTO_VALUE_ON_ZERO')")
        query(connection, f"INSERT INTO {EXPECTED} ({names}) SELECT {names} FROM {OLD}")
        query(connection, f"ALTER TABLE {EXPECTED} {clauses}, ALGORITHM=COPY")


def differing_definition(dsn: str) -> list[str]:
    """Lines of the definition that only one of the new and the expected table has."""
    with connected(dsn) as connection:
        ours, theirs = (_definition(connection, name) for name in (NAME, EXPECTED))
    return [f"only in the table: {line}" for line in sorted(ours - theirs)] + [
        f"missing in the table: {line}" for line in sorted(theirs - ours)
    ]


def _definition(connection: Any, name: str) -> set[str]:
    text = query(connection, f"SHOW CREATE TABLE {quote(name)}")[0][1]
    lines = [line.strip().removesuffix(",") for line in text.splitlines()[1:]]
    words = [word for word in lines[-1].split() if not word.startswith("AUTO_INCREMENT=")]
    return {*lines[:-1], " ".join(words)}


def differing_rows(dsn: str) -> tuple[int, list[str]]:
    """Rows of the new table, and what differs from the expected one, byte by byte."""
    with connected(dsn) as connection:
        columns = query(
            connection,
            "SELECT COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA ="
            " DATABASE() AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION",
            (EXPECTED,),
        )
        parts = ", ".join(_exact(name, data_type) for name, data_type in columns)
        ours, theirs = (
            set(query(connection, f"SELECT {parts} FROM {quote(name)}"))
            for name in (NAME, EXPECTED)
        )
        [(count,)] = query(connection, f"SELECT COUNT(*) FROM {NAME}")
    found = [f"row only in the table: {row}" for row in _some(ours - theirs)]
    found += [f"row missing in the table: {row}" for row in _some(theirs - ours)]
    if not found and count != len(theirs):
        found.append(f"{count} rows, not {len(theirs)}, are there")
    return count, found


def _some(rows: set[Any]) -> list[Any]:
    return sorted(rows, key=str)[:_MOST_SHOWN]


def _exact(name: str, data_type: str) -> str:
    if data_type in _TEXTS:
        return f"CAST({quote(name)} AS BINARY)"
    if data_type == "float":
        return f"CAST({quote(name)} AS DOUBLE)"
    return quote(name)


def differing_from_books(dsn: str, writer: LiveWriter, *, of: str = NAME) -> tuple[int, list[str]]:
    """Rows compared, and what differs from the writer's ledger and, elsewhere, from the old
    table. of: the new table or, when the swap was deferred, the old one itself."""
    table = dataclasses.replace(writer.table, name=of)
    result = compare(dsn, table, writer.ledger, OLD)
    found = [str(difference) for difference in result.differences[:_MOST_SHOWN]]
    return result.rows, found + [f"the writer was surprised: {s}" for s in writer.surprises]


def left_behind(server: PrivateServer, schema: str, *, tables: bool = True) -> list[str]:
    """What the engine has left on the server, once what is just ending has ended. tables: it has
    not said that it could not drop some."""
    deadline = time.monotonic() + _SETTLE_SECS
    while (
        found := _left_now(server, schema, look_for_tables=tables)
    ) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def _left_now(server: PrivateServer, schema: str, *, look_for_tables: bool) -> list[str]:
    tables = {
        row[0]
        for row in server.execute(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s", (schema,)
        )
    }
    found = [f"table {name}" for name in sorted(tables - {NAME, OLD, EXPECTED}) if look_for_tables]
    found += [f"session {number}" for number in engine_sessions(server)]
    found += [f"lock {row[0]}" for row in server.execute(_LOCKS)]
    return found


def sessions_end(server: PrivateServer) -> None:
    """Wait until the sessions of a killed engine are gone."""
    deadline = time.monotonic() + _SETTLE_SECS
    while time.monotonic() < deadline:
        with contextlib.suppress(Exception):
            if not engine_sessions(server):
                return
        time.sleep(0.05)
