"""Mirrors of checkpoints: what the target says of them, what is foretold, who is warned."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from migrations_app import expiries, mirrors
from migrations_app.models import Checkpoint, Event, MigrationRequest, State, Target
from playground.server import PrivateServer
from tests.app.mirror_support import add_run, looked_at, newest, purge, stopped, told
from tests.app.support import make_request, put_in_state
from tests.conftest import Schema, fresh_schema

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
    "table changed": ("ALTER TABLE t ADD COLUMN w INT", "changed the definition of t"),
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
    assert "older than the request allows, which is 10 h" in message
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
