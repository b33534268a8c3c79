"""What is saved for a table, whether it can be resumed, and what the next run would do."""

from __future__ import annotations

import contextlib

import pytest

from migrations_app.engine import (
    Change,
    Options,
    OutcomeKind,
    RefusedError,
    TransientError,
    parse_change,
)
from migrations_app.engine.plan import plan
from migrations_app.engine.saved import NextKind, Saved, look_up
from migrations_app.engine.session import Session
from playground.server import PrivateServer
from tests.conftest import Schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import RunInThread, make_numbers, migrate, tables_of, wait_until

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"
OTHER = "ALTER TABLE t MODIFY v DECIMAL(20, 0) NOT NULL"


def parsed(schema: Schema, sql: str) -> Change:
    return parse_change(sql, schema.name)


def saved_for(schema: Schema, of: str = WIDEN, options: Options | None = None) -> Saved:
    """of: a statement, or a table's name."""
    return look_up(schema.dsn, parsed(schema, of) if " " in of else of, options)


def stop_midway(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has copied some chunks and was stopped."""
    make_numbers(schema, "t", 20_000)
    with monkeypatch.context() as patch:
        gate = ChunkGate(patch, chunks=3)
        with RunInThread(schema, WIDEN) as run:
            wait_until(gate.held.is_set, "three chunks to be copied")
            during = saved_for(schema)
            assert during.running_connection is not None
            run.stop.set()
            outcome = run.outcome()
        gate.open()
    assert outcome.kind is OutcomeKind.STOPPED


def test_nothing_is_saved_before_a_run_or_after_one(schema: Schema) -> None:
    make_numbers(schema, "t", 100)
    for _ in range(2):
        for of in (WIDEN, "t"):
            saved = saved_for(schema, of)
            assert (saved.nothing, saved.resumable) == (True, False)
            assert saved.next_run.kind is NextKind.BEGIN
            assert (saved.newest, saved.shadow, saved.old) == (None, None, None)
        assert migrate(schema, OTHER)[0].kind is OutcomeKind.COMPLETED


def test_a_stopped_run_can_be_resumed(any_scheme: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = any_scheme
    stop_midway(schema, monkeypatch)
    before = tables_of(schema)
    for of in (WIDEN, "t", "ALTER TABLE t /* the same */ MODIFY  v BIGINT NOT NULL"):
        saved = saved_for(schema, of)
        assert (saved.nothing, saved.resumable, saved.running_connection) == (False, True, None)
        assert saved.next_run.kind is NextKind.RESUME
        assert saved.newest is not None
        assert saved.next_run.rows_kept == saved.newest.rows_copied > 0
        assert saved.newest.statement == WIDEN
        assert saved.why_gone == ""
        assert saved.shadow is not None
        assert saved.shadow.name == "_t_new"
        assert saved.shadow.size_bytes > 0
        assert next(iter(saved.ages_secs)) == saved.newest.id
        assert 0 <= saved.ages_secs[saved.newest.id] < 60
    assert tables_of(schema) == before
    outcome, recorder = migrate(schema, WIDEN)
    assert outcome.kind is OutcomeKind.COMPLETED
    assert recorder.event("resumed").data["rows_copied"] == saved.next_run.rows_kept


def test_another_statement_cannot_go_on(schema: Schema, monkeypatch: pytest.MonkeyPatch) -> None:
    stop_midway(schema, monkeypatch)
    saved = saved_for(schema, OTHER)
    assert (saved.nothing, saved.resumable) == (False, False)
    assert saved.next_run.kind is NextKind.FRESH
    assert saved.next_run.rows_lost > 0
    assert "another statement" in saved.next_run.reason
    strict = saved_for(schema, OTHER, Options(strict=True))
    assert strict.next_run.kind is NextKind.REFUSE
    assert strict.next_run.rows_kept > 0
    schema.execute("CREATE TABLE _t_old (id INT)")
    assert saved_for(schema, OTHER).next_run.kind is NextKind.REFUSE
    assert saved_for(schema).next_run.kind is NextKind.RESUME


def test_a_checkpoint_without_its_shadow_table(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_midway(schema, monkeypatch)
    schema.execute("DROP TABLE _t_new")
    saved = saved_for(schema)
    assert (saved.nothing, saved.resumable, saved.shadow) == (False, False, None)
    assert "is gone" in saved.next_run.reason


def test_a_table_of_that_name_that_is_no_checkpoint_table(schema: Schema) -> None:
    make_numbers(schema, "t", 10)
    schema.execute("CREATE TABLE _t_chkpnt (id INT)")
    saved = saved_for(schema, "t")
    assert (saved.nothing, saved.resumable) == (False, False)
    assert "_t_chkpnt cannot be read" in saved.problem
    assert saved.next_run.kind is NextKind.FRESH


def test_odd_names_are_found(schema: Schema) -> None:
    schema.execute("CREATE TABLE `a-b é` (id INT PRIMARY KEY)")
    schema.execute("CREATE TABLE `_a-b é_new` (id INT PRIMARY KEY, v LONGTEXT)")
    schema.execute("INSERT INTO `_a-b é_new` VALUES (1, REPEAT('x', 3000000))")
    saved = look_up(schema.dsn, "a-b é")
    assert saved.shadow is not None
    if schema.server.version >= (8, 0, 28):  # older ones list the file by another name
        assert saved.shadow.size_bytes > 3_000_000
    assert "no checkpoint" in saved.next_run.reason


def test_a_table_that_is_not_there(schema: Schema) -> None:
    with pytest.raises(RefusedError, match="There is no table"):
        saved_for(schema, "nowhere")


def test_a_locked_checkpoint_table_is_asked_again_later(schema: Schema) -> None:
    make_numbers(schema, "t", 10)
    schema.execute("CREATE TABLE _t_chkpnt (id INT)")
    with contextlib.closing(Session(schema.dsn, "test", "")) as other:
        other.query("LOCK TABLES _t_chkpnt WRITE")
        with pytest.raises(TransientError, match="try again"):
            saved_for(schema, "t")
        with pytest.raises(TransientError, match="try again"):
            plan(schema.dsn, parsed(schema, WIDEN))
    assert tables_of(schema) == {"t", "_t_chkpnt"}


@pytest.mark.parametrize("gtid", [True, False])
def test_how_long_the_binary_log_lasts_and_when_it_is_gone(
    gtid: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"innodb-buffer-pool-size": "256M"}
    with PrivateServer(gtid=gtid, options=options) as server:
        server.execute("CREATE DATABASE d")
        schema = Schema(server, "d")
        stop_midway(schema, monkeypatch)
        schema.execute("SET GLOBAL binlog_expire_logs_seconds = 7200")
        in_use = saved_for(schema).expiry
        assert in_use.hours == 2
        assert "the one in use" in in_use.reason
        schema.execute("FLUSH BINARY LOGS")
        schema.execute("INSERT INTO t VALUES (0, 0)")
        closed = saved_for(schema).expiry
        assert closed.hours is not None
        assert 1.9 < closed.hours < 2
        schema.execute("SET GLOBAL binlog_expire_logs_seconds = 0")
        assert saved_for(schema).expiry.hours is None
        schema.execute("FLUSH BINARY LOGS")
        last = schema.execute("SHOW BINARY LOGS")[-1][0]
        schema.execute(f"PURGE BINARY LOGS TO '{last}'")
        gone = saved_for(schema)
        assert gone.why_gone
        assert (gone.resumable, gone.next_run.kind) == (False, NextKind.FRESH)
        assert gone.next_run.reason == gone.why_gone
        outcome, recorder = migrate(schema, WIDEN)
        assert outcome.kind is OutcomeKind.COMPLETED
        assert recorder.event("fresh_start").data["rows_lost"] == gone.next_run.rows_lost > 0
