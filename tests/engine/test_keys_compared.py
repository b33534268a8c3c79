"""A key whose type or character set changes still tells which row is which, in both tables."""

from __future__ import annotations

import contextlib

import pytest

from migrations_app.engine import Options, OutcomeKind
from migrations_app.engine.checksum import Checksum
from migrations_app.engine.keys import KeyColumn
from migrations_app.engine.mapping import key_columns, usable_keys
from migrations_app.engine.session import Session
from migrations_app.engine.table import load_table
from migrations_app.engine.tablekey import TableKey
from tests.conftest import Schema
from tests.engine.support import migrate

# the key's column; its values; its new definition
KEYS = {
    "latin text to utf8mb4": (
        "VARCHAR(9) CHARACTER SET latin1", "('é'), ('ü'), ('a')",
        "VARCHAR(9) CHARACTER SET utf8mb4",
    ),
    "padded text to utf8mb4": (
        "CHAR(9) CHARACTER SET latin1", "('é'), ('ü'), ('a')", "VARCHAR(20) CHARACTER SET utf8mb4",
    ),
    "old UTF-8 to utf8mb4": (
        "VARCHAR(9) CHARACTER SET utf8mb3", "('é'), ('ü'), ('a')",
        "VARCHAR(9) CHARACTER SET utf8mb4",
    ),
    "more decimals of a second": (
        "DATETIME", "('2024-02-29 01:02:03'), ('2024-02-29 01:02:04')", "DATETIME(6)",
    ),
    "fewer to more": ("TIMESTAMP(1)", "('2024-02-29 01:02:03.5'), ('2024-03-01')", "TIMESTAMP(3)"),
    "date to datetime": ("DATE", "('2024-02-29'), ('2024-03-01')", "DATETIME"),
    "time with decimals": ("TIME", "('-01:02:03'), ('11:00:00')", "TIME(2)"),
    "number to decimal": ("INT", "(-3), (4)", "DECIMAL(12,2)"),
    "decimal with more places": ("DECIMAL(9,2)", "(-3.25), (4)", "DECIMAL(12,4)"),
}  # fmt: skip


def test_a_row_is_found_by_a_time_of_fewer_decimals(schema: Schema) -> None:
    """A single one, too: the server compares a list of one row with a text as a text."""
    schema.execute("CREATE TABLE t (k INT, a TIME(1), PRIMARY KEY (k, a))")
    schema.execute("CREATE TABLE found (k INT, a TIME(6))")
    schema.execute("INSERT INTO found VALUES (7, '-23:11:12.7')")
    with contextlib.closing(Session(schema.dsn, "test", "")) as session:
        table = load_table(session, schema.name, "t")
        assert table is not None
        index = usable_keys(table)[0]
        columns = [column for name in index.columns if (column := table.column(name))]
        key = TableKey(index.name, key_columns(index, columns))
        wanted = key.from_texts(["7", "-23:11:12.7"])
        condition = key.in_list([wanted])
        assert session.query(f"SELECT COUNT(*) FROM found WHERE {condition}") == [(1,)]


@pytest.mark.parametrize(
    ("column_type", "fsp", "text", "value"),
    [
        ("int", 0, "85.00", 85),
        ("int", 0, "-3", -3),
        ("date", 0, "2024-02-29 00:00:00", "2024-02-29"),
        ("datetime", 0, "2024-02-29 01:02:03.000000", "2024-02-29 01:02:03"),
        ("datetime", 1, "2024-02-29 01:02:03.500000", "2024-02-29 01:02:03.5"),
        ("datetime", 1, "2024-02-29 01:02:03.550000", "2024-02-29 01:02:03.550000"),
    ],
)
def test_a_value_of_the_wider_type_is_the_key_it_was(
    column_type: str, fsp: int, text: str, value: object
) -> None:
    column = KeyColumn("k", column_type, column_type, 0, fsp=fsp)
    assert column.from_text(text) == value


@pytest.mark.parametrize("name", KEYS)
def test_only_the_row_that_differs_is_called_different(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    start = Checksum.start

    def spoil_and_start(checksum: Checksum) -> None:
        schema.execute("UPDATE _t_new SET v = 'spoiled' WHERE n = 1")
        start(checksum)

    monkeypatch.setattr(Checksum, "start", spoil_and_start)
    type_sql, values, new_type = KEYS[name]
    schema.execute(
        f"CREATE TABLE t (k {type_sql} NOT NULL PRIMARY KEY, v VARCHAR(9) NOT NULL DEFAULT 'good',"
        " n INT NOT NULL AUTO_INCREMENT UNIQUE)"
    )
    schema.execute(f"INSERT INTO t (k) VALUES {values}")
    statement = f"ALTER TABLE t MODIFY k {new_type} NOT NULL"
    outcome, recorder = migrate(schema, statement, Options(attempt_direct=False))
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert recorder.event("difference_repaired").data["rows"] == 1
    assert schema.execute("SELECT COUNT(*) FROM t WHERE v <> 'good'") == [(0,)]
