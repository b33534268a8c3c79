"""What has changed on a request page since its reader's last poll, found out by one query.

The parts that say what people did and what runs reported are rendered again only when a row behind
them is new; a poll that finds none renders the progress alone. What depends on nothing but the time
(hours left, whether hours are open) is looked at again every few minutes.

A key is signed for its reader's session, after it was made sure that the person may see the
request. For a minute it stands for that: a poll that brings it back and finds nothing new is
answered without asking who it is again, which would cost more than all the rest.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from typing import Any

from django.conf import settings
from django.core.signing import Signer
from django.db import connection
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare

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
TRUSTED_SECS = 60
_AGAIN_SECS = 300
# Its place in the queue depends on others' requests.
_QUEUED_AGAIN_SECS = 5
_CHARTS_AGAIN_SECS = 20
_SIGNER = Signer(salt="live-key")

_OWN = (
    "version", "state", "desired_state", "volume", "running_volume", "message", "throttled",
    "waiting_for", "method", "fresh_wanted", "cutover_held", "start_after", "hours",
    "expiry_warned_at", "next_attempt_at",
)  # fmt: skip
_PROGRESS = (
    "phase", "rows_copied", "rows_total", "rows_checked", "fraction", "rows_per_sec", "eta_secs",
    "deltas_waiting", "deltas_applied", "last_heartbeat_at",
)  # fmt: skip

_NEWEST = (
    "newest_event", "newest_run", "newest_checkpoint", "newest_look", "newest_answer",
    "newest_threads",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class LiveKey:
    """parts: the same for as long as no part but the progress and the charts has anything new to
    say; charts: for as long as these need not be drawn again; signed_at: seconds since 1970."""

    parts: str
    charts: str
    signed_at: int = 0
    signature: str = ""

    def __str__(self) -> str:
        return f"{self.parts}.{self.charts}.{self.signed_at}.{self.signature}"

    @classmethod
    def parse(cls, text: str) -> LiveKey:
        """What a browser sent back; anything else is a key that equals no other."""
        parts = text.split(".")
        if len(parts) != 4 or not (parts[2].isascii() and parts[2].isdecimal()):
            return cls("", "")
        return cls(parts[0], parts[1], int(parts[2][:12]), parts[3])

    def shows_the_same(self, other: LiveKey) -> bool:
        return (self.parts, self.charts) == (other.parts, other.charts)

    def signed(self, request: HttpRequest, pk: int, now: dt.datetime) -> LiveKey:
        """For the reader of this request, who may see the one of that number."""
        stamped = dataclasses.replace(self, signed_at=int(now.timestamp()))
        return dataclasses.replace(stamped, signature=stamped._signature(request, pk))

    def is_trusted(self, request: HttpRequest, pk: int, now: dt.datetime) -> bool:
        """Whether it was signed for this reader and request, within the last minute."""
        if not 0 <= int(now.timestamp()) - self.signed_at < TRUSTED_SECS:
            return False
        return constant_time_compare(self.signature, self._signature(request, pk))

    def _signature(self, request: HttpRequest, pk: int) -> str:
        session = request.COOKIES.get(settings.SESSION_COOKIE_NAME, "")
        return _SIGNER.signature(f"{session}:{pk}:{self.parts}.{self.charts}.{self.signed_at}")


@dataclasses.dataclass(frozen=True, slots=True)
class Watched:
    """A request as the progress part needs it (other columns are read when they are asked for),
    with the threads of its newest run, and its key, unsigned."""

    req: MigrationRequest
    threads: int | None
    key: LiveKey


def watch(pk: int, now: dt.datetime) -> Watched | None:
    """Read a request and what is newest about it; None when there is none."""
    found = next(iter(MigrationRequest.objects.raw(_sql(), {"pk": pk})), None)
    if found is None:
        return None
    row: Any = found
    again_secs = _QUEUED_AGAIN_SECS if row.state == State.QUEUED else _AGAIN_SECS
    facts = [getattr(row, name) for name in (*_OWN, *_NEWEST)]
    facts.append(int(now.timestamp()) // again_secs)
    charts = f"{row.newest_run}"
    if row.state in LEASED_STATES:
        charts += f"-{int(now.timestamp()) // _CHARTS_AGAIN_SECS}"
    digest = hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
    return Watched(found, row.newest_threads, LiveKey(digest, charts))


def _sql() -> str:
    """By hand, because this is asked every 2 s by each open page: to have a queryset build the same
    takes ten times as long as to have it answered.

    Whatever people do and runs tell is an event too; the rest is written without one.
    """
    name = connection.ops.quote_name
    own, event, run, checkpoint, command = (
        name(model._meta.db_table) for model in (MigrationRequest, Event, Run, Checkpoint, Command)
    )
    columns = ", ".join(f"r.{name(column)}" for column in ("id", *_OWN, *_PROGRESS))
    newest_run = f"SELECT MAX(id) FROM {run} WHERE request_id = %(pk)s"
    newest_checkpoint = f"SELECT MAX(id) FROM {checkpoint} WHERE request_id = %(pk)s"
    return (
        f"SELECT {columns}, "
        f"(SELECT MAX(id) FROM {event} WHERE request_id = %(pk)s) AS newest_event, "
        f"({newest_run}) AS newest_run, "
        f"(SELECT threads FROM {run} WHERE id = ({newest_run})) AS newest_threads, "
        f"({newest_checkpoint}) AS newest_checkpoint, "
        f"(SELECT looked_at FROM {checkpoint} WHERE id = ({newest_checkpoint})) AS newest_look, "
        f"(SELECT answer FROM {command} WHERE request_id = %(pk)s AND obeyed_at IS NULL "
        f"ORDER BY id DESC LIMIT 1) AS newest_answer "
        f"FROM {own} r WHERE r.id = %(pk)s"
    )
