"""What has changed on a request page since its reader's last poll, found out by one query.

The parts that say what people did and what runs reported are rendered again only when a row behind
them is new; a poll that finds none renders the progress alone. What depends on nothing but the time
(hours left, whether hours are open) is looked at again every minute.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from typing import Any

from django.db import connection

from migrations_app.models import (
    LEASED_STATES,
    Checkpoint,
    Command,
    Event,
    MigrationRequest,
    Run,
    State,
)

HEADER = "X-Live-Key"
_AGAIN_SECS = 60
# Its place in the queue depends on others' requests.
_QUEUED_AGAIN_SECS = 5
_CHARTS_AGAIN_SECS = 10

_OWN = (
    "version", "state", "desired_state", "volume", "running_volume", "message", "throttled",
    "waiting_for", "method", "fresh_wanted", "cutover_held", "start_after", "hours",
    "expiry_warned_at", "next_attempt_at",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class LiveKey:
    """parts: the same for as long as no part but the progress and the charts has anything new to
    say; charts: for as long as these need not be drawn again."""

    parts: str
    charts: str

    def __str__(self) -> str:
        return f"{self.parts}.{self.charts}"

    @classmethod
    def parse(cls, text: str) -> LiveKey:
        """What a browser sent back; anything else is a key that equals no other."""
        parts, _, charts = text.partition(".")
        return cls(parts, charts)


def read(req: MigrationRequest, now: dt.datetime) -> LiveKey:
    """The key of what a request's page shows at this moment."""
    newest = _newest_rows(req.pk)
    again_secs = _QUEUED_AGAIN_SECS if req.state == State.QUEUED else _AGAIN_SECS
    facts = [getattr(req, name) for name in _OWN]
    facts += [*newest, int(now.timestamp()) // again_secs]
    charts = f"{newest[1]}"
    if req.state in LEASED_STATES:
        charts += f"-{int(now.timestamp()) // _CHARTS_AGAIN_SECS}"
    return LiveKey(hashlib.sha256(repr(facts).encode()).hexdigest()[:16], charts)


def _newest_rows(pk: int) -> tuple[Any, ...]:
    """The newest event and run, the newest checkpoint with the time of the last look at it, and
    what the order that waits was answered so far.

    Whatever people do and runs tell is an event too; the rest is written without one. By hand,
    because this is asked every 2 s by each open page: building the same with querysets costs more
    than all the rest of a poll.
    """
    event, run, checkpoint, command = (
        connection.ops.quote_name(model._meta.db_table)
        for model in (Event, Run, Checkpoint, Command)
    )
    newest_checkpoint = f"SELECT MAX(id) FROM {checkpoint} WHERE request_id = %s"
    parts = (
        f"SELECT MAX(id) FROM {event} WHERE request_id = %s",
        f"SELECT MAX(id) FROM {run} WHERE request_id = %s",
        newest_checkpoint,
        f"SELECT looked_at FROM {checkpoint} WHERE id = ({newest_checkpoint})",
        (
            f"SELECT answer FROM {command} WHERE request_id = %s AND obeyed_at IS NULL"
            " ORDER BY id DESC LIMIT 1"
        ),
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'({part})' for part in parts)}", [pk] * len(parts))
        return tuple(cursor.fetchone())
