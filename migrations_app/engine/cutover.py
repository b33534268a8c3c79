"""Swapping the tables: one atomic rename under a table lock, or nothing.

While ``LOCK TABLES t WRITE, _t_new WRITE`` is held nobody else can touch the table, so the stream
read up to the locked position is everything; the rest of the deltas is applied on the same
connection; the rename is atomic under the lock (MySQL 8.0.13 and later). Several tables are locked
and renamed together.

A request for a lock makes every later statement on the table wait behind it. So the first attempts
ask only for a moment, which costs the application little when a long transaction is in the way;
later ones wait as long as the volume allows, and end who is in the way.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
import time
from collections.abc import Iterator, Sequence

import MySQLdb

from migrations_app.engine import blockers, definitions
from migrations_app.engine.binlog import current_position
from migrations_app.engine.blockers import Blocker
from migrations_app.engine.errors import (
    EngineError,
    SchemaChangedError,
    ServerLostError,
    StoppedError,
    TransientError,
)
from migrations_app.engine.names import TableNames
from migrations_app.engine.observer import Event, Level
from migrations_app.engine.session import (
    ER_NO_SUCH_TABLE,
    Session,
    error_code,
    is_contention,
    server_text,
)
from migrations_app.engine.table import auto_increment_of
from migrations_app.engine.tablerun import TableRun
from migrations_app.engine.work import Run

_ATTEMPTS = 20
_FIRST_WAITS_SECS = (1, 1, 2, 5)
_FIRST_PAUSE_SECS = 1.0
_LONGEST_PAUSE_SECS = 30.0
# The table is locked meanwhile: better to let go and try again than to wait long for the stream.
_STREAM_SECS_UNDER_LOCK = 10
_FEW_DELTAS = 2_000
# How far the reader may be behind the server when the lock is asked for. Further, where it does not
# come closer by a tenth: then waiting does not help.
_CLOSE_SECS = 1.0
_CLOSER = 0.9
_CATCH_UP_ROUNDS = 50
_KILL_AT = 0.9
_LOOK_EVERY_SECS = 0.2


@dataclasses.dataclass(frozen=True, slots=True)
class Swap:
    """stall_secs: the longest time during which the application's statements on the tables may
    have waited, in any of the attempts."""

    stall_secs: float
    attempts: int
    deltas: int


class CutOverHeldError(Exception):
    """The order to swap was taken back; nothing was changed."""


class CutOver:
    """Swaps the tables of a run."""

    def __init__(self, run: Run, tables: Sequence[TableRun]) -> None:
        self._run = run
        self._tables = tables
        self._all_names = [table.work.names for table in tables]
        self._called = ", ".join(names.table for names in self._all_names)
        self._stall_secs = 0.0

    def run(self) -> Swap:
        """Try until the tables are swapped. Raises TransientError after many failed attempts, and
        CutOverHeldError when it is held meanwhile."""
        pause = _FIRST_PAUSE_SECS
        for attempt in range(1, _ATTEMPTS + 1):
            self._come_close()
            with self._run.sessions.opened("cutover") as session:
                try:
                    # So that a successor knows a finished swap when it sees one.
                    self._run.calls.intend()
                    deltas = self._attempt(session, self._lock_wait_secs(attempt))
                    return Swap(self._stall_secs, attempt, deltas)
                except (MySQLdb.Error, TransientError) as error:
                    if session.lost:
                        if self.already_swapped():
                            return Swap(self._stall_secs, attempt, 0)
                        # A rename that may have come meanwhile is not ours.
                        self._run.feed.expect_no_ddl()
                    self._run.abort.check()
                    if isinstance(error, MySQLdb.Error) and not is_contention(error):
                        raise
                    self._blocked(attempt, error, pause, self._holders(session))
            self._pause(pause)
            pause = min(_LONGEST_PAUSE_SECS, pause * 2)
        raise TransientError(
            f"The tables could not be swapped in {_ATTEMPTS} attempts: others kept "
            f"{self._called} locked. Everything is copied and verified, and was kept.",
            advice="Run it again at a quieter time.",
        )

    def _lock_wait_secs(self, attempt: int) -> int:
        longest = self._run.lock_wait_timeout_secs
        if attempt > len(_FIRST_WAITS_SECS):
            return longest
        return min(longest, _FIRST_WAITS_SECS[attempt - 1])

    def _come_close(self) -> None:
        """Return when little is left to read and to apply, or it does not become less: what is left
        then is done while the application waits."""
        before = math.inf
        while True:
            began = time.monotonic()
            self.catch_up()
            self._check_gate()
            secs = time.monotonic() - began
            if secs <= _CLOSE_SECS or secs > _CLOSER * before:
                return
            before = secs

    def catch_up(self) -> None:
        """Return when few deltas are left."""
        with self._run.sessions.opened("position") as session:
            for _ in range(_CATCH_UP_ROUNDS):
                self._run.feed.wait_for(current_position(session))
                for table in self._tables:
                    table.applier.flush()
                if self._waiting <= _FEW_DELTAS:
                    return
        raise TransientError(
            f"Changes to {self._called} arrive faster than they can be applied "
            f"({self._waiting:,} waiting). Everything was kept; a higher volume or a quieter time "
            f"lets them be applied.",
            advice="Run it again at a quieter time, or with a higher volume.",
        )

    @property
    def _waiting(self) -> int:
        return sum(table.work.deltas.waiting for table in self._tables)

    def _attempt(self, session: Session, lock_wait_secs: int) -> int:
        """Lock, apply the rest, rename; returns the number of deltas applied under the lock."""
        session.query(f"SET SESSION lock_wait_timeout = {lock_wait_secs}")
        locks = ", ".join(
            f"{names.source_sql} WRITE, {names.shadow_sql} WRITE" for names in self._all_names
        )
        with self._appliers_paused(), self._timed():
            with self._killing_blockers(session, lock_wait_secs):
                session.query(f"LOCK TABLES {locks}")
            try:
                self._run.feed.wait_for(current_position(session), _STREAM_SECS_UNDER_LOCK)
                applied = sum(self._apply_rest(session, table) for table in self._tables)
                for names in self._all_names:
                    _keep_auto_increment(session, names)
                self._check(session)
                self._run.feed.expect_ddl()
                self._rename(session)
            except BaseException:
                if not session.lost:
                    self._run.feed.expect_no_ddl()
                raise
            finally:
                with contextlib.suppress(MySQLdb.Error, ServerLostError):
                    session.query("UNLOCK TABLES")
            return applied

    @contextlib.contextmanager
    def _appliers_paused(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for table in self._tables:
                stack.enter_context(table.applier.paused())
            yield

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self._stall_secs = max(self._stall_secs, time.monotonic() - began)

    def _rename(self, session: Session) -> None:
        session.query(
            "RENAME TABLE "
            + ", ".join(
                f"{names.source_sql} TO {names.old_sql}, {names.shadow_sql} TO {names.source_sql}"
                for names in self._all_names
            )
        )
        for table in self._tables:
            table.applier.stop()

    def _apply_rest(self, session: Session, table: TableRun) -> int:
        """Every delta there is, on the locked table.

        First all deletes, then all inserts: every stale row is among these keys, so a unique
        value can only be held twice if the data really holds it twice, and the server says so.
        """
        deltas = table.work.deltas
        batch = deltas.take_everything()
        parts = list(table.work.mapping.source_key.batches(batch.deltas))
        for part in parts:
            table.writer.remove(session, part)
        for part in parts:
            table.writer.insert(session, part)
        deltas.applied(batch.deltas)
        return len(batch.deltas)

    def _check(self, session: Session) -> None:
        if definitions.have_changed(session, self._all_names):
            raise SchemaChangedError(
                f"Somebody else changed the definition of {self._called} since the copy began, "
                f"and the binary log did not show it (sql_log_bin=0, or a statement that could not "
                f"be read). The shadow table no longer fits it; the next run starts afresh. "
                f"{self._called} is as that statement left it."
            )
        for table in self._tables:
            differing = table.checksum.differing_now(session)
            if differing:
                raise table.checksum.difference(differing)
        self._run.lock.check(session)
        self._run.abort.check()
        may_swap = self._run.calls.may_swap()
        self._check_gate()
        if not may_swap:
            raise StoppedError(
                "Stopped right before the tables were swapped; a checkpoint was written."
            )

    def already_swapped(self) -> bool:
        """After a lost connection: whether the rename was made. Raises if that cannot be seen."""
        with self._run.sessions.opened("look") as session:
            return all(
                _exists(session, names.old_sql) and not _exists(session, names.shadow_sql)
                for names in self._all_names
            )

    def _check_gate(self) -> None:
        if self._run.calls.gate.is_held():
            raise CutOverHeldError(
                "The swap is held. The application goes on with the old table; everything is "
                "copied, and kept up to date until the order to cut over."
            )

    def _pause(self, secs: float) -> None:
        """Between two attempts; shorter when the swap is held meanwhile."""
        until = time.monotonic() + secs
        while time.monotonic() < until and not self._run.calls.gate.is_held():
            self._run.abort.wait(min(_LOOK_EVERY_SECS, secs))

    def _holders(self, session: Session) -> list[Blocker]:
        """Who is in the way, as far as the server tells; none when the connection is gone."""
        try:
            return [
                blocker
                for names in self._all_names
                for blocker in blockers.of_table(session, names, session.id)
            ]
        except (EngineError, MySQLdb.Error):
            return []

    def _blocked(
        self, attempt: int, error: Exception, pause: float, holders: list[Blocker]
    ) -> None:
        by = ", ".join(f"session {one.session_id} of {one.account}" for one in holders)
        self._run.tell(
            Event(
                "cutover_blocked",
                f"Attempt {attempt} to swap the tables did not get through"
                f"{f': blocked by {by}' if by else ''} ({server_text(error)}). "
                f"The application goes on with the old table; next attempt in {pause:.0f} s.",
                Level.WARNING,
                {
                    "attempt": attempt,
                    "stall_secs": round(self._stall_secs, 3),
                    "next_attempt_secs": pause,
                    "blockers": [dataclasses.asdict(one) for one in holders],
                },
            )
        )

    @contextlib.contextmanager
    def _killing_blockers(self, session: Session, lock_wait_secs: int) -> Iterator[None]:
        """Inside the block, at 90 % of the longest lock wait, end the sessions that hold a table.
        Shorter waits end nobody."""
        if lock_wait_secs < self._run.lock_wait_timeout_secs:
            yield
            return
        through = threading.Event()

        def watch() -> None:
            if not through.wait(lock_wait_secs * _KILL_AT):
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
        with self._run.sessions.opened("kill") as session:
            for names in self._all_names:
                for blocker in blockers.of_table(session, names, waiting_id):
                    self._run.tell(blockers.end(session, blocker, names.table))


def _keep_auto_increment(session: Session, names: TableNames) -> None:
    """A number that was given to a row and is gone with it must not be given again."""
    ours = auto_increment_of(session, names.schema, names.table)
    theirs = auto_increment_of(session, names.schema, names.shadow)
    if ours and theirs and ours > theirs:
        session.query(f"ALTER TABLE {names.shadow_sql} AUTO_INCREMENT = {ours}")


def _exists(session: Session, table_sql: str) -> bool:
    try:
        session.query(f"SELECT 1 FROM {table_sql} LIMIT 0")
    except MySQLdb.Error as error:
        if error_code(error) == ER_NO_SUCH_TABLE:
            return False
        raise
    return True
