"""What is removed when it is old, and what never is."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone
from django_q.models import Task

from migrations_app import retention
from migrations_app.models import (
    ApiToken,
    Checkpoint,
    Event,
    MigrationRequest,
    NoticeChannel,
    NoticeDelivery,
    Run,
    Sample,
)

DAY = dt.timedelta(days=1)


def whole(moment: dt.datetime, secs: int) -> dt.datetime:
    """The beginning of a span of so many seconds."""
    return dt.datetime.fromtimestamp(int(moment.timestamp()) // secs * secs, dt.UTC)


@pytest.fixture
def run(draft: MigrationRequest) -> Run:
    return Run.objects.create(request=draft, number=1, lease_token=1, worker="w", pid=1, volume=3)


def add_samples(run: Run, since: dt.datetime, every_secs: int, count: int) -> None:
    rows = Sample.objects.bulk_create(
        Sample(run=run, phase="copy_rows", rows_copied=number, rows_per_sec=1.0, deltas_waiting=0)
        for number in range(count)
    )
    for number, row in enumerate(rows):
        row.taken_at = since + dt.timedelta(seconds=number * every_secs)
    Sample.objects.bulk_update(rows, ["taken_at"])


def taken(run: Run) -> list[dt.datetime]:
    return list(run.samples.order_by("taken_at").values_list("taken_at", flat=True))


def test_readings_are_thinned_with_age_and_then_removed(run: Run) -> None:
    now = timezone.now()
    days = {
        "fresh": (now - DAY / 2, 5, 30),
        "of the week": (whole(now - 3 * DAY, 60), 5, 60),
        "old": (whole(now - 30 * DAY, 900), 60, 60),
        "too old": (now - 91 * DAY, 5, 20),
    }
    for since, every_secs, count in days.values():
        add_samples(run, since, every_secs, count)
    for _ in range(2):  # a second time, nothing is left to do
        retention.tidy_up()
        kept = taken(run)
        since = days["of the week"][0]
        # 60 readings of 5 s: five minutes; 60 of a minute: four quarters of an hour.
        assert [one for one in kept if now - 4 * DAY < one < now - 2 * DAY] == [
            since + dt.timedelta(minutes=minute) for minute in range(5)
        ]
        since = days["old"][0]
        assert [one for one in kept if one < now - 8 * DAY] == [
            since + dt.timedelta(minutes=15 * quarter) for quarter in range(4)
        ]
        assert len([one for one in kept if one > now - DAY]) == 30


def test_each_run_keeps_its_own_readings(run: Run) -> None:
    other = Run.objects.create(
        request=run.request, number=2, lease_token=2, worker="w", pid=1, volume=3
    )
    since = whole(timezone.now() - 3 * DAY, 60)
    for one in (run, other):
        add_samples(one, since, 10, 6)
    retention.tidy_up()
    assert taken(run) == taken(other) == [since]


def test_more_than_one_block_is_removed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BLOCK_ROWS", 7)
    add_samples(run, timezone.now() - 100 * DAY, 5, 30)
    add_samples(run, whole(timezone.now() - 3 * DAY, 60), 1, 60)
    retention.tidy_up()
    assert len(taken(run)) == 1


def test_a_round_ends_when_its_time_is_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    add_samples(run, timezone.now() - 100 * DAY, 5, 30)
    with monkeypatch.context() as patch:
        patch.setattr(retention, "_ROUND_SECS", -1.0)
        retention.tidy_up()
    assert len(taken(run)) == 30
    retention.tidy_up()
    assert taken(run) == []


def test_what_only_served_its_day_goes_and_history_stays(run: Run, requester: User) -> None:
    now = timezone.now()
    event = Event.objects.create(request=run.request, kind="started", message="It began.")
    Checkpoint.objects.create(
        request=run.request, run=run, engine_id=1, binlog_name="b.1", binlog_pos=4,
        phase="copy_rows", engine_version="1", created_at=now,
    )  # fmt: skip
    for model in (Checkpoint, Run):
        model.objects.update(**{
            "received_at" if model is Checkpoint else "started_at": now - 5000 * DAY
        })  # fmt: skip
    channel = NoticeChannel.objects.create(name="team", stored_address="x")
    for number, days in enumerate((1, 400)):
        old = now - days * DAY
        Task.objects.create(
            id=f"task-{number}", name="x", func="f", started=old, stopped=old, success=bool(number)
        )
        Session.objects.create(session_key=f"s{number}", session_data="", expire_date=old)
        NoticeDelivery.objects.create(channel=channel, event=event, delivered_at=old)
        NoticeDelivery.objects.create(channel=channel, event=event, failed_at=old)
        ApiToken.objects.create(user=requester, name="x", digest=str(number), revoked_at=old)
    NoticeDelivery.objects.create(channel=channel, event=event)  # not settled
    NoticeDelivery.objects.update(created_at=now - 400 * DAY)
    ApiToken.objects.create(user=requester, name="in use", digest="in use")
    retention.tidy_up()
    counts = {
        model: model.objects.count()
        for model in (Task, Session, NoticeDelivery, ApiToken, Event, Checkpoint, Run)
    }
    assert counts == {
        Task: 1, Session: 1, NoticeDelivery: 3, ApiToken: 2, Event: 1, Checkpoint: 1, Run: 1,
    }  # fmt: skip


def test_nothing_is_removed_where_the_days_are_0(run: Run, settings: Any) -> None:
    for name in ("FULL_DAYS", "MINUTE_DAYS", "DAYS"):
        setattr(settings, f"RETENTION_SAMPLES_{name}", 0)
    for name in ("TASKS", "SESSIONS", "NOTICES", "TOKENS"):
        setattr(settings, f"RETENTION_{name}_DAYS", 0)
    add_samples(run, timezone.now() - 400 * DAY, 1, 30)
    Session.objects.create(session_key="s", session_data="", expire_date=timezone.now() - 400 * DAY)
    retention.tidy_up()
    assert (len(taken(run)), Session.objects.count()) == (30, 1)
