"""A migrated table beside its twin, which a native ALTER TABLE … ALGORITHM=COPY made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from migrations_app.engine import Method, Options, OutcomeKind
from tests.conftest import Schema, fresh_schema
from tests.engine.support import migrate

SETTINGS = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'"
TEXT = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set")


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def run_all(schema: Schema, statements: list[str]) -> None:
    """Run statements in one lenient session, so that zero dates and id 0 can be stored."""
    connection = schema.server._connect(schema.name)
    try:
        for statement in (SETTINGS, *statements):
            connection.query(statement.encode())
    finally:
        connection.close()


def rows_by_bytes(schema: Schema, table: str) -> list[tuple[Any, ...]]:
    """Every row with all columns, invisible ones too; text as the hexadecimal of its bytes."""
    shown = []
    for column in schema.execute(f"SHOW COLUMNS FROM {quoted(table)}"):
        kind = re.split(r"\W", str(column[1]))[0]
        name = quoted(str(column[0]))
        shown.append(f"HEX({name})" if kind in TEXT else name)
    rows = schema.execute(f"SELECT {', '.join(shown)} FROM {quoted(table)}")
    return sorted(rows, key=repr)


def definition_of(schema: Schema, table: str) -> list[str]:
    """SHOW CREATE TABLE without the name, the AUTO_INCREMENT value and the order of indexes."""
    lines = schema.execute(f"SHOW CREATE TABLE {quoted(table)}")[0][1].splitlines()[1:]
    lines = [re.sub(r" AUTO_INCREMENT=\d+", "", line.rstrip(",")) for line in lines]
    columns = [line for line in lines if line.startswith("  `")]
    return columns + sorted(line for line in lines if not line.startswith("  `"))


@contextmanager
def twins(schema: Schema, setup: list[str]) -> Iterator[Schema]:
    """Run the setup in the schema and in a second one, which is given and dropped at the end."""
    with fresh_schema(schema.server) as native:
        for each in (schema, native):
            run_all(each, setup)
        yield native


def assert_migrates_as_native(
    schema: Schema, setup: list[str], clauses: str, table: str = "t"
) -> None:
    """Copy ``table`` by a migration, its twin by the server; every row and definition agrees."""
    with twins(schema, setup) as native:
        name = quoted(table)
        comma = " " if clauses.startswith(("PARTITION BY", "REMOVE PART")) else ", "
        run_all(native, [f"ALTER TABLE {name} ALGORITHM=COPY{comma}{clauses}"])
        options = Options(repair_differences=False, attempt_direct=False)
        outcome, _ = migrate(schema, f"ALTER TABLE {name} {clauses}", options)
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
        assert outcome.method is Method.COPY
        rows, native_rows = rows_by_bytes(schema, table), rows_by_bytes(native, table)
        assert rows == native_rows, (rows, native_rows)
        got, wanted = definition_of(schema, table), definition_of(native, table)
        assert got == wanted, (got, wanted)
