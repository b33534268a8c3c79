"""Histograms of columns outlive a copy, as they outlive the server's own ALTER TABLE."""

from __future__ import annotations

import pytest

from migrations_app.engine import Options, OutcomeKind, Phase
from tests.conftest import Schema
from tests.engine.support import RunInThread, make_numbers, migrate

pytestmark = pytest.mark.engine

COPIED = Options(attempt_direct=False)
COLUMNS = "v INT NOT NULL, w VARCHAR(20) NOT NULL DEFAULT 'x', `ü b` INT, gone INT"


def histograms(schema: Schema, table: str) -> dict[str, tuple[str, str]]:
    """Column → the buckets that were asked for, and whether it is kept up to date by itself."""
    rows = schema.execute(
        "SELECT COLUMN_NAME, HISTOGRAM->>'$.\"number-of-buckets-specified\"', "
        "COALESCE(HISTOGRAM->>'$.\"auto-update\"', 'false') "
        "FROM information_schema.COLUMN_STATISTICS "
        f"WHERE SCHEMA_NAME = '{schema.name}' AND TABLE_NAME = '{table}'"
    )
    return {name: (buckets, automatic) for name, buckets, automatic in rows}


def ask_for(schema: Schema, table: str, columns: str, buckets: int, suffix: str = "") -> None:
    schema.execute(
        f"ANALYZE TABLE {table} UPDATE HISTOGRAM ON {columns} WITH {buckets} BUCKETS {suffix}"
    )


def test_those_that_the_server_keeps_are_kept(schema: Schema) -> None:
    change = "ADD COLUMN more INT, DROP COLUMN gone"
    for table in ("t", "native"):
        make_numbers(schema, table, 1_000, COLUMNS)
        ask_for(schema, table, "v, gone", 7)
        ask_for(schema, table, "w, `ü b`", 33)
    schema.execute(f"ALTER TABLE native {change}, ALGORITHM=COPY")
    kept = histograms(schema, "native")
    assert kept == {"v": ("7", "false"), "w": ("33", "false"), "ü b": ("33", "false")}
    outcome, recorder = migrate(schema, f"ALTER TABLE t {change}", COPIED)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert histograms(schema, "t") == kept
    assert recorder.event("histograms_built").data["columns"] == ["v", "w", "ü b"]
    assert recorder.kinds().count("histograms_built") == 1
    assert "histograms_lost" not in recorder.kinds()


def test_those_of_renamed_and_widened_columns_are_built_from_the_new_rows(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000, COLUMNS)
    ask_for(schema, "t", "v, w", 5)
    change = "ALTER TABLE t CHANGE v u BIGINT NOT NULL, MODIFY w VARCHAR(300) NOT NULL"
    outcome, _ = migrate(schema, change, COPIED)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert histograms(schema, "t") == {"u": ("5", "false"), "w": ("5", "false")}


@pytest.mark.mysql_since(8, 4, 0)
def test_one_that_is_kept_up_to_date_stays_so(schema: Schema) -> None:
    make_numbers(schema, "t", 100, COLUMNS)
    ask_for(schema, "t", "v", 5, "AUTO UPDATE")
    migrate(schema, "ALTER TABLE t ADD COLUMN more INT", COPIED)
    assert histograms(schema, "t") == {"v": ("5", "true")}


def test_one_that_was_made_while_the_swap_was_waited_for(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000, COLUMNS)
    options = Options(attempt_direct=False, defer_cutover=True)
    with RunInThread(schema, "ALTER TABLE t ADD COLUMN more INT", options) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        ask_for(schema, "t", "v", 9)
        run.migration.allow_cut_over()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert histograms(schema, "t") == {"v": ("9", "false")}


def test_one_that_the_server_does_not_build_is_named_with_the_statement(schema: Schema) -> None:
    make_numbers(schema, "t", 100, COLUMNS)
    ask_for(schema, "t", "v, w", 5)
    outcome, recorder = migrate(schema, "ALTER TABLE t ADD UNIQUE KEY (v)", COPIED)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert histograms(schema, "t") == {"w": ("5", "false")}
    lost = recorder.event("histograms_lost")
    assert recorder.kinds().count("histograms_lost") == 1
    assert "unique index" in lost.message
    (statement,) = lost.data["statements"]
    assert statement.endswith("`t` UPDATE HISTOGRAM ON `v` WITH 5 BUCKETS")
    assert recorder.event("histograms_built").data["columns"] == ["w"]


def test_a_table_without_any_is_told_nothing(schema: Schema) -> None:
    make_numbers(schema, "t", 100, COLUMNS)
    _, recorder = migrate(schema, "ALTER TABLE t ADD COLUMN more INT", COPIED)
    assert not [kind for kind in recorder.kinds() if kind.startswith("histograms")]
