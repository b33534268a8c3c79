"""Rule 1: what the binary log has shown must be visible to SELECT before it is relied on.

A row event reaches a reader before its transaction is visible (the log is synced before the
engine commits; semi-synchronous replication stretches that to seconds). Reading a row right
after its event can therefore return the row's past. ``wait`` returns once every row event
delivered before the call is visible.

With GTIDs the server itself waits (WAIT_FOR_EXECUTED_GTID_SET). Without, one small committed
write of our own does it: commits become visible in binary-log order while
binlog_order_commits=ON, so when our own commit has returned, all before it are visible.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from migrations_app.engine.abort import Abort
from migrations_app.engine.binlog import GtidSet
from migrations_app.engine.errors import TransientError
from migrations_app.engine.names import literal
from migrations_app.engine.session import Session

_WAIT_SLICE_SECS = 1
GIVE_UP_AFTER_SECS = 600


class Visibility:
    """Tracks what was delivered for our tables and waits until it is visible. Thread-safe.

    A ticket is a count of deliveries. Nothing was delivered since the last wait: no round trip,
    so an idle table costs nothing. Transactions with and without GTID may be mixed, as they are
    while a server's gtid_mode is being changed.

    write_marker: commits one small logged write of our own on the session it is given.
    """

    def __init__(self, write_marker: Callable[[Session], None]) -> None:
        self._write_marker = write_marker
        self._lock = threading.Lock()
        self._marker_lock = threading.Lock()
        self._delivered = 0
        self._visible = 0
        self._unseen = GtidSet()
        self._gtid = ""
        self._gtid_counted = False
        self._anonymous_upto = 0

    def transaction_started(self, gtid: str) -> None:
        """The reader begins to deliver a transaction ("" when it has no GTID)."""
        self._gtid = gtid
        self._gtid_counted = False

    def delivered(self) -> None:
        """The reader delivers a row event of one of our tables. Reader's thread only.

        To be called before the event's keys take effect in the delta buffer.
        """
        with self._lock:
            self._delivered += 1
            if not self._gtid:
                self._anonymous_upto = self._delivered
            elif not self._gtid_counted:
                self._unseen.add_text(self._gtid)
                self._gtid_counted = True

    def ticket(self) -> int:
        """What has been delivered so far; to be taken before a decision that relies on it."""
        with self._lock:
            return self._delivered

    def wait(self, session: Session, ticket: int, abort: Abort) -> None:
        """Return once everything delivered up to ``ticket`` is visible to new reads.

        Raises the abort's reason, or TransientError after ten minutes.
        """
        with self._lock:
            if self._visible >= ticket:
                return
            anonymous = self._anonymous_upto > self._visible
        if not anonymous:
            self._make_visible(session, ticket, abort, by_marker=False)
            return
        # One marker serves every thread that was waiting when it began.
        with self._marker_lock:
            self._make_visible(session, ticket, abort, by_marker=True)

    def _make_visible(
        self, session: Session, ticket: int, abort: Abort, *, by_marker: bool
    ) -> None:
        with self._lock:
            if self._visible >= ticket:
                return
            unseen = self._unseen.copy()
            # An anonymous delivery may have come in since the caller looked: without a marker
            # nothing past the ticket may be called visible.
            upto = self._delivered if by_marker else ticket
        if unseen:
            self._wait_for_gtids(session, unseen, abort)
        if by_marker:
            self._write_marker(session)
        with self._lock:
            self._visible = max(self._visible, upto)
            self._unseen = self._unseen.subtract(unseen)

    def _wait_for_gtids(self, session: Session, gtids: GtidSet, abort: Abort) -> None:
        deadline = time.monotonic() + GIVE_UP_AFTER_SECS
        wait = f"SELECT WAIT_FOR_EXECUTED_GTID_SET({literal(str(gtids))}, {_WAIT_SLICE_SECS})"
        while session.query_one(wait)[0] != 0:
            abort.check()
            if time.monotonic() > deadline:
                raise TransientError(
                    "The server has logged changes that have not become visible for "
                    f"{GIVE_UP_AFTER_SECS // 60} minutes (a commit is stalled, perhaps in "
                    "semi-synchronous replication). Everything copied was kept.",
                    advice="Run it again when commits pass.",
                )
