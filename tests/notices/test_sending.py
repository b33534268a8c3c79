"""Sending to a real receiver: what arrives, what is tried again, what is given up, sent once."""

from __future__ import annotations

import datetime as dt
import logging

import pytest
from django.db.models import F
from django.utils import timezone
from django_q.models import Schedule
from pytest_django import DjangoCaptureOnCommitCallbacks

from migrations_app import commands, lifecycle, queue, supervisor, tasks
from migrations_app.models import Event, MigrationRequest, NoticeDelivery, State
from migrations_app.notices import posting, sending
from tests.notices.support import SECRET, Receiver, make_channel


def due_now() -> None:
    """As if the pauses of all that wait were over."""
    waiting = NoticeDelivery.objects.filter(next_attempt_at__isnull=False)
    waiting.update(next_attempt_at=timezone.now() - dt.timedelta(seconds=1))


def pause_secs(delivery: NoticeDelivery) -> float:
    assert delivery.next_attempt_at is not None
    return (delivery.next_attempt_at - timezone.now()).total_seconds()


def test_a_notice_arrives_in_plain_words_and_is_sent_once(
    submitted: MigrationRequest, receiver: Receiver, settings: object
) -> None:
    settings.SITE_URL = "https://spirit.example.com/"  # type: ignore[attr-defined]
    make_channel(receiver.address)
    lifecycle.record(submitted, "failed", "The server refused it.", actor=submitted.requester)
    tasks.send_notices()
    tasks.send_notices()
    (message,) = receiver.received
    assert message["title"] == "A migration has failed: shop.orders on shop"
    assert message["type"] == "info"
    assert message["message"] == (
        "The server refused it.\n\n"
        f"Request #{submitted.pk} “A note”, asked for by rita.\n"
        "Table shop.orders on the target shop.\n"
        "Done by rita.\n\n"
        "What to do next: The table is as it was. Read the reason on its page; an operator can "
        "retry it.\n\n"
        f"https://spirit.example.com/admin/migrations_app/migrationrequest/{submitted.pk}/change/"
    )
    delivery = NoticeDelivery.objects.get()
    assert delivery.delivered_at
    assert (delivery.attempts, delivery.next_attempt_at, delivery.error) == (1, None, "")


def test_without_an_address_of_the_site_there_is_no_link(
    submitted: MigrationRequest, receiver: Receiver
) -> None:
    make_channel(receiver.address)
    lifecycle.record(submitted, "completed", "Done.")
    sending.send_due()
    assert "http" not in receiver.received[0]["message"]


@pytest.mark.parametrize(
    ("status", "words"), [(500, "status 500"), (404, "status 404"), (302, "status 302")]
)
def test_a_refusal_is_noted_and_tried_again_later(
    submitted: MigrationRequest, receiver: Receiver, status: int, words: str
) -> None:
    receiver.status = status
    make_channel(receiver.address)
    lifecycle.record(submitted, "failed", "It broke.")
    assert sending.send_due() == 1
    delivery = NoticeDelivery.objects.get()
    assert words in delivery.error
    assert delivery.failed_at is None
    assert 50 < pause_secs(delivery) <= 60
    assert sending.send_due() == 0, "it is not due"
    receiver.status = 200
    due_now()
    assert sending.send_due() == 1
    assert len(receiver.received) == 1
    assert NoticeDelivery.objects.get().delivered_at


def test_a_service_that_is_down_or_does_not_answer_costs_a_bounded_time(
    submitted: MigrationRequest, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "TIMEOUT_SECS", 0.3)
    receiver.status = None
    down, silent = make_channel(), make_channel(receiver.address)
    lifecycle.record(submitted, "failed", "It broke.")
    assert sending.send_due() == 2
    assert "No connection" in down.deliveries.get().error
    assert "did not answer within 0.3 s" in silent.deliveries.get().error


def test_the_order_is_carried_out_before_anything_is_sent(
    submitted: MigrationRequest,
    receiver: Receiver,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    receiver.status = 500
    make_channel(receiver.address)
    approver = submitted.requester.__class__.objects.get(username="axel")
    with django_capture_on_commit_callbacks(execute=True):
        commands.approve(approver, submitted)
    submitted.refresh_from_db()
    assert submitted.state == State.APPROVED
    assert NoticeDelivery.objects.get().attempts == 0
    sending.send_due()
    submitted.refresh_from_db()
    assert submitted.state == State.APPROVED


def test_pauses_grow_and_in_the_end_it_is_given_up_and_said(
    submitted: MigrationRequest, receiver: Receiver
) -> None:
    receiver.status = 500
    channel = make_channel(receiver.address)
    event = lifecycle.record(submitted, "failed", "It broke.")
    pauses = []
    for _ in range(sending.MOST_ATTEMPTS - 1):
        due_now()
        sending.send_due()
        pauses.append(pause_secs(NoticeDelivery.objects.get()))
    assert pauses == sorted(pauses)
    assert sum(sending.PAUSES_SECS) < 24 * 3600
    due_now()
    sending.send_due()
    delivery = NoticeDelivery.objects.get()
    assert delivery.failed_at
    assert delivery.attempts == sending.MOST_ATTEMPTS
    said = Event.objects.get(kind="notice_failed")
    assert said.level == "warning"
    assert "through the channel “the team's chat”" in said.message
    assert said.data == {"channel": channel.pk, "event": event.pk, "kind": "failed"}
    due_now()
    assert sending.send_due() == 0


def test_after_a_day_it_is_given_up_whatever_the_attempts(
    submitted: MigrationRequest, receiver: Receiver
) -> None:
    receiver.status = 500
    make_channel(receiver.address)
    lifecycle.record(submitted, "failed", "It broke.")
    NoticeDelivery.objects.update(created_at=timezone.now() - dt.timedelta(hours=25))
    sending.send_due()
    assert NoticeDelivery.objects.get().failed_at


def test_two_broken_channels_do_not_tell_each_other_for_ever(
    submitted: MigrationRequest,
) -> None:
    for name in ("one", "two"):
        make_channel(name=name, kinds=["failed", "notice_failed"])
    lifecycle.record(submitted, "failed", "It broke.")
    for _ in range(3 * sending.MOST_ATTEMPTS):
        due_now()
        sending.send_due()
    assert not NoticeDelivery.objects.filter(failed_at=None).exists()
    assert Event.objects.filter(kind="notice_failed").count() == 2


def test_a_broken_channel_makes_no_other_wait(
    submitted: MigrationRequest, receiver: Receiver
) -> None:
    broken = make_channel(name="broken")
    make_channel(receiver.address, name="whole")
    for number in range(5):
        lifecycle.record(submitted, "failed", f"It broke {number}.")
    assert sending.send_due() == 6, "one attempt at the broken one, five at the other"
    assert len(receiver.received) == 5
    assert sorted(d.attempts for d in broken.deliveries.all()) == [0, 0, 0, 0, 1]
    assert all(pause_secs(d) > 50 for d in broken.deliveries.all())


def test_what_the_time_does_not_suffice_for_follows_in_another_task(
    submitted: MigrationRequest, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken = []
    monkeypatch.setattr(queue, "enqueue_notices", lambda: woken.append(True))
    make_channel(receiver.address)
    for _ in range(3):
        lifecycle.record(submitted, "failed", "It broke.")
    woken.clear()
    assert sending.send_due(budget_secs=0) == 1
    assert woken == [True]


def test_a_claim_is_one_senders_until_it_runs_out(
    submitted: MigrationRequest, receiver: Receiver
) -> None:
    make_channel(receiver.address)
    lifecycle.record(submitted, "failed", "It broke.")
    delivery = NoticeDelivery.objects.get()
    assert sending.claim(delivery.pk, delivery.attempts)
    assert not sending.claim(delivery.pk, delivery.attempts), "both had read the same row"
    assert sending.send_due() == 0
    due_now()  # as if its sender had died
    assert sending.send_due() == 1
    assert len(receiver.received) == 1


def test_a_sender_that_was_overtaken_writes_nothing(
    submitted: MigrationRequest, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_channel(receiver.address)
    lifecycle.record(submitted, "failed", "It broke.")

    def slowly(*_args: object) -> str:
        """Longer than its claim: meanwhile another sender has begun."""
        NoticeDelivery.objects.update(attempts=F("attempts") + 1)
        return "Too late."

    monkeypatch.setattr(posting, "send", slowly)
    sending.send_due()
    delivery = NoticeDelivery.objects.get()
    assert (delivery.attempts, delivery.error, delivery.failed_at) == (2, "", None)


def test_senders_that_die_again_and_again_are_not_let_do_so_for_ever(
    submitted: MigrationRequest,
) -> None:
    make_channel()
    lifecycle.record(submitted, "failed", "It broke.")
    NoticeDelivery.objects.update(attempts=sending.MOST_ATTEMPTS)
    sending.send_due()
    assert "ended while doing so" in NoticeDelivery.objects.get().error


def test_a_channel_that_was_switched_off_sends_nothing_more(
    submitted: MigrationRequest, receiver: Receiver
) -> None:
    channel = make_channel(receiver.address)
    lifecycle.record(submitted, "failed", "It broke.")
    channel.is_active = False
    channel.save()
    sending.send_due()
    assert not receiver.received
    assert NoticeDelivery.objects.get().failed_at
    assert not Event.objects.filter(kind="notice_failed").exists()


def test_an_address_may_be_a_reference(
    submitted: MigrationRequest, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_channel("env:SPIRIT_SECRET_HOOK")
    lifecycle.record(submitted, "failed", "It broke.")
    sending.send_due()
    assert "SPIRIT_SECRET_HOOK" in NoticeDelivery.objects.get().error
    monkeypatch.setenv("SPIRIT_SECRET_HOOK", "syslog://")
    due_now()
    sending.send_due()
    assert "syslog:// are not accepted" in NoticeDelivery.objects.get().error
    monkeypatch.setenv("SPIRIT_SECRET_HOOK", receiver.address)
    due_now()
    sending.send_due()
    assert receiver.titles == ["A migration has failed: shop.orders on shop"]


@pytest.mark.parametrize("status", [200, 500, 302, None])
def test_no_log_error_or_event_holds_an_address(
    submitted: MigrationRequest,
    receiver: Receiver,
    status: int | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(posting, "TIMEOUT_SECS", 0.3)
    caplog.set_level(logging.NOTSET)
    receiver.status = status
    address = receiver.address
    make_channel(address)
    make_channel(f"jsons://spirit:{SECRET}@127.0.0.1:1/{SECRET}")
    make_channel(f"slack://{SECRET}")
    make_channel(f"no-such-service://{SECRET}")
    make_channel(f"https://hooks.example/{SECRET}")
    make_channel(f"mailto://spirit:{SECRET}@127.0.0.1:1?to=a@example.com")
    lifecycle.record(submitted, "failed", "It broke.")
    for _ in range(sending.MOST_ATTEMPTS):
        due_now()
        tasks.send_notices()
    deliveries = NoticeDelivery.objects.all()
    assert deliveries.filter(failed_at__isnull=False).count() == (5 if status == 200 else 6)
    told = [caplog.text, *capfd.readouterr(), *(delivery.error for delivery in deliveries)]
    told += [f"{event.message} {event.data}" for event in Event.objects.all()]
    assert not [text for text in told if SECRET in text]


def test_an_error_within_apprise_is_said_without_its_words(
    monkeypatch: pytest.MonkeyPatch,
    submitted: MigrationRequest,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise ValueError(f"cannot reach {receiver.address}")

    monkeypatch.setattr("apprise.Apprise.notify", fail)
    make_channel(receiver.address)
    lifecycle.record(submitted, "failed", "It broke.")
    tasks.send_notices()
    assert "its part of apprise failed" in NoticeDelivery.objects.get().error
    assert SECRET not in caplog.text


def test_what_is_due_is_looked_for_each_minute(db: None) -> None:
    supervisor.ensure_schedule()
    supervisor.ensure_schedule()
    schedule = Schedule.objects.get(func=queue.NOTICES_TASK)
    assert (schedule.minutes, schedule.repeats, schedule.cluster) == (1, -1, "control")
    assert Schedule.objects.filter(func=queue.SUPERVISE_TASK).count() == 1
