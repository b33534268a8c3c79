"""Keys and unique columns whose collation changes: rows are still found in the other table."""

from __future__ import annotations

import pytest

from migrations_app.engine import Options, OutcomeKind, Phase
from tests.conftest import Schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import RunInThread, make_numbers

ROWS = 2_500
OPTIONS = Options(repair_differences=False, threads=1, skip_drop=True, attempt_direct=False)
# before; after
TYPES = {
    "another collation": ("VARCHAR(20)", "VARCHAR(20) COLLATE utf8mb4_general_ci"),
    "another character set": ("VARCHAR(20) CHARACTER SET latin1", "VARCHAR(20)"),
    "padded, other set": ("CHAR(20) CHARACTER SET latin1", "VARCHAR(30)"),
}


@pytest.fixture(params=TYPES)
def types(request: pytest.FixtureRequest) -> tuple[str, str]:
    return TYPES[request.param]


def make_table(schema: Schema, type_sql: str) -> None:
    make_numbers(schema, "n", ROWS)
    schema.execute(
        f"CREATE TABLE t (k {type_sql} NOT NULL PRIMARY KEY, u {type_sql} NOT NULL UNIQUE, v INT)"
    )
    schema.execute("INSERT INTO t SELECT CONCAT('é', id), CONCAT('Ü', id), id FROM n")


def test_rows_that_a_chunk_finds_copied_already(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, types: tuple[str, str]
) -> None:
    """As after a kill: copied behind the checkpoint, and another row holds a unique value."""
    make_table(schema, types[0])
    gate = ChunkGate(monkeypatch, chunks=1)
    statement = f"ALTER TABLE t MODIFY k {types[1]} NOT NULL, MODIFY u {types[1]} NOT NULL"
    with RunInThread(schema, statement, OPTIONS) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(20)
        schema.execute("INSERT IGNORE INTO _t_new SELECT * FROM t")
        gate.open()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT COUNT(*) FROM t") == [(ROWS,)]


def test_changes_of_a_row_with_a_unique_value(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, types: tuple[str, str]
) -> None:
    """The value goes from one row to another while the table is copied."""
    make_table(schema, types[0])
    gate = ChunkGate(monkeypatch, chunks=1)
    statement = f"ALTER TABLE t MODIFY k {types[1]} NOT NULL, MODIFY u {types[1]} NOT NULL"
    with RunInThread(schema, statement, OPTIONS) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(20)
        schema.execute("UPDATE t SET u = CONCAT('ß', v) WHERE v IN (1, 2000)")
        schema.execute("UPDATE t SET u = 'Ü1' WHERE v = 2000")
        schema.execute("UPDATE t SET k = 'é1 moved' WHERE v = 1")
        gate.open()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT u FROM t WHERE v IN (1, 2000) ORDER BY v") == [("ß1",), ("Ü1",)]
    assert schema.execute("SELECT COUNT(*) FROM t JOIN _t_old USING (v)") == [(ROWS,)]


def test_a_real_duplicate_under_the_new_collation_is_named(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_table(schema, "VARCHAR(20) COLLATE utf8mb4_0900_as_cs")
    gate = ChunkGate(monkeypatch, chunks=1)
    statement = "ALTER TABLE t MODIFY u VARCHAR(20) COLLATE utf8mb4_general_ci NOT NULL"
    with RunInThread(schema, statement, OPTIONS) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(20)
        schema.execute("UPDATE t SET u = 'ü1' WHERE v = 2")
        gate.open()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.FAILED
    assert "would be the same in it" in outcome.message
