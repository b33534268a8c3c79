"""Mirrors of checkpoints: what the target says of them, what is foretold, who is warned."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ, Schedule
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from migrations_app import expiries, mirrors, snapshots, supervisor, tasks
from migrations_app.engine import OutcomeKind, TransientError
from migrations_app.models import Checkpoint, Event, MigrationRequest, Run, State, Target
from playground.server import PrivateServer
from tests.app.support import make_request, make_target, put_in_state
from tests.conftest import Schema, fresh_schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import RunInThread, make_numbers, wait_until

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"
KEPT_SECS = 30 * 24 * 3600


@pytest.fixture(scope="module", params=["gtid", "file_position"])
def own_server(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    """A server whose binary logs these tests may delete."""
    options = {"innodb-buffer-pool-size": "256M"}
    with PrivateServer(gtid=request.param == "gtid", options=options) as server:
        yield server


@pytest.fixture
def own(own_server: PrivateServer) -> Iterator[Schema]:
    with fresh_schema(own_server) as schema:
        schema.execute(f"SET GLOBAL binlog_expire_logs_seconds = {KEPT_SECS}")
        yield schema


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


# -- what a look finds


def test_a_stopped_request_can_be_resumed_until_its_log_goes(
    own: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(own, requester, monkeypatch)
    found = looked_at(request)
    assert (found.resumable, found.why_not) == (True, "")
    assert found.log_expires_at is not None
    left = found.log_expires_at - timezone.now()
    assert left.total_seconds() == pytest.approx(KEPT_SECS, abs=120)
    assert not Event.objects.filter(request=request).exists()
    purge(own)
    found = looked_at(request)
    assert found.resumable is False
    assert "no longer on the server" in found.why_not or "has purged" in found.why_not
    assert found.log_expires_at is None
    ((level, message),) = told(request, "checkpoint_stale")
    assert level == "warning"
    assert found.why_not in message
    assert f"the {found.rows_copied:,} copied rows are copied again" in message
    event = Event.objects.get(request=request, kind="checkpoint_stale")
    assert event.data["rows_lost"] == found.rows_copied > 0
    own.execute("DROP TABLE _t_new")
    assert "_t_new is gone" in looked_at(request).why_not  # another reason, the same news
    assert len(told(request, "checkpoint_stale")) == 1


SPOILT = {
    "age": ("UPDATE _t_chkpnt SET created_at = NOW() - INTERVAL 9 DAY", "above the limit"),
    "version": ("UPDATE _t_chkpnt SET engine_version = '0'", "engine version 0"),
    "no shadow table": ("DROP TABLE _t_new", "_t_new is gone"),
    "no checkpoint table": ("DROP TABLE _t_chkpnt", "there is no checkpoint for it"),
    "another shape": ("ALTER TABLE _t_chkpnt DROP COLUMN phase", "cannot be read"),
    "nothing": ("DROP TABLE _t_chkpnt, _t_new", "somebody has dropped them"),
    "table changed": ("ALTER TABLE t ADD COLUMN w INT", "definition of t was changed"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_why_a_checkpoint_cannot_be_resumed(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    request = stopped(schema, requester, monkeypatch)
    assert looked_at(request).resumable is True
    statement, words = SPOILT[name]
    schema.execute(statement)
    found = looked_at(request)
    assert found.resumable is False
    assert words in found.why_not
    assert found.why_not.endswith(".")
    assert len(told(request, "checkpoint_stale")) == 1


def test_a_table_that_was_only_rebuilt_does_no_harm(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(schema, requester, monkeypatch)
    schema.execute("OPTIMIZE TABLE t")
    assert looked_at(request).resumable is True


def test_an_edited_statement_cannot_go_on_and_a_strict_request_is_told_what_to_do(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(schema, requester, monkeypatch, strict=True)
    MigrationRequest.objects.filter(pk=request.pk).update(
        statement="ALTER TABLE t MODIFY v DECIMAL(20, 0) NOT NULL"
    )
    found = looked_at(request)
    assert found.resumable is False
    assert "belongs to another statement" in found.why_not
    assert "order “start afresh”" in told(request, "checkpoint_stale")[0][1]


def test_only_the_newest_counts_and_another_runs_newer_one_more(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(schema, requester, monkeypatch)
    older = newest(request)
    assert looked_at(request).resumable is True
    Checkpoint.objects.filter(pk=older.pk).update(engine_id=older.engine_id - 1)
    last = newest(request)
    last.pk, last.engine_id = None, older.engine_id
    last.save()
    assert looked_at(request).resumable is True
    older.refresh_from_db()
    assert (older.resumable, older.why_not) == (False, mirrors.SUPERSEDED)
    assert older.log_expires_at is None
    schema.execute("UPDATE _t_chkpnt SET id = id + 100")
    found = looked_at(request)
    assert found.resumable is False
    assert f"The target has number {last.engine_id + 100}" in found.why_not
    assert not told(request, "checkpoint_stale")  # a start goes on from that one


def test_what_is_to_begin_again_is_not_looked_at(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(schema, requester, monkeypatch)
    schema.execute("DROP TABLE _t_new")
    put_in_state(request, State.QUEUED, fresh_wanted=True)
    mirrors.look_at_all()
    mirrors.look_at_one(request.pk)
    assert newest(request).resumable is None
    put_in_state(request, State.QUEUED, fresh_wanted=False)
    mirrors.look_at_one(request.pk)
    assert newest(request).resumable is False


def test_of_a_request_that_has_ended_nothing_is_resumable(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(schema, requester, monkeypatch)
    put_in_state(request, State.CANCELLED, ended_at=timezone.now())
    mirrors.look_at_all()
    assert (newest(request).resumable, newest(request).why_not) == (False, mirrors.ENDED)


def test_what_was_moved_meanwhile_is_not_written(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(schema, requester, monkeypatch)
    schema.execute("DROP TABLE _t_new")
    request = MigrationRequest.objects.select_related("target").get(pk=request.pk)
    put_in_state(MigrationRequest.objects.get(pk=request.pk), State.QUEUED, version=7)
    mirrors.look(request)
    assert newest(request).resumable is None
    assert not Event.objects.filter(request=request).exists()


def test_a_running_request_is_only_foretold(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(schema, requester, monkeypatch)
    put_in_state(request, State.RUNNING, expiry_warned_at=timezone.now())
    found = looked_at(request)
    assert found.resumable is True
    assert found.log_expires_at is not None
    request.refresh_from_db()
    assert request.expiry_warned_at is None
    schema.execute("DROP TABLE _t_new")  # as a run does that begins again
    assert looked_at(request).resumable is True
    assert not Event.objects.filter(request=request).exists()


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


# -- warnings


def test_a_forecast_that_came_true_unseen_is_said_so(target: Target, requester: User) -> None:
    request = make_request(target, requester)
    put_in_state(request, State.STOPPED)
    Checkpoint.objects.create(
        request=request, run=add_run(request), engine_id=1, binlog_name="b.1", binlog_pos=4,
        phase="copy_rows", engine_version="1", created_at=timezone.now(), resumable=True,
        log_expires_at=timezone.now() - dt.timedelta(hours=1),
    )  # fmt: skip
    found = looked_at(request)
    assert found.resumable is True
    ((level, message),) = told(request, "checkpoint_expiring")
    assert level == "error"
    assert "may be lost at any moment (since 20" in message


def test_the_warning_comes_once_and_again_when_it_is_near(
    own: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(own, requester, monkeypatch)
    own.execute("SET GLOBAL binlog_expire_logs_seconds = 36000")
    found = looked_at(request)
    looked_at(request)
    ((level, message),) = told(request, "checkpoint_expiring")
    assert level == "warning"
    assert "for another 9 h 59 min" in message or "for another 10 h" in message
    assert "is the one in use" in message
    assert f"the {found.rows_copied:,} copied rows are lost" in message
    assert f"raise binlog_expire_logs_seconds on {request.target}" in message
    data = Event.objects.get(request=request, kind="checkpoint_expiring").data
    assert (data["cause"], data["rows"]) == ("log", found.rows_copied)
    assert data["hours"] == pytest.approx(10, abs=0.1)
    request.refresh_from_db()
    assert request.expiry_warned_at is not None

    own.execute("SET GLOBAL binlog_expire_logs_seconds = 7200")
    looked_at(request)
    looked_at(request)
    assert [level for level, _ in told(request, "checkpoint_expiring")] == ["warning", "error"]

    add_run(request)  # started, and stopped again before it saved anything
    looked_at(request)
    assert len(told(request, "checkpoint_expiring")) == 3
    purge(own)
    looked_at(request)
    assert len(told(request, "checkpoint_expiring")) == 3
    assert len(told(request, "checkpoint_stale")) == 1


def test_a_server_that_keeps_its_logs_for_ever_is_not_warned_of(
    own: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(own, requester, monkeypatch)
    own.execute("SET GLOBAL binlog_expire_logs_seconds = 0")
    found = looked_at(request)
    assert (found.resumable, found.log_expires_at) == (True, None)
    assert not told(request, "checkpoint_expiring")


def test_the_age_limit_is_an_end_too(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(schema, requester, monkeypatch, checkpoint_max_age_secs=10 * 3600)
    found = looked_at(request)
    assert expiries.end_of(found, request).by_age
    ((level, message),) = told(request, "checkpoint_expiring")
    assert level == "warning"
    assert "above the request's age limit of 10 h" in message
    assert "binlog_expire_logs_seconds" not in message
    assert Event.objects.get(request=request).data["cause"] == "age"


def test_a_longer_setting_warns_earlier(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    request = stopped(schema, requester, monkeypatch)
    settings.CHECKPOINT_WARN_HOURS = 24 * 40
    looked_at(request)
    assert told(request, "checkpoint_expiring")[0][0] == "warning"


def test_a_start_given_meanwhile_is_warned_of_nothing(
    schema: Schema, requester: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = stopped(schema, requester, monkeypatch, checkpoint_max_age_secs=3600)
    put_in_state(MigrationRequest.objects.get(pk=request.pk), State.RUNNING, version=9)
    expiries.warn(request, newest(request), "")
    assert not told(request, "checkpoint_expiring")


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
