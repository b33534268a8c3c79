"""The server, or a connection to it, goes away during a run: nothing is lost or done twice."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import MySQLdb
import pytest
from MySQLdb.constants import ER

from migrations_app.engine import Options, OutcomeKind, Phase, reconnect
from migrations_app.engine.copyrun import CopyRun
from migrations_app.engine.dsn import Dsn
from playground.server import PrivateServer
from tests.conftest import Schema, fresh_schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import (
    ELSEWHERE,
    RunInThread,
    make_numbers,
    migrate,
    tables_of,
    wait_until,
)

ROWS = 20_000
WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"
UNAIDED = Options(repair_differences=False, threads=1, skip_drop=True)


class EncryptedSchema(Schema):
    """A schema whose server is not known to be on this machine."""

    @property
    def dsn(self) -> Dsn:
        return dataclasses.replace(super().dsn, host=ELSEWHERE)


@pytest.fixture(params=["gtid", "file_position", "encrypted"])
def own_schema(request: pytest.FixtureRequest) -> Iterator[Schema]:
    """A schema on a server of its own, which may be killed."""
    with (
        PrivateServer(gtid=request.param != "file_position") as server,
        fresh_schema(server) as schema,
    ):
        make_numbers(schema, "t", ROWS)
        yield EncryptedSchema(server, schema.name) if request.param == "encrypted" else schema


def lock_session(schema: Schema) -> int:
    """The connection that holds the run's user-level lock."""
    [(session_id,)] = schema.execute(
        "SELECT PROCESSLIST_ID FROM performance_schema.metadata_locks l "
        "JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID "
        "WHERE l.OBJECT_TYPE = 'USER LEVEL LOCK' AND l.OBJECT_NAME LIKE 'spirit:%'"
    )
    return int(session_id)


def end_run(schema: Schema, run: RunInThread) -> None:
    """The run ends well, and every row, whenever it was changed, is right."""
    outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "fresh_start" not in run.recorder.kinds()
    old, new = (schema.execute(f"SELECT * FROM {name} ORDER BY id") for name in ("_t_old", "t"))
    assert new == old


@pytest.mark.parametrize("crash", [True, False], ids=["killed", "restarted"])
def test_a_server_that_comes_back_is_gone_on_with(
    own_schema: Schema, monkeypatch: pytest.MonkeyPatch, crash: bool
) -> None:
    schema = own_schema
    gate = ChunkGate(monkeypatch, chunks=3)
    with RunInThread(schema, WIDEN, UNAIDED) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        wait_until(lambda: run.recorder.checkpoints, "the first checkpoint")
        schema.execute("UPDATE t SET v = -v WHERE id % 3 = 0")
        schema.execute("UPDATE t SET id = id + 100000 WHERE id % 100 = 1")
        if crash:
            schema.server.kill()
        else:
            schema.server.stop()
        run.wait_for_event("server_lost")
        copied = max(reading.rows_copied for reading in run.recorder.readings)
        schema.server.start()
        schema.execute("DELETE FROM t WHERE id % 10 = 7")
        gate.open()
        assert run.wait_for_event("resumed").data["rows_copied"] == copied > 0
        end_run(schema, run)


def test_a_killed_connection_is_replaced(
    own_schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every connection of the run is killed: the lock's, the copiers', the stream's."""
    schema = own_schema
    gate = ChunkGate(monkeypatch, chunks=3)
    with RunInThread(schema, WIDEN, UNAIDED) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        wait_until(lambda: run.recorder.checkpoints, "the first checkpoint")
        schema.execute("UPDATE t SET v = -v WHERE id % 3 = 0")
        for (session_id,) in schema.execute(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() "
            "AND COMMAND NOT IN ('Daemon')"
        ):
            try:
                schema.execute(f"KILL {session_id}")
            except MySQLdb.OperationalError as error:
                # It was one for a moment only, and has gone by itself.
                if error.args[0] != ER.NO_SUCH_THREAD:
                    raise
        run.wait_for_event("server_lost")
        gate.open()
        end_run(schema, run)


def test_a_server_that_stays_away_ends_the_run_as_transient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with PrivateServer() as server, fresh_schema(server) as schema:
        make_numbers(schema, "t", ROWS)
        gate = ChunkGate(monkeypatch, chunks=3)
        options = Options(repair_differences=False, threads=1, skip_drop=True, reconnect_secs=1)
        with RunInThread(schema, WIDEN, options) as run:
            run.wait_for_phase(Phase.COPY_ROWS)
            assert gate.held.wait(30)
            wait_until(lambda: run.recorder.checkpoints, "the first checkpoint")
            server.kill()
            outcome = run.outcome()
        assert (outcome.kind, outcome.exit_code) == (OutcomeKind.TRANSIENT, 5)
        monkeypatch.undo()
        server.start()
        with RunInThread(schema, WIDEN, options) as run:
            end_run(schema, run)
        assert "resumed" in run.recorder.kinds()


def test_a_run_that_another_has_replaced_ends(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock's connection is killed, and somebody takes the lock before the run has it again."""
    make_numbers(schema, "t", ROWS)
    gate = ChunkGate(monkeypatch, chunks=3)
    with RunInThread(schema, WIDEN, UNAIDED) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        wait_until(lambda: run.recorder.checkpoints, "the first checkpoint")
        [(name,)] = schema.execute(
            "SELECT OBJECT_NAME FROM performance_schema.metadata_locks "
            "WHERE OBJECT_TYPE = 'USER LEVEL LOCK' AND OBJECT_NAME LIKE 'spirit:%'"
        )
        other, holder = schema.server._connect(), lock_session(schema)
        other_id = other.thread_id()
        # It waits for the lock already, so that it is the first to get it.
        taking = threading.Thread(target=other.query, args=(f"SELECT GET_LOCK('{name}', 600)",))
        taking.start()
        waiting = (
            "SELECT 1 FROM performance_schema.metadata_locks "
            "WHERE OBJECT_NAME = %s AND LOCK_STATUS = 'PENDING'"
        )
        try:
            wait_until(lambda: schema.execute(waiting, name), "another that waits for the lock")
            schema.execute(f"KILL {holder}")
            taking.join()
            assert other.store_result().fetch_row() == ((1,),)
            outcome = run.outcome()
        finally:
            schema.execute(f"KILL QUERY {other_id}")
            taking.join()
            other.close()
    assert outcome.kind is OutcomeKind.TRANSIENT, outcome.message
    assert "another run had taken the table over" in outcome.message
    assert "fresh_start" not in run.recorder.kinds()


def test_a_run_that_wakes_when_another_has_made_its_change_does_not_make_it_again(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", ROWS)
    gate = ChunkGate(monkeypatch, chunks=3)
    statement = f"{WIDEN}, ADD COLUMN w INT"
    asleep, wake = threading.Event(), threading.Event()
    wait_for_server = reconnect.wait_for_server

    def sleepy(*arguments: Any) -> bool:
        asleep.set()
        assert wake.wait(60)
        return wait_for_server(*arguments)

    monkeypatch.setattr(reconnect, "wait_for_server", sleepy)
    options = Options(threads=1, run_token="request-8")
    with RunInThread(schema, statement, options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        wait_until(lambda: run.recorder.checkpoints, "the first checkpoint")
        schema.execute(f"KILL {lock_session(schema)}")
        assert asleep.wait(30)
        gate.open()
        outcome, _ = migrate(schema, statement, options)
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
        wake.set()
        assert run.outcome().kind is OutcomeKind.TRANSIENT, run.outcome().message
    assert "nothing of it is left" in run.outcome().message
    assert tables_of(schema) == {"t"}


def test_a_later_run_of_the_same_owner_ends_an_earlier_one_that_hangs(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that vanished leaves its connections, and so its lock, on the server."""
    make_numbers(schema, "t", ROWS)
    gate = ChunkGate(monkeypatch, chunks=2)
    mine = Options(threads=1, run_token="request-7", reconnect_secs=0)
    with RunInThread(schema, WIDEN, mine) as vanished:
        vanished.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(30)
        wait_until(lambda: vanished.recorder.checkpoints, "the first checkpoint")
        monkeypatch.undo()
        with RunInThread(schema, WIDEN, mine) as successor:
            outcome = successor.outcome()
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
        assert {"session_killed", "resumed"} <= set(successor.recorder.kinds())
        # Whether it saw its lost lock or its successor's rename first.
        assert vanished.outcome().kind is OutcomeKind.TRANSIENT
    assert schema.execute("SELECT COUNT(*) FROM t") == [(ROWS,)]


def test_a_server_lost_right_after_the_swap_leaves_words_and_the_next_run_tidies_up(
    own_schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = own_schema
    close = CopyRun.close

    def losing(copy: CopyRun) -> None:
        close(copy)
        schema.server.kill()

    monkeypatch.setattr(CopyRun, "close", losing)
    outcome, _ = migrate(schema, WIDEN, UNAIDED)
    monkeypatch.undo()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "could not be dropped and is still there" in outcome.message
    schema.server.start()
    assert "_t_chkpnt" in tables_of(schema)
    outcome, recorder = migrate(schema, WIDEN, Options())
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "started" not in recorder.kinds()
    assert tables_of(schema) == {"t"}
