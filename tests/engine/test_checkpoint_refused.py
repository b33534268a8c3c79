"""What keeps a checkpoint from being written ends the run in order, never as an exception."""

from __future__ import annotations

from migrations_app.engine import Migration, Options, OutcomeKind, Phase
from tests.conftest import Schema
from tests.engine.support import Recorder, make_numbers


class Spoiling(Recorder):
    """Takes the checkpoint table away when the swap begins: its intent cannot be written."""

    def __init__(self, schema: Schema) -> None:
        super().__init__()
        self._schema = schema

    def phase_changed(self, phase: Phase) -> None:
        super().phase_changed(phase)
        if phase is Phase.CUT_OVER:
            self._schema.execute("DROP TABLE _t_chkpnt")


def test_an_intent_that_cannot_be_written_is_an_outcome(schema: Schema) -> None:
    make_numbers(schema, "t", 100)
    recorder = Spoiling(schema)
    migration = Migration(
        schema.dsn, "ALTER TABLE t FORCE", Options(attempt_direct=False), recorder
    )
    outcome = migration.run()
    assert outcome.kind is OutcomeKind.FAILED
    assert "_t_chkpnt" in outcome.message
    assert recorder.phases[-1] is Phase.FAILED
    assert schema.execute("SELECT COUNT(*) FROM t") == [(100,)]
