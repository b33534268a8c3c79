"""Who is told of an event: written with it, at once or not at all, for hardly any cost."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ
from pytest_django import DjangoAssertNumQueries, DjangoCaptureOnCommitCallbacks

from migrations_app import commands, lifecycle, queue
from migrations_app.models import Approval, Event, MigrationRequest, NoticeDelivery, State, Target
from migrations_app.notices import outbox
from migrations_app.notices.kinds import KINDS, USUAL_KINDS
from migrations_app.words import event_label
from tests.app.support import make_request, make_target
from tests.notices.support import make_channel


def told(event: Event) -> list[str]:
    """The names of the channels that are to be told of it."""
    return [delivery.channel.name for delivery in event.deliveries.order_by("id")]


@pytest.mark.parametrize(
    ("kinds", "kind", "is_told"),
    [
        ([], "failed", True),
        ([], "completed", True),
        ([], "commented", False),
        ([], "heartbeat", False),
        (["commented"], "commented", True),
        (["commented"], "failed", False),
    ],
)
def test_a_channel_is_told_of_its_kinds_or_of_the_usual(
    submitted: MigrationRequest, kinds: list[str], kind: str, is_told: bool
) -> None:
    make_channel(kinds=kinds)
    assert bool(told(lifecycle.record(submitted, kind, "It happened."))) is is_told


def test_a_channel_is_told_of_its_targets_or_of_all(
    submitted: MigrationRequest, target: Target
) -> None:
    other = make_target(name="stock")
    make_channel(name="all")
    make_channel(name="shop", targets=[target])
    make_channel(name="stock", targets=[other])
    make_channel(name="both", targets=[target, other])
    make_channel(name="off", is_active=False)
    assert told(lifecycle.record(submitted, "failed", "It broke.")) == ["all", "shop", "both"]


@pytest.mark.parametrize(
    ("who", "kind", "is_told"),
    [
        ("requester", "failed", True),
        ("requester", "submitted", True),
        ("approver", "submitted", True),
        ("approver", "failed", False),
        ("operator", "submitted", False),
        ("operator", "failed", False),
        ("guest", "submitted", False),
    ],
)
def test_ones_own_channel_is_told_of_what_concerns_one(
    submitted: MigrationRequest, people: dict[str, User], who: str, kind: str, is_told: bool
) -> None:
    make_channel(owner=people[who])
    assert bool(told(lifecycle.record(submitted, kind, "It happened."))) is is_told


def test_who_approved_a_request_is_told_what_becomes_of_it(
    submitted: MigrationRequest, people: dict[str, User]
) -> None:
    make_channel(owner=people["approver"])
    Approval.objects.create(request=submitted, approver=people["approver"])
    assert told(lifecycle.record(submitted, "failed", "It broke."))


def test_an_approver_is_told_of_what_waits_for_them_only(
    people: dict[str, User], target: Target
) -> None:
    make_channel(owner=people["approver"])
    people["approver"].groups.add(Group.objects.get(name="Requesters"))
    own = make_request(target, people["approver"], state=State.DRAFT)
    other = make_request(target, people["requester"])
    target.approver_groups.add(Group.objects.create(name="The shop's owners"))
    assert not told(lifecycle.record(other, "submitted", "Please."))
    people["approver"].groups.add(Group.objects.get(name="The shop's owners"))
    assert told(lifecycle.record(other, "submitted", "Please."))
    assert told(lifecycle.record(own, "submitted", "Mine.")), "its requester is told in any case"


def test_an_account_that_was_closed_is_told_nothing(
    submitted: MigrationRequest, people: dict[str, User]
) -> None:
    make_channel(owner=people["requester"])
    User.objects.filter(pk=people["requester"].pk).update(is_active=False)
    assert not told(lifecycle.record(submitted, "failed", "It broke."))


def test_a_move_is_told_with_its_event_or_not_at_all(
    submitted: MigrationRequest, people: dict[str, User]
) -> None:
    make_channel()
    lifecycle.move(submitted, "approve", "Approved.", actor=people["approver"])
    assert told(Event.objects.get(kind="approved"))
    with transaction.atomic():
        assert told(lifecycle.record(submitted, "failed", "It broke."))
        transaction.set_rollback(True)  # the order fails after all
    assert NoticeDelivery.objects.count() == 1


def test_what_repeats_is_told_once_in_a_while(submitted: MigrationRequest) -> None:
    make_channel()
    assert told(lifecycle.record(submitted, "cutover_blocked", "Blocked."))
    assert not told(lifecycle.record(submitted, "cutover_blocked", "Blocked again."))
    before = timezone.now() - dt.timedelta(seconds=outbox.REPEAT_AFTER_SECS)
    NoticeDelivery.objects.update(created_at=before)
    assert told(lifecycle.record(submitted, "cutover_blocked", "Still blocked."))


def test_a_failed_notice_is_told_through_other_channels_only(submitted: MigrationRequest) -> None:
    broken = make_channel(name="broken", kinds=["notice_failed"])
    make_channel(name="whole", kinds=["notice_failed"])
    event = lifecycle.record(submitted, "notice_failed", "Lost.", data={"channel": broken.pk})
    assert told(event) == ["whole"]


def test_an_event_that_nobody_wants_costs_one_query_more(
    submitted: MigrationRequest, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(2):
        lifecycle.record(submitted, "failed", "It broke.")
    make_channel(kinds=["commented"])
    with django_assert_num_queries(2):
        lifecycle.record(submitted, "failed", "It broke.")


def test_the_cost_does_not_grow_with_the_channels(
    submitted: MigrationRequest, people: dict[str, User], django_assert_max_num_queries: Any
) -> None:
    for number in range(10):
        make_channel(name=f"team {number}")
        make_channel(name=f"own {number}", owner=people["requester"])
        make_channel(name=f"theirs {number}", owner=people["approver"])
    # The event, the channels, approvals, and the deliveries between a savepoint and its end.
    with django_assert_max_num_queries(6):
        event = lifecycle.record(submitted, "failed", "It broke.")
    assert len(told(event)) == 20


def test_a_sender_is_woken_once_the_order_is_committed(
    submitted: MigrationRequest,
    people: dict[str, User],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    make_channel()
    with django_capture_on_commit_callbacks(execute=True):
        commands.reject(people["approver"], submitted, "Not now.")
        assert not OrmQ.objects.exists()
    task = OrmQ.objects.get().task
    assert (task["func"], task["args"]) == (queue.NOTICES_TASK, ())


def test_a_queue_that_is_down_is_no_reason_to_fail(
    submitted: MigrationRequest,
    people: dict[str, User],
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def is_down(*_args: object, **_kwargs: object) -> None:
        raise ConnectionError("nobody listens")

    monkeypatch.setattr(queue, "async_task", is_down)
    make_channel()
    with django_capture_on_commit_callbacks(execute=True):
        commands.reject(people["approver"], submitted, "Not now.")
    submitted.refresh_from_db()
    assert submitted.state == State.REJECTED
    assert NoticeDelivery.objects.filter(next_attempt_at__isnull=False).exists()
    assert "could not be woken" in caplog.text


def test_every_kind_that_can_be_chosen_has_words() -> None:
    for kind in KINDS.values():
        assert kind.headline
        assert event_label(kind.name)
        assert not kind.advice or kind.advice.endswith(".")
    assert {"submitted", "failed", "completed", "runner_lost"} <= USUAL_KINDS
    assert "notice_failed" not in USUAL_KINDS
