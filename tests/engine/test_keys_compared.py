"""A key whose type or character set changes still tells which row is which, in both tables."""

from __future__ import annotations

import pytest

from migrations_app.engine import Options, OutcomeKind
from migrations_app.engine.checksum import Checksum
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
