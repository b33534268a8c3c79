"""What a poll of a request page answers, and what it costs."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from migrations_app.admin import live_key
from migrations_app.admin.live_parts import PART_NAMES
from migrations_app.models import Checkpoint, Command, Event, MigrationRequest, Run
from tests.pages.test_pages import url

# Session, person, two for what they may do, the request, what is newest, the run's threads.
QUERIES_WITHOUT_NEWS = 7


def poll(client: Client, req: MigrationRequest, key: str) -> tuple[list[str], str]:
    """The names of the parts in the answer, and the new key."""
    answer = client.get(url("migrationrequest_live", req.pk), headers={live_key.HEADER: key})
    assert answer.status_code == 200
    names = re.findall(r'<section id="part-(\w+)"', answer.content.decode())
    assert str(len(names)) == answer.headers["X-Live-Parts"]
    return names, answer.headers[live_key.HEADER]


@pytest.fixture
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the view stands: no test fails because a minute ended in it."""
    now = timezone.now()
    monkeypatch.setattr("migrations_app.admin.request_view.timezone.now", lambda: now)


@pytest.mark.usefixtures("still_clock")
def test_a_poll_without_news_renders_the_progress_alone(
    clients: dict[str, Client], told: MigrationRequest
) -> None:
    client = clients["operator"]
    names, key = poll(client, told, "")
    assert names == list(PART_NAMES)
    assert poll(client, told, key) == (["progress"], key)
    with CaptureQueriesContext(connection) as asked:
        poll(client, told, key)
    assert len(asked) == QUERIES_WITHOUT_NEWS


NEWS: dict[str, Callable[[MigrationRequest, User], object]] = {
    "an event": lambda req, _: Event.objects.create(request=req, kind="throttled", message="!"),
    "a run": lambda req, _: Run.objects.create(
        request=req, number=9, lease_token=9, worker="w", pid=1, volume=5
    ),
    "a checkpoint": lambda req, _: Checkpoint.objects.create(
        request=req, run=req.runs.get(number=1), engine_id=2, binlog_name="binlog.000043",
        binlog_pos=4, phase="copy_rows", engine_version="1", created_at=timezone.now(),
    ),
    "a look at it": lambda req, _: req.checkpoints.update(looked_at=timezone.now()),
    "an order": lambda req, user: Command.objects.create(request=req, kind="cut_over", actor=user),
    "a state": lambda req, _: req.__class__.objects.filter(pk=req.pk).update(state="stopping"),
    "a volume": lambda req, _: req.__class__.objects.filter(pk=req.pk).update(running_volume=8),
    "a throttle": lambda req, _: req.__class__.objects.filter(pk=req.pk).update(throttled="lag"),
}  # fmt: skip


@pytest.mark.usefixtures("still_clock")
@pytest.mark.parametrize("name", NEWS)
def test_news_brings_every_part(
    clients: dict[str, Client], people: dict[str, User], told: MigrationRequest, name: str
) -> None:
    client = clients["operator"]
    _, key = poll(client, told, "")
    NEWS[name](told, people["operator"])
    names, new_key = poll(client, told, key)
    assert names == list(PART_NAMES)
    assert poll(client, told, new_key)[0] == ["progress"]


@pytest.mark.usefixtures("still_clock")
def test_what_an_order_waits_for_is_news(
    clients: dict[str, Client], people: dict[str, User], told: MigrationRequest
) -> None:
    client = clients["operator"]
    order = Command.objects.create(request=told, kind="cut_over", actor=people["operator"])
    _, key = poll(client, told, "")
    order.being_tried("Attempt 2 is under way.")
    assert poll(client, told, key)[0] == list(PART_NAMES)


def test_what_depends_on_the_time_is_looked_at_again(told: MigrationRequest) -> None:
    at = timezone.now().replace(second=0, microsecond=0)
    keys = {live_key.read(told, at + dt.timedelta(seconds=secs)).parts for secs in (0, 59)}
    later = live_key.read(told, at + dt.timedelta(seconds=60))
    assert len(keys) == 1
    assert later.parts not in keys
    charts = {live_key.read(told, at + dt.timedelta(seconds=secs)).charts for secs in range(60)}
    assert len(charts) == 6


def test_a_key_that_is_no_key_brings_every_part(
    clients: dict[str, Client], told: MigrationRequest
) -> None:
    for key in ("x", ".", "…", "a.b.c", "0" * 5000):
        assert poll(clients["operator"], told, key)[0] == list(PART_NAMES)
