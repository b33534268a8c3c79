"""A million rows copied while an application writes 500 times a second: not one may differ."""

from __future__ import annotations

import pytest

from migrations_app.engine import Migration, Options, OutcomeKind, Phase
from playground.comparison import compare
from playground.shop import create_shop
from playground.writer import LiveWriter
from tests.conftest import Schema
from tests.engine.support import Recorder, RunInThread, wait_until

STATEMENT = (
    "ALTER TABLE orders ADD COLUMN channel VARCHAR(20) NOT NULL DEFAULT 'web', "
    "ADD KEY channel (channel), FORCE"
)
ORDERS = 1_000_000
RATE = 500


@pytest.mark.timeout(900)
def test_a_million_rows_under_500_writes_a_second_end_without_a_difference(schema: Schema) -> None:
    """Inserts, updates, key changes, deletes and reinserts; stopped once and resumed on the way,
    with the checksum's repair off."""
    create_shop(schema.dsn, orders=ORDERS)
    options = Options(repair_differences=False, skip_drop=True)
    with LiveWriter(schema.dsn, rate=RATE, seed=7) as writer:
        with RunInThread(schema, STATEMENT, options) as run:
            wait_until(
                lambda: any(r.rows_copied > ORDERS / 4 for r in run.recorder.readings),
                "a quarter of the rows",
                400,
            )
            run.stop.set()
            stopped = run.outcome()
        assert stopped.kind is OutcomeKind.STOPPED, stopped.message
        recorder = Recorder()
        outcome = Migration(schema.dsn, STATEMENT, options, recorder).run()
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
        assert recorder.event("resumed").data["rows_copied"] > ORDERS / 4
        after_swap = writer.changes
        wait_until(lambda: writer.changes > after_swap + RATE, "writes after the swap")
    # A step that is not over is never shown as whole, however wrong the estimate.
    steps = (Phase.COPY_ROWS, Phase.CHECKSUM)
    seen = [r for r in recorder.readings if r.phase in steps]
    assert seen
    assert max(r.fraction for r in seen) < 1
    report = writer.report()
    assert report.surprises == []
    assert len(report.by_kind) >= 5, "every kind of change"
    result = compare(schema.dsn, writer.table, writer.ledger, baseline="_orders_old")
    assert result.differences == []


def test_writes_to_a_server_without_gtids_end_without_a_difference(
    schema_file_position: Schema,
) -> None:
    schema, rate = schema_file_position, 300
    create_shop(schema.dsn, orders=60_000)
    options = Options(repair_differences=False, skip_drop=True, threads=4)
    with LiveWriter(schema.dsn, rate=rate, seed=3) as writer:
        outcome = Migration(schema.dsn, STATEMENT, options, Recorder()).run()
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
        after_swap = writer.changes
        wait_until(lambda: writer.changes > after_swap + rate, "writes after the swap")
    assert writer.report().surprises == []
    result = compare(schema.dsn, writer.table, writer.ledger, baseline="_orders_old")
    assert result.differences == []
