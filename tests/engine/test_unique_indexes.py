"""A new unique index, of whatever it consists: rows that cannot both be in it end the run, whenever
they come; rows that can are copied."""

from __future__ import annotations

import pytest

from migrations_app.engine import Options, OutcomeKind, Phase
from tests.conftest import Schema
from tests.engine.stepping import ApplierGate, ChunkGate
from tests.engine.support import RunInThread, make_numbers, migrate, rows_of, wait_until

ROWS = 2_000
# clauses; a change that makes two of the rows the same in the index
INDEXES = {
    "plain": ("ADD UNIQUE u (name)", "UPDATE t SET name = 'Name00001' WHERE id = 2"),
    "functional": ("ADD UNIQUE u ((LOWER(name)))", "UPDATE t SET name = 'name00001' WHERE id = 2"),
    "prefix": ("ADD UNIQUE u (name(9))", "UPDATE t SET name = 'Name00001x' WHERE id = 2"),
    "generated": (
        "ADD g VARCHAR(50) AS (LOWER(name)) STORED, ADD UNIQUE u (g)",
        "UPDATE t SET name = 'name00001' WHERE id = 2",
    ),
    "expression": (
        "MODIFY g0 VARCHAR(50) COLLATE utf8mb4_bin AS (LEFT(name, 9)) STORED",
        "UPDATE t SET name = 'Name00001-' WHERE id = 2",
    ),
    "coarser": (
        "MODIFY name VARCHAR(50) COLLATE utf8mb4_0900_ai_ci NOT NULL, ADD UNIQUE u (name)",
        "UPDATE t SET name = 'NAME00001' WHERE id = 2",
    ),
    "two at once": (
        "ADD UNIQUE u (name)", "INSERT INTO t (id, name) VALUES (9001, 'd'), (9002, 'd')",
    ),
}  # fmt: skip


@pytest.fixture
def named(schema: Schema) -> Schema:
    """Rows with a name each, which a generated column with a unique key repeats."""
    schema.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(50) COLLATE utf8mb4_bin NOT NULL, "
        "g0 VARCHAR(50) COLLATE utf8mb4_bin AS (CONCAT(name, id)) STORED, UNIQUE KEY (g0))"
    )
    make_numbers(schema, "n", ROWS)
    schema.execute("INSERT INTO t (id, name) SELECT id, CONCAT('Name', LPAD(id, 5, '0')) FROM n")
    return schema


def statement_for(kind: str) -> str:
    return f"ALTER TABLE t {INDEXES[kind][0]}, FORCE"


@pytest.mark.parametrize("repair", [True, False])
@pytest.mark.parametrize("kind", INDEXES)
def test_rows_that_cannot_both_be_in_it_end_the_run(named: Schema, kind: str, repair: bool) -> None:
    named.execute(INDEXES[kind][1])
    before = rows_of(named, "t")
    outcome, _ = migrate(named, statement_for(kind), Options(repair_differences=repair))
    assert outcome.kind is OutcomeKind.FAILED, outcome.message
    assert "cannot hold the data" in outcome.message
    assert rows_of(named, "t") == before


@pytest.mark.parametrize("kind", INDEXES)
def test_such_rows_end_it_after_the_checksum_too(named: Schema, kind: str) -> None:
    with RunInThread(named, statement_for(kind), Options(defer_cutover=True)) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        named.execute(INDEXES[kind][1])
        before = rows_of(named, "t")
        wait_until(
            lambda: run._ended or run.recorder.readings[-1].deltas_waiting, "the change to come"
        )
        run.migration.allow_cut_over()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.FAILED, outcome.message
    assert rows_of(named, "t") == before


@pytest.mark.parametrize(
    "clauses",
    [
        "ADD b INT NULL, ADD UNIQUE u (name, b)",
        "ADD b INT NOT NULL AUTO_INCREMENT, ADD UNIQUE u (name, b), ADD KEY (b)",
        "ADD b VARCHAR(60) AS (CONCAT(name, id)) STORED, ADD UNIQUE u (b)",
    ],
)
def test_rows_that_fit_are_copied_and_followed(
    named: Schema, monkeypatch: pytest.MonkeyPatch, clauses: str
) -> None:
    named.execute("ALTER TABLE t DROP COLUMN g0")
    gate = ChunkGate(monkeypatch, chunks=1)
    options = Options(repair_differences=False, threads=1)
    with RunInThread(named, f"ALTER TABLE t {clauses}, FORCE", options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(20)
        named.execute("UPDATE t SET name = 'same' WHERE id <= 20")
        gate.open()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert named.execute("SELECT COUNT(*), SUM(name = 'same') FROM t") == [(ROWS, 20)]


def test_a_value_that_wanders_is_no_duplicate(
    named: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 9 gives its name to row 1500, which is copied while row 9's delta still waits."""
    named.execute("ALTER TABLE t DROP COLUMN g0")
    gate, applier = ChunkGate(monkeypatch, chunks=1), ApplierGate(monkeypatch)
    options = Options(repair_differences=False, threads=1)
    with RunInThread(named, "ALTER TABLE t ADD UNIQUE u (name), FORCE", options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(20)
        named.execute("UPDATE t SET name = IF(id = 9, 'gone', 'Name00009') WHERE id IN (9, 1500)")
        gate.open()
        run.wait_for_phase(Phase.APPLY_CHANGESET)
        applier.open()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert named.execute("SELECT name FROM t WHERE id IN (9, 1500) ORDER BY id") == [
        ("gone",),
        ("Name00009",),
    ]
