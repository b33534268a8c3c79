"""Writing down who is to be told of an event, in the transaction that writes the event."""

from __future__ import annotations

import datetime as dt
import logging

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone

from migrations_app import queue
from migrations_app.models import Event, NoticeChannel, NoticeDelivery
from migrations_app.notices.channels import listening
from migrations_app.notices.kinds import KINDS

logger = logging.getLogger(__name__)

# What happens again and again to one request is told to a channel once in this time.
REPEAT_AFTER_SECS = 15 * 60.0


def post(event: Event) -> None:
    """Have the channels that want it told of an event; called in the event's own transaction.

    Costs one query when there are none. That the queue cannot be woken, or that a channel is being
    deleted, is no reason for the event's own transaction to fail.
    """
    # Twice: a channel may be deleted between being read and being written down for.
    for _ in range(2):
        channels = _not_told_lately(event, listening(event))
        if not channels:
            return
        try:
            _write(event, channels)
        except IntegrityError:
            continue
        queue.enqueue_notices()
        return
    logger.warning("Event %s is told to nobody: its channels are being deleted.", event.pk)


def _write(event: Event, channels: list[NoticeChannel]) -> None:
    """Raises IntegrityError, and leaves the transaction usable, when a channel is gone."""
    with transaction.atomic():
        NoticeDelivery.objects.bulk_create(
            NoticeDelivery(channel=channel, event=event, next_attempt_at=Now())
            for channel in channels
        )
        if connection.vendor == "postgresql":
            # It would look for the channel at the commit only; now, it also keeps it.
            connection.check_constraints()


def _not_told_lately(event: Event, channels: list[NoticeChannel]) -> list[NoticeChannel]:
    kind = KINDS.get(event.kind)
    if not channels or kind is None or not kind.may_repeat:
        return channels
    since = timezone.now() - dt.timedelta(seconds=REPEAT_AFTER_SECS)
    told = set(
        NoticeDelivery.objects.filter(
            channel__in=channels,
            event__request=event.request_id,
            event__kind=event.kind,
            created_at__gt=since,
        ).values_list("channel_id", flat=True)
    )
    return [channel for channel in channels if channel.pk not in told]
