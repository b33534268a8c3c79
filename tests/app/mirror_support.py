"""A stopped request with its mirrors, and what a look at it leaves."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.contrib.auth.models import User

from migrations_app import mirrors, snapshots
from migrations_app.engine import OutcomeKind, TransientError
from migrations_app.models import Checkpoint, Event, MigrationRequest, Run, State
from tests.app.support import make_request, make_target, put_in_state
from tests.conftest import Schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import RunInThread, make_numbers, wait_until

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


def stopped(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch, **fields: Any
) -> MigrationRequest:
    """A request whose run has copied some chunks and was stopped, with its mirrors."""
    make_numbers(schema, "t", 20_000)
    target = make_target(schema.dsn, name=schema.name)
    values = {"statement": WIDEN, "table_name": "t", **fields}
    request = make_request(target, requester, **values)
    MigrationRequest.objects.filter(pk=request.pk).update(snapshot=snapshots.take(request).stored())
    with monkeypatch.context() as patch:
        gate = ChunkGate(patch, chunks=3)
        with RunInThread(schema, WIDEN) as engine:
            wait_until(gate.held.is_set, "three chunks to be copied")
            engine.stop.set()
            assert engine.outcome().kind is OutcomeKind.STOPPED
        gate.open()
    run = add_run(request)
    for row in engine.recorder.checkpoints:
        Checkpoint.objects.create(
            request=request, run=run, engine_id=row.id, binlog_name=row.binlog_name,
            binlog_pos=row.binlog_pos, gtid_set=row.gtid_set, phase=row.phase,
            rows_copied=row.rows_copied, engine_version=row.engine_version,
            created_at=row.created_at,
        )  # fmt: skip
    put_in_state(request, State.STOPPED)
    return request


def add_run(request: MigrationRequest) -> Run:
    number = request.runs.count() + 1
    return Run.objects.create(
        request=request, number=number, lease_token=number, worker="w", pid=1, volume=3
    )


def looked_at(request: MigrationRequest) -> Checkpoint:
    """The newest mirror after a look."""
    request = MigrationRequest.objects.select_related("target").get(pk=request.pk)
    with contextlib.suppress(TransientError):
        mirrors.look(request)
    return newest(request)


def newest(request: MigrationRequest) -> Checkpoint:
    found = request.latest_checkpoint
    assert found is not None
    return found


def told(request: MigrationRequest, kind: str) -> list[tuple[str, str]]:
    """(level, message) of each event of a kind, oldest first."""
    events = Event.objects.filter(request=request, kind=kind).order_by("id")
    return list(events.values_list("level", "message"))


def purge(schema: Schema) -> None:
    schema.execute("FLUSH BINARY LOGS")
    last = schema.execute("SHOW BINARY LOGS")[-1][0]
    schema.execute(f"PURGE BINARY LOGS TO '{last}'")
