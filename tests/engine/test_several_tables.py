"""One change of several tables: copied in one run, swapped in one rename, resumed together."""

from __future__ import annotations

import pytest

from migrations_app.engine import Method, Options, OutcomeKind, Phase, clean_up
from tests.conftest import Schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import RunInThread, make_numbers, migrate, tables_of

ROWS = 4_000
CHANGE = (
    "ALTER TABLE a MODIFY v BIGINT NOT NULL, ADD COLUMN w INT NOT NULL DEFAULT 1; "
    "ALTER TABLE b MODIFY v VARCHAR(20) NOT NULL; CREATE INDEX v ON c (v)"
)
UNAIDED = Options(repair_differences=False, threads=1)


@pytest.fixture
def tables(any_scheme: Schema) -> Schema:
    for table in "abc":
        make_numbers(any_scheme, table, ROWS)
        any_scheme.execute(f"CREATE TABLE native_{table} LIKE {table}")
    return any_scheme


def assert_like_native(schema: Schema) -> None:
    """Each table holds what a native ALTER makes of the rows that the old one holds."""
    for statement in CHANGE.split("; ")[:2]:
        table = statement.split()[2]
        schema.execute(f"INSERT INTO native_{table} SELECT * FROM _{table}_old")
        schema.execute(statement.replace(f"TABLE {table}", f"TABLE native_{table}"))
    schema.execute("INSERT INTO native_c SELECT * FROM _c_old")
    for table in "abc":
        rows = schema.execute(f"SELECT * FROM {table} ORDER BY id")
        assert rows == schema.execute(f"SELECT * FROM native_{table} ORDER BY id")
    assert schema.execute("SHOW INDEX FROM c WHERE Key_name = 'v'")


def test_all_are_swapped_in_one_rename(tables: Schema) -> None:
    outcome, recorder = migrate(tables, CHANGE, Options(repair_differences=False, skip_drop=True))
    assert (outcome.kind, outcome.method) == (OutcomeKind.COMPLETED, Method.COPY), outcome.message
    renames = [
        row[5]
        for row in tables.execute("SHOW BINLOG EVENTS IN %s", recorder.checkpoints[-1].binlog_name)
        if "RENAME TABLE" in str(row[5]) and f"`{tables.name}`" in str(row[5])
    ]
    assert len(renames) == 1
    assert_like_native(tables)
    assert recorder.readings[-1].rows_copied == 3 * ROWS


def test_a_stopped_change_goes_on_in_the_table_where_it_was(
    tables: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Three of a, its end, and one of b.
    gate = ChunkGate(monkeypatch, chunks=5)
    options = Options(repair_differences=False, threads=1, skip_drop=True)
    with RunInThread(tables, CHANGE, options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        tables.execute("UPDATE a SET v = -v WHERE id % 7 = 0")
        tables.execute("UPDATE b SET v = -v WHERE id % 7 = 0")
        tables.execute("DELETE FROM c WHERE id % 7 = 0")
        run.stop.set()
        assert run.outcome().kind is OutcomeKind.STOPPED
    monkeypatch.undo()
    saved = run.recorder.checkpoints[-1]
    assert ROWS < saved.rows_copied < 2 * ROWS
    for table in "abc":
        tables.execute(f"UPDATE {table} SET id = id + 100000 WHERE id % 5 = 1")
        tables.execute(f"DELETE FROM {table} WHERE id % 11 = 2")
    outcome, recorder = migrate(tables, CHANGE, options)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert recorder.event("resumed").data["rows_copied"] == saved.rows_copied
    assert_like_native(tables)


def test_one_that_cannot_take_its_shape_leaves_all_as_they_were(tables: Schema) -> None:
    narrow = "ALTER TABLE a FORCE; ALTER TABLE b MODIFY v TINYINT NOT NULL"
    outcome, _ = migrate(tables, narrow, UNAIDED)
    assert outcome.kind is OutcomeKind.FAILED
    assert "id=128" in outcome.message
    left = clean_up(tables.dsn, "ALTER TABLE a FORCE; ALTER TABLE b FORCE")
    assert set(left) == {"_a_new", "_b_new", "_a_chkpnt"}
    assert tables_of(tables) == {"a", "b", "c", "native_a", "native_b", "native_c"}


def test_a_run_on_one_of_the_tables_keeps_the_change_out(
    tables: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = ChunkGate(monkeypatch)
    with RunInThread(tables, "ALTER TABLE b FORCE", UNAIDED) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        outcome, _ = migrate(tables, CHANGE, UNAIDED)
        assert outcome.kind is OutcomeKind.REFUSED
        assert ".b " in outcome.message
        gate.open()
        assert run.outcome().kind is OutcomeKind.COMPLETED


def test_all_problems_of_all_tables_are_said_at_once(tables: Schema) -> None:
    tables.execute("CREATE TABLE keyless (x INT)")
    outcome, _ = migrate(tables, "ALTER TABLE keyless FORCE; ALTER TABLE nowhere FORCE")
    assert outcome.kind is OutcomeKind.REFUSED
    assert "no usable key" in outcome.message
    assert "nowhere" in outcome.message
