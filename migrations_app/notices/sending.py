"""Sending what is due: each delivery is claimed, tried, and settled or put off.

Any number of senders may be at work. A claim is a compare-and-set on the number of attempts; one
whose sender died falls due again. An attempt is counted when it begins.
"""

from __future__ import annotations

import datetime as dt
import logging
import time

from django.db import close_old_connections, transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from migrations_app import lifecycle, queue
from migrations_app.crypto import SecretUnavailableError
from migrations_app.engine import Level
from migrations_app.models import NoticeChannel, NoticeDelivery
from migrations_app.notices import posting
from migrations_app.notices.kinds import NOTICE_FAILED, headline
from migrations_app.notices.wording import notice_of
from migrations_app.words import duration

logger = logging.getLogger(__name__)

# After the first attempt, the second, and so on; then it is given up.
PAUSES_SECS = (60.0, 300.0, 1800.0, 7200.0, 28800.0)
MOST_ATTEMPTS = len(PAUSES_SECS) + 1
GIVE_UP_AFTER = dt.timedelta(days=1)
# After this, a claimed delivery is taken to have lost its sender. Well above posting.TIMEOUT_SECS.
CLAIM_SECS = 120.0
# For one task of the queue, which is killed after 120 s.
BUDGET_SECS = 45.0
_BATCH = 20


def send_due(budget_secs: float = BUDGET_SECS) -> int:
    """Send what is due; returns how many were tried. What the time does not suffice for follows in
    a task of its own."""
    close_old_connections()
    deadline = time.monotonic() + budget_secs
    tried = 0
    while delivery := _claim_next():
        _deliver(delivery)
        tried += 1
        if time.monotonic() >= deadline:
            queue.enqueue_notices()
            break
    return tried


def _open() -> QuerySet[NoticeDelivery]:
    return NoticeDelivery.objects.filter(delivered_at=None, failed_at=None)


def _claim_next() -> NoticeDelivery | None:
    """One delivery that is due, and is this sender's from now on; None when there is none."""
    due = _open().filter(next_attempt_at__lte=Now()).order_by("next_attempt_at", "id")
    for pk, attempts in due.values_list("pk", "attempts")[:_BATCH]:
        if claim(pk, attempts):
            return NoticeDelivery.objects.select_related(
                "channel__owner", "event__request__target", "event__request__requester",
                "event__actor",
            ).get(pk=pk)  # fmt: skip
    return None


def claim(pk: int, attempts: int) -> bool:
    """Begin the next attempt at a delivery that has had so many, unless another sender has."""
    claimed = (
        _open()
        .filter(pk=pk, attempts=attempts, next_attempt_at__lte=Now())
        .update(attempts=F("attempts") + 1, next_attempt_at=lifecycle.in_secs(CLAIM_SECS))
    )
    return claimed == 1


def _deliver(delivery: NoticeDelivery) -> None:
    if not delivery.channel.is_active:
        _settle(delivery, failed_at=Now(), error="The channel was switched off before it was sent.")
        return
    if delivery.attempts > MOST_ATTEMPTS:
        _give_up(delivery, delivery.error or "Whoever tried to send it ended while doing so.")
        return
    problem = _problem(delivery)
    if not problem:
        _settle(delivery, delivered_at=Now(), error="")
    elif delivery.attempts == MOST_ATTEMPTS or (
        timezone.now() - delivery.created_at > GIVE_UP_AFTER
    ):
        _give_up(delivery, problem)
    else:
        _put_off(delivery, problem)


def _problem(delivery: NoticeDelivery) -> str:
    try:
        return posting.send(delivery.channel.address(), notice_of(delivery.event))
    except SecretUnavailableError as error:
        return str(error)


def _settle(delivery: NoticeDelivery, **fields: object) -> bool:
    """Write the outcome of this attempt; False when the claim has run out and another has begun."""
    mine = _open().filter(pk=delivery.pk, attempts=delivery.attempts)
    return mine.update(next_attempt_at=None, **fields) == 1


def _put_off(delivery: NoticeDelivery, problem: str) -> None:
    pause = PAUSES_SECS[delivery.attempts - 1]
    logger.info(
        "Notice %s was not accepted, trying again in %s: %s", delivery.pk, duration(pause), problem
    )
    later = lifecycle.in_secs(pause)
    _open().filter(pk=delivery.pk, attempts=delivery.attempts).update(
        error=problem, next_attempt_at=later
    )
    # Others for the same address would only make the rest wait.
    _open().filter(channel=delivery.channel_id, next_attempt_at__lte=Now()).update(
        next_attempt_at=later
    )


def _give_up(delivery: NoticeDelivery, problem: str) -> None:
    event = delivery.event
    with transaction.atomic():
        if not _settle(delivery, failed_at=Now(), error=problem):
            return
        logger.warning("Notice %s was given up: %s", delivery.pk, problem)
        # Two channels that are told of each other's failures would go on for ever.
        if event.request is None or event.kind == NOTICE_FAILED:
            return
        lifecycle.record(
            event.request,
            NOTICE_FAILED,
            f"The notice “{headline(event.kind)}” could not be delivered through "
            f"{_name(delivery.channel)} and is not tried again. {problem} The migration itself is "
            f"not affected.",
            level=Level.WARNING,
            data={"channel": delivery.channel_id, "event": event.pk, "kind": event.kind},
        )


def _name(channel: NoticeChannel) -> str:
    if channel.owner is not None:
        return f"a channel of {channel.owner.get_username()}'s own"
    return f"the channel “{channel.name}”"
