"""Rules 2, 5 and 6, which say which changed keys count and from where the log is read again: in the
buffer by itself, and in whole runs, each with the rule and without."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from migrations_app.engine import Options, Outcome, OutcomeKind, Phase
from migrations_app.engine.binlog import Position
from migrations_app.engine.binlog import rows as row_events
from migrations_app.engine.binlog.rows import KeyRun
from migrations_app.engine.deltas import DeltaBuffer
from tests.conftest import Schema
from tests.engine.stepping import ApplierGate, ChunkGate, DeltaWatch
from tests.engine.support import RunInThread, make_numbers, migrate, wait_until
from tests.engine.test_rules import open_connection, wait_for_lock_wait

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"
UNAIDED = Options(repair_differences=False, threads=1)


def delete_what_is_copied_ahead(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, *, with_rule: bool
) -> Outcome:
    """Rule 2: stopped when the second chunk is copied and the first is not. A row of the second
    is deleted then, and its delta comes while the copy begins at the first again."""
    make_numbers(schema, "t", 2_000)
    gate = ChunkGate(monkeypatch)
    options = Options(repair_differences=False, threads=2)
    with open_connection(schema) as blocker, RunInThread(schema, WIDEN, options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        blocker.query("INSERT INTO _t_new (id, v) VALUES (100, 0)")
        gate.open()
        wait_for_lock_wait(schema)
        wait_until(
            lambda: any(reading.rows_copied == 1_000 for reading in run.recorder.readings),
            "the second chunk",
        )
        run.stop.set()
        assert run.outcome().kind is OutcomeKind.STOPPED
        blocker.rollback()
    monkeypatch.undo()
    schema.execute("DELETE FROM t WHERE id = 1500")
    if not with_rule:
        monkeypatch.setattr(DeltaBuffer, "set_keep_upto", lambda *_: None)
    gate, watch = ChunkGate(monkeypatch), DeltaWatch(monkeypatch)
    with RunInThread(schema, WIDEN, options) as run:
        run.wait_for_event("resumed")
        watch.wait_for_key(1500)
        gate.open()
        return run.outcome()


def test_rule_2_after_a_resume_a_key_that_is_copied_ahead_waits(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = delete_what_is_copied_ahead(schema, monkeypatch, with_rule=True)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT COUNT(*) FROM t") == [(1_999,)]


def test_without_rule_2_the_deleted_row_stays(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = delete_what_is_copied_ahead(schema, monkeypatch, with_rule=False)
    assert outcome.kind is OutcomeKind.FAILED
    assert "id=1500" in outcome.message


def stop_before_a_delta_is_applied(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, *, with_rule: bool
) -> Outcome:
    """Rule 5: a copied row changes, the applier has not come to it, and the run stops."""
    make_numbers(schema, "t", 3_000)
    gate, watch = ChunkGate(monkeypatch, chunks=1), DeltaWatch(monkeypatch)
    ApplierGate(monkeypatch)
    if not with_rule:
        monkeypatch.setattr(DeltaBuffer, "safe_position", property(lambda buffer: buffer._boundary))
    with RunInThread(schema, WIDEN, UNAIDED) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        schema.execute("UPDATE t SET v = -1 WHERE id = 10")
        schema.execute("UPDATE t SET v = -1 WHERE id = 2500")
        watch.wait_for_key(2500)
        wait_until(
            lambda: run.recorder.readings[-1].deltas_waiting, "a reading with the waiting delta"
        )
        run.stop.set()
        assert run.outcome().kind is OutcomeKind.STOPPED
    monkeypatch.undo()
    outcome, recorder = migrate(schema, WIDEN, UNAIDED)
    assert "resumed" in recorder.kinds()
    return outcome


def test_rule_5_the_saved_position_lies_before_what_is_not_applied(
    any_scheme: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = stop_before_a_delta_is_applied(any_scheme, monkeypatch, with_rule=True)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert any_scheme.execute("SELECT id FROM t WHERE v = -1") == [(10,), (2500,)]


def test_without_rule_5_that_change_is_lost(
    any_scheme: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = stop_before_a_delta_is_applied(any_scheme, monkeypatch, with_rule=False)
    assert outcome.kind is OutcomeKind.FAILED
    assert "id=10" in outcome.message


def change_keys_of_copied_rows(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, *, with_rule: bool
) -> Outcome:
    """Rule 6: copied rows move behind the copy, ahead of it, and to each other's place."""
    make_numbers(schema, "t", 3_000)
    gate, watch = ChunkGate(monkeypatch, chunks=2), DeltaWatch(monkeypatch)
    if not with_rule:

        def only_news(name: Any, _olds: Any, news: Any) -> Iterable[KeyRun]:
            return [KeyRun(name, news, False)]

        monkeypatch.setattr(row_events, "_updated", only_news)
    with RunInThread(schema, WIDEN, UNAIDED) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        schema.execute("UPDATE t SET id = -7 WHERE id = 7")
        schema.execute("UPDATE t SET id = 9000 WHERE id = 8")
        schema.execute("DELETE FROM t WHERE id = 30")
        schema.execute("UPDATE t SET id = 30 WHERE id = 31")
        watch.wait_for_key(30)
        gate.open()
        return run.outcome()


def test_rule_6_a_changed_key_is_a_delete_and_an_upsert(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = change_keys_of_copied_rows(schema, monkeypatch, with_rule=True)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    moved = "SELECT id, v FROM t WHERE id IN (-7, 7, 8, 30, 31, 9000) ORDER BY id"
    assert schema.execute(moved) == [(-7, 7), (30, 31), (9000, 8)]
    assert schema.execute("SELECT COUNT(*) FROM t") == [(2_999,)]


def test_without_rule_6_the_old_rows_stay(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = change_keys_of_copied_rows(schema, monkeypatch, with_rule=False)
    assert outcome.kind is OutcomeKind.FAILED
    assert "id=7" in outcome.message


class TestDeltaBuffer:
    """Rules 2, 3 and 5 in the buffer itself; positions are plain numbers here."""

    def make(self, **kwargs: Any) -> DeltaBuffer:
        return DeltaBuffer(Position("b.1", 0), comparable=True, ticket=lambda: 0, **kwargs)

    def test_rule_2_keys_at_or_above_the_high_watermark_are_dropped(self) -> None:
        buffer = self.make()
        buffer.raise_high((10,))
        buffer.add([(9,), (10,), (11,)], deleted=False)
        assert buffer.waiting == 1

    def test_rule_2_after_a_resume_keys_the_shadow_table_holds_wait(self) -> None:
        buffer = self.make()
        buffer.set_keep_upto((20,))
        buffer.raise_high((10,))
        buffer.add([(9,), (20,), (21,)], deleted=True)
        assert buffer.waiting == 2

    def test_rule_3_only_keys_below_the_low_watermark_are_taken(self) -> None:
        buffer = self.make()
        buffer.raise_high((10,))
        buffer.raise_low((5,))
        buffer.add([(4,), (5,)], deleted=False)
        assert buffer.take().deltas == {(4,): False}

    def test_rule_5_the_position_stays_before_what_is_not_applied(self) -> None:
        buffer = self.make()
        buffer.raise_high((10,))
        buffer.raise_low((5,))
        buffer.add([(4,), (7,)], deleted=False)
        buffer.transaction_ended(Position("b.1", 100))
        batch = buffer.take()
        assert buffer.safe_position.offset == 0
        buffer.applied(batch.deltas)
        assert buffer.safe_position.offset == 0, "key 7 still waits"
        buffer.raise_low((8,))
        buffer.applied(buffer.take().deltas)
        assert buffer.safe_position.offset == 100

    def test_rule_5_a_generation_closed_within_a_transaction_begins_at_its_start(self) -> None:
        buffer = self.make()
        buffer.raise_high((10,))
        buffer.raise_low((10,))
        buffer.add([(1,)], deleted=False)
        buffer.transaction_ended(Position("b.1", 100))
        buffer.add([(2,)], deleted=False)
        buffer.applied(buffer.take().deltas)
        buffer.add([(3,)], deleted=False)
        buffer.transaction_ended(Position("b.1", 200))
        assert buffer.safe_position.offset == 100

    def test_a_key_touched_while_its_batch_is_applied_is_not_forgotten(self) -> None:
        buffer = self.make()
        buffer.raise_high((10,))
        buffer.raise_low((10,))
        buffer.add([(1,)], deleted=False)
        batch = buffer.take()
        buffer.add([(1,)], deleted=True)
        buffer.applied(batch.deltas)
        assert buffer.take().deltas == {(1,): True}
