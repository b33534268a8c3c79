"""Neither the server's time zone nor its sql_mode, nor a column's ON UPDATE, changes a value."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from migrations_app.engine import Options, OutcomeKind, Phase
from playground.server import PrivateServer
from tests.conftest import TEST_SERVER_OPTIONS, Schema, fresh_schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import RunInThread, make_numbers

ROWS = 3_000
STATEMENT = "ALTER TABLE t MODIFY v BIGINT NOT NULL"
ODD_MODE = "ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,PAD_CHAR_TO_FULL_LENGTH,NO_ZERO_DATE"


@pytest.fixture
def odd_schema() -> Iterator[Schema]:
    """A schema of a server with settings that change what texts and times mean."""
    options: dict[str, str | int | None] = {
        **TEST_SERVER_OPTIONS,
        "default-time-zone": "+05:30",
        "sql-mode": ODD_MODE,
    }
    with PrivateServer(options=options) as server, fresh_schema(server) as schema:
        yield schema


def test_values_pass_through_unchanged(odd_schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = odd_schema
    make_numbers(
        schema, "t", ROWS,
        "v INT NOT NULL, at TIMESTAMP NOT NULL DEFAULT '2020-03-29 01:02:03', "
        "touched TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) "
        "ON UPDATE CURRENT_TIMESTAMP(6), "
        "d DATETIME NOT NULL DEFAULT '2020-03-29 02:30:00', c CHAR(9) NOT NULL DEFAULT 'a\\', "
        "s VARCHAR(30) NOT NULL DEFAULT 'x ''y'' \"z\"', "
        "g VARCHAR(99) AS (CONCAT(s, 'é')) STORED, KEY (touched)",
    )  # fmt: skip
    gate = ChunkGate(monkeypatch, chunks=1)
    options = Options(repair_differences=False, threads=1, skip_drop=True)
    with RunInThread(schema, STATEMENT, options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(20)
        # Some of them set the time themselves, for the others the server does, now.
        schema.execute("UPDATE t SET s = 'new' WHERE id % 3 = 0")
        schema.execute("UPDATE t SET touched = '2001-02-03 04:05:06.789' WHERE id % 3 = 1")
        schema.execute("UPDATE t SET at = '2021-11-07 01:30:00', c = '' WHERE id % 7 = 0")
        gate.open()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    columns = ", ".join(f"HEX({name})" for name in ("at", "touched", "d", "c", "s", "g"))
    new, old = (
        schema.execute(f"SELECT id, v, {columns} FROM {name} ORDER BY id")
        for name in ("t", "_t_old")
    )
    assert new == old
    assert len(new) == ROWS
