"""Swapping the tables: one atomic rename under a table lock, or nothing.

While ``LOCK TABLES t WRITE, _t_new WRITE`` is held nobody else can touch the table, so the stream
read up to the locked position is everything; the rest of the deltas is applied on the same
connection; the rename is atomic under the lock (MySQL 8.0.13 and later).
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator

import MySQLdb

from migrations_app.engine import blockers
from migrations_app.engine.applier import KEYS_A_BATCH, Applier
from migrations_app.engine.binlog import current_position
from migrations_app.engine.checksum import Checksum
from migrations_app.engine.errors import EngineError, ServerLostError, StoppedError, TransientError
from migrations_app.engine.feed import Feed
from migrations_app.engine.observer import Event, Level
from migrations_app.engine.session import (
    ER_NO_SUCH_TABLE,
    Session,
    error_code,
    is_contention,
    server_text,
)
from migrations_app.engine.shadowwriter import ShadowWriter
from migrations_app.engine.table import auto_increment_of
from migrations_app.engine.work import Work

_ATTEMPTS = 20
_FIRST_PAUSE_SECS = 1.0
_LONGEST_PAUSE_SECS = 30.0
# The table is locked meanwhile: better to let go and try again than to wait long for the stream.
_STREAM_SECS_UNDER_LOCK = 10
_FEW_DELTAS = 2_000
_CATCH_UP_ROUNDS = 50
_KILL_AT = 0.9


@dataclasses.dataclass(frozen=True, slots=True)
class Swap:
    """stall_secs: how long the application's statements on the table may have waited."""

    stall_secs: float
    attempts: int
    deltas: int


class CutOver:
    """may_swap: asked under the lock, right before the rename. intend: writes a checkpoint that
    says the swap is being tried, so that a successor knows a finished one when it sees it."""

    def __init__(
        self,
        work: Work,
        feed: Feed,
        applier: Applier,
        writer: ShadowWriter,
        checksum: Checksum,
        may_swap: Callable[[], bool],
        intend: Callable[[], None],
    ) -> None:
        self._work = work
        self._feed = feed
        self._applier = applier
        self._writer = writer
        self._checksum = checksum
        self._may_swap = may_swap
        self._intend = intend

    def run(self) -> Swap:
        """Try until the tables are swapped. Raises TransientError after many failed attempts."""
        pause = _FIRST_PAUSE_SECS
        for attempt in range(1, _ATTEMPTS + 1):
            self.catch_up()
            self._intend()
            with self._work.sessions.opened("cutover") as session:
                try:
                    stall_secs, deltas = self._attempt(session)
                    return Swap(stall_secs, attempt, deltas)
                except (MySQLdb.Error, TransientError) as error:
                    if session.lost and self.already_swapped():
                        return Swap(0.0, attempt, 0)
                    self._work.abort.check()
                    if isinstance(error, MySQLdb.Error) and not is_contention(error):
                        raise
                    self._blocked(attempt, error, pause)
            self._work.abort.wait(pause)
            pause = min(_LONGEST_PAUSE_SECS, pause * 2)
        raise TransientError(
            f"The tables could not be swapped in {_ATTEMPTS} attempts: others kept "
            f"{self._work.names.table} locked. Everything is copied and verified and was kept; "
            f"run it again at a quieter time."
        )

    def catch_up(self) -> None:
        """Return when few deltas are left, so that the lock is short."""
        with self._work.sessions.opened("position") as session:
            for _ in range(_CATCH_UP_ROUNDS):
                self._feed.wait_for(current_position(session))
                self._applier.flush()
                if self._work.deltas.waiting <= _FEW_DELTAS:
                    return
        raise TransientError(
            f"Changes to {self._work.names.table} arrive faster than they can be applied "
            f"({self._work.deltas.waiting:,} waiting). Everything was kept; raise the volume, or "
            f"run it again at a quieter time."
        )

    def _attempt(self, session: Session) -> tuple[float, int]:
        names, work = self._work.names, self._work
        session.query(f"SET SESSION lock_wait_timeout = {work.lock_wait_timeout_secs}")
        with self._applier.paused():
            began = time.monotonic()
            with self._killing_blockers(session):
                session.query(f"LOCK TABLES {names.source_sql} WRITE, {names.shadow_sql} WRITE")
            try:
                self._feed.wait_for(current_position(session), _STREAM_SECS_UNDER_LOCK)
                applied = self._apply_rest(session)
                self._keep_auto_increment(session)
                self._check(session)
                self._feed.expect_ddl()
                session.query(
                    f"RENAME TABLE {names.source_sql} TO {names.old_sql}, "
                    f"{names.shadow_sql} TO {names.source_sql}"
                )
                self._applier.stop()
            except BaseException:
                if not session.lost:
                    self._feed.expect_no_ddl()
                raise
            finally:
                with contextlib.suppress(MySQLdb.Error, ServerLostError):
                    session.query("UNLOCK TABLES")
            return time.monotonic() - began, applied

    def _apply_rest(self, session: Session) -> int:
        """Every delta there is, on the locked tables.

        First all deletes, then all inserts: every stale row is among these keys, so a unique
        value can only be held twice if the data really holds it twice, and the server says so.
        """
        work = self._work
        batch = work.deltas.take_everything()
        keys = list(batch.deltas)
        parts = [keys[at : at + KEYS_A_BATCH] for at in range(0, len(keys), KEYS_A_BATCH)]
        for part in parts:
            self._writer.remove(session, part)
        for part in parts:
            self._writer.insert(session, part)
        work.deltas.applied(batch.deltas)
        return len(keys)

    def _keep_auto_increment(self, session: Session) -> None:
        """A number that was given to a row and is gone with it must not be given again."""
        names = self._work.names
        ours = auto_increment_of(session, names.schema, names.table)
        theirs = auto_increment_of(session, names.schema, names.shadow)
        if ours and theirs and ours > theirs:
            session.query(f"ALTER TABLE {names.shadow_sql} AUTO_INCREMENT = {ours}")

    def _check(self, session: Session) -> None:
        differing = self._checksum.differing_now(session)
        if differing:
            raise self._checksum.difference(differing)
        self._work.lock.check(session)
        self._work.abort.check()
        if not self._may_swap():
            raise StoppedError(
                "Stopped right before the tables were swapped; a checkpoint was written."
            )

    def already_swapped(self) -> bool:
        """After a lost connection: whether the rename was made. Raises if that cannot be seen."""
        names = self._work.names
        with self._work.sessions.opened("look") as session:
            return _exists(session, names.old_sql) and not _exists(session, names.shadow_sql)

    def _blocked(self, attempt: int, error: Exception, pause: float) -> None:
        self._work.tell(
            Event(
                "cutover_blocked",
                f"Attempt {attempt} to swap the tables did not get through: {server_text(error)}. "
                f"The application goes on with the old table; next attempt in {pause:.0f} s.",
                Level.WARNING,
                {"attempt": attempt},
            )
        )

    @contextlib.contextmanager
    def _killing_blockers(self, session: Session) -> Iterator[None]:
        """Inside the block, at 90 % of the lock wait, end the sessions that hold the table."""
        through = threading.Event()
        delay = self._work.lock_wait_timeout_secs * _KILL_AT

        def watch() -> None:
            if not through.wait(delay):
                with contextlib.suppress(EngineError, MySQLdb.Error):
                    self._kill_blockers(session.id)

        watcher = threading.Thread(target=watch, name="spirit-cutover-watch")
        watcher.start()
        try:
            yield
        finally:
            through.set()
            watcher.join()

    def _kill_blockers(self, waiting_id: int) -> None:
        with self._work.sessions.opened("kill") as session:
            for blocker in blockers.of_table(session, self._work.names, waiting_id):
                self._work.tell(blockers.end(session, blocker, self._work.names.table))


def _exists(session: Session, table_sql: str) -> bool:
    try:
        session.query(f"SELECT 1 FROM {table_sql} LIMIT 0")
    except MySQLdb.Error as error:
        if error_code(error) == ER_NO_SUCH_TABLE:
            return False
        raise
    return True
