"""CHECK constraints, whose names a schema has once, through a copy."""

from __future__ import annotations

import pytest

from migrations_app.engine import Options, OutcomeKind
from tests.conftest import Schema
from tests.engine.support import make_numbers, migrate

COPIED = Options(attempt_direct=False, repair_differences=False)


def names_of(schema: Schema) -> set[str]:
    return {
        row[0]
        for row in schema.execute(
            "SELECT CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS "
            "WHERE TABLE_SCHEMA = %s AND TABLE_NAME = 't' AND CONSTRAINT_TYPE = 'CHECK'",
            schema.name,
        )
    }


@pytest.mark.parametrize(
    ("clauses", "left"),
    [
        ("DROP CHECK positive, MODIFY v BIGINT NOT NULL", {"t_chk_1", "t_chk_2"}),
        ("DROP CONSTRAINT `POSITIVE`, FORCE", {"t_chk_1", "t_chk_2"}),
        ("ALTER CHECK t_chk_1 NOT ENFORCED, FORCE", {"t_chk_1", "t_chk_2", "t_chk_3"}),
        ("ADD CONSTRAINT small CHECK (v < 1000000), FORCE",
         {"t_chk_1", "t_chk_2", "t_chk_3", "small"}),
    ],
)  # fmt: skip
def test_a_constraint_is_dropped_altered_and_added_by_its_name(
    schema: Schema, clauses: str, left: set[str]
) -> None:
    make_numbers(
        schema, "t", 1_000,
        "v INT NOT NULL, CHECK (v > 0), CONSTRAINT positive CHECK (v > -1), CHECK (v > -2)",
    )  # fmt: skip
    outcome, recorder = migrate(schema, f"ALTER TABLE t {clauses}", COPIED)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert len(names_of(schema)) == len(left)
    if "DROP" not in clauses:
        assert "positive →" in recorder.event("constraints_renamed").message


def test_rows_that_break_a_new_constraint_end_the_run(schema: Schema) -> None:
    make_numbers(schema, "t", 2_000)
    outcome, _ = migrate(schema, "ALTER TABLE t ADD CONSTRAINT c CHECK (v <> 1700), FORCE", COPIED)
    assert outcome.kind is OutcomeKind.FAILED
    assert "c" in outcome.message
    assert schema.execute("SELECT COUNT(*) FROM t") == [(2_000,)]


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("ALTER TABLE t ENGINE=MyISAM", "Only InnoDB tables"),
        ("ALTER TABLE p DROP PARTITION a", "drops rows"),
    ],
)
def test_what_a_copy_would_not_do_as_the_server_does_is_refused(
    schema: Schema, statement: str, words: str
) -> None:
    make_numbers(schema, "t", 10)
    schema.execute(
        "CREATE TABLE p (id INT PRIMARY KEY) PARTITION BY RANGE (id) "
        "(PARTITION a VALUES LESS THAN (9), PARTITION b VALUES LESS THAN MAXVALUE)"
    )
    before = schema.execute("SHOW TABLES")
    outcome, _ = migrate(schema, statement)
    assert outcome.kind is OutcomeKind.REFUSED, outcome.message
    assert words in outcome.message
    assert schema.execute("SHOW TABLES") == before
