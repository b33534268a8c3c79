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
from migrations_app.admin.live_key import LiveKey
from migrations_app.admin.live_parts import PART_NAMES
from migrations_app.models import Checkpoint, Command, Event, MigrationRequest, Run
from tests.pages.conftest import MakeRequest
from tests.pages.test_pages import url

# For all of it: the request, with what is newest about it.
QUERIES_WITHOUT_NEWS = 1


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


def key_at(req: MigrationRequest, at: dt.datetime, secs: int) -> LiveKey:
    watched = live_key.watch(req.pk, at + dt.timedelta(seconds=secs))
    assert watched is not None
    return watched.key


def test_what_depends_on_the_time_is_looked_at_again(told: MigrationRequest) -> None:
    at = timezone.now().replace(minute=0, second=0, microsecond=0)
    keys = {key_at(told, at, secs).parts for secs in (0, 299)}
    assert len(keys) == 1
    assert key_at(told, at, 300).parts not in keys
    assert len({key_at(told, at, secs).charts for secs in range(60)}) == 3


def test_a_key_stands_for_who_one_is_a_minute_long_in_its_session_and_for_its_request(
    clients: dict[str, Client], client: Client, told: MigrationRequest, make_request: MakeRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    now = dt.datetime(2026, 3, 1, 14, 0, 30, tzinfo=dt.UTC)
    monkeypatch.setattr("migrations_app.admin.request_view.timezone.now", lambda: now)
    reader = clients["operator"]
    _, key = poll(reader, told, "")
    address = url("migrationrequest_live", told.pk)
    with CaptureQueriesContext(connection) as asked:
        assert reader.get(address, headers={live_key.HEADER: key}).status_code == 200
    assert len(asked) == QUERIES_WITHOUT_NEWS
    # Somebody else with it, nobody with it, and the same reader for another request.
    with CaptureQueriesContext(connection) as asked:
        assert clients["approver"].get(address, headers={live_key.HEADER: key}).status_code == 200
    assert len(asked) > QUERIES_WITHOUT_NEWS
    assert client.get(address, headers={live_key.HEADER: key}).status_code == 302
    other = url("migrationrequest_live", make_request(state="running").pk)
    with CaptureQueriesContext(connection) as asked:
        reader.get(other, headers={live_key.HEADER: key})
    assert len(asked) > QUERIES_WITHOUT_NEWS
    # A minute later the reader is asked again who they are.
    reader_session = reader.session
    now += dt.timedelta(seconds=live_key.TRUSTED_SECS)
    with CaptureQueriesContext(connection) as asked:
        assert reader.get(address, headers={live_key.HEADER: key}).status_code == 200
    assert len(asked) > QUERIES_WITHOUT_NEWS
    reader_session.flush()
    assert reader.get(address, headers={live_key.HEADER: key}).status_code == 302


@pytest.mark.usefixtures("still_clock")
def test_a_key_for_another_moment_is_not_trusted(
    clients: dict[str, Client], told: MigrationRequest
) -> None:
    _, key = poll(clients["operator"], told, "")
    parts, charts, signed_at, signature = key.split(".")
    later = f"{parts}.{charts}.{int(signed_at) + 30}.{signature}"
    for forged in (later, f"{parts}.{charts}.{signed_at}.x", f"{parts}.{charts}.{'9' * 4000}.x"):
        with CaptureQueriesContext(connection) as asked:
            assert poll(clients["operator"], told, forged)[0] == ["progress"]
        assert len(asked) > QUERIES_WITHOUT_NEWS


def test_a_key_that_is_no_key_brings_every_part(
    clients: dict[str, Client], told: MigrationRequest
) -> None:
    for key in ("x", ".", "…", "a.b.c", "0" * 5000):
        assert poll(clients["operator"], told, key)[0] == list(PART_NAMES)
