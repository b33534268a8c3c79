"""Looks at mirrors: of a target that is silent, how much they read and write, who calls them."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from migrations_app import mirrors, supervisor, tasks
from migrations_app.models import Checkpoint, MigrationRequest, State
from tests.app.mirror_support import add_run, looked_at, newest, stopped, told
from tests.app.support import make_request, make_target, put_in_state
from tests.conftest import Schema

# -- a target that does not answer


def test_an_unreachable_target_changes_no_finding_and_says_since_when(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(schema, requester, monkeypatch)
    before = looked_at(request)
    target = request.target
    port, target.port = target.port, 1
    target.save()
    found = looked_at(request)
    assert found.resumable is True
    assert found.log_expires_at == before.log_expires_at
    assert found.why_not.startswith("The target could not be asked since 20")
    assert "cannot be reached" in found.why_not
    again = looked_at(request)
    assert (again.why_not, again.looked_at) == (found.why_not, found.looked_at)
    # What was foretold comes true all the same.
    soon = timezone.now() + dt.timedelta(hours=1)
    Checkpoint.objects.filter(pk=found.pk).update(log_expires_at=soon)
    looked_at(request)
    ((level, message),) = told(request, "checkpoint_expiring")
    assert level == "error"
    assert "could not be asked since" in message
    target.port = port
    target.save()
    assert looked_at(request).why_not == ""


def test_a_target_that_hangs_is_given_up_and_asked_once_a_round(
    requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "_ANSWER_SECS", 1)
    asked: list[int] = []
    ask = mirrors._ask

    def counted(request: MigrationRequest) -> Any:
        asked.append(request.pk)
        return ask(request)

    monkeypatch.setattr(mirrors, "_ask", counted)
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as deaf:
        target = make_target()
        target.port = deaf.getsockname()[1]
        target.save()
        requests = [make_request(target, requester) for _ in range(3)]
        for request in requests:
            put_in_state(request, State.STOPPED)
            Checkpoint.objects.create(
                request=request, run=add_run(request), engine_id=1, binlog_name="b.1",
                binlog_pos=4, phase="copy_rows", engine_version="1", created_at=timezone.now(),
            )  # fmt: skip
        began = time.monotonic()
        mirrors.look_at_all()
        assert time.monotonic() - began < 10
    assert len(asked) == 1
    assert all(newest(one).why_not.startswith(mirrors.NOT_ASKED) for one in requests)


# -- how much it reads and writes, and who calls it


def test_a_look_that_finds_nothing_new_writes_nothing_and_reads_little(
    schema: Schema,
    requester: User,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    request = stopped(schema, requester, monkeypatch)
    last = newest(request)
    Checkpoint.objects.bulk_create(
        Checkpoint(
            request=request, run=last.run, engine_id=last.engine_id, binlog_name=last.binlog_name,
            binlog_pos=last.binlog_pos, phase="copy_rows", engine_version="1",
            created_at=last.created_at,
        )
        for _ in range(300)
    )  # fmt: skip
    with django_assert_max_num_queries(20):
        mirrors.look_at_all()
    assert newest(request).resumable is True
    assert Checkpoint.objects.filter(request=request).exclude(resumable=False).count() == 1
    with CaptureQueriesContext(
        connection,
    ) as queries:
        mirrors.look_at_all()
    written = [query["sql"] for query in queries if query["sql"].startswith(("UPDATE", "INSERT"))]
    assert written == []
    assert len(queries) <= 10


def test_the_cluster_looks_by_itself_and_when_it_is_asked(
    draft: MigrationRequest,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    supervisor.ensure_schedule()
    kept = dict(Schedule.objects.values_list("func", "minutes"))
    assert kept["migrations_app.tasks.look_at_checkpoints"] == 5
    assert kept["migrations_app.tasks.tidy_up"] == 60
    with django_capture_on_commit_callbacks(execute=True):
        mirrors.look_soon(draft)
    assert OrmQ.objects.count() == 1
    assert OrmQ.objects.get().func() == "migrations_app.tasks.look_at_checkpoints"
    tasks.look_at_checkpoints(draft.pk)  # it has no checkpoint, and nobody listens there
    tasks.look_at_checkpoints()
    tasks.tidy_up()
