"""An application that writes to a table during its migration, and knows what must be in it.

``LiveWriter`` inserts, updates, deletes, changes keys and brings deleted keys back, at a steady
rate on several connections, within bounds it never passes. It survives the swap of the table,
deadlocks and lost connections. Its ledger says, for every key it touched, the row that must be
there; ``playground.comparison`` compares a table with it::

    with LiveWriter(dsn, rate=500, seed=1) as writer:
        ...                                  # migrate
    result = compare(dsn, writer.table, writer.ledger, baseline="_orders_old")
    assert result.differences == []
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import random
import threading
import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import MySQLdb

from migrations_app.engine.dsn import Dsn
from playground.connections import as_dsn, connected, query, quote
from playground.latency import Latencies, LatencySummary, summary
from playground.ledger import Ledger, Share
from playground.planner import DEFAULT_HABITS, SAMPLED_ROWS, Habits, Planner
from playground.tables import Key, Row, Table, column_names, read_rows, read_table
from playground.writersession import SurpriseError, WriterError, WriterSession

STOP_TIMEOUT_SECS = 90.0


@dataclasses.dataclass(frozen=True)
class WriterReport:
    """What a writer did. retries: survived server errors by number; surprises: rows that were not
    as booked when the writer came back to them, which only a lost or doubled write can cause."""

    writes: int
    by_kind: dict[str, int]
    secs: float
    retries: dict[int, int]
    surprises: list[str]
    latency: LatencySummary


class LiveWriter:
    """Writes to one table until stopped, or until a bound is reached.

    dsn: the schema and account; table: its name or a ``Table``; rate: changes a second over all
    connections; max_secs, max_changes: bounds; threads: connections; seed: the same one chooses
    the same rows and values; habits: which kinds of changes, on how many rows. Nobody else may
    write to the table in the meantime.
    """

    def __init__(
        self,
        dsn: str | Dsn,
        *,
        table: str | Table = "orders",
        rate: float = 500.0,
        max_secs: float = 600.0,
        max_changes: int = 300_000,
        # Commits of several connections share a flush of the log.
        threads: int = 8,
        seed: int = 1,
        habits: Habits = DEFAULT_HABITS,
    ) -> None:
        self.dsn = as_dsn(dsn)
        self.rate = rate
        self.max_secs = max_secs
        self.max_changes = max_changes
        self.seed = seed
        self.habits = habits
        self._threads_wanted = max(1, min(threads, max_changes))
        self._given_table = table
        self._table: Table | None = None
        self._hands: list[_Hand] = []
        self._stop = threading.Event()
        self._started_at = 0.0
        self._ended_at: float | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except WriterError:
            # Whatever left the block is the more interesting news.
            if error is None:
                raise

    def start(self) -> None:
        """Read what is there, then begin to write. Raises ValueError for an unsuitable table."""
        with connected(self.dsn) as connection:
            table, rows, free = _take_stock(
                connection, self._given_table, self.seed, self.habits.sampled_rows
            )
        self._table = table
        count = self._threads_wanted
        keys = list(rows)
        name = uuid.uuid4().hex
        serials = itertools.count(self.seed * 100_000_000)
        self._started_at = time.monotonic()
        schedule = _Schedule(self.rate / count, self._started_at, self.max_secs)
        for number in range(count):
            share = Share(
                table, {key: rows[key] for key in keys[number::count]}, free[number::count]
            )
            session = WriterSession(self.dsn, table, f"writer:{name}:{number}")
            changes = self.max_changes // count + (number < self.max_changes % count)
            hand = _Hand(
                share,
                session,
                Planner(table, share, random.Random(f"{self.seed}/{number}"), serials, self.habits),
                dataclasses.replace(schedule, offset=number / count),
                changes,
                self._stop,
            )
            self._hands.append(hand)
            hand.thread = threading.Thread(target=hand.run, name=f"live-writer-{number}")
        for hand in self._hands:
            hand.thread.start()

    def stop(self) -> None:
        """Finish the transactions in flight and end every thread. Calling it twice is harmless.

        Raises WriterError when a thread had to give up or does not end.
        """
        self._stop.set()
        deadline = time.monotonic() + STOP_TIMEOUT_SECS
        for hand in self._hands:
            hand.thread.join(max(0.0, deadline - time.monotonic()))
        if self._ended_at is None:
            self._ended_at = time.monotonic()
        if any(hand.thread.is_alive() for hand in self._hands):
            raise WriterError(f"The live writer did not end within {STOP_TIMEOUT_SECS:.0f} s.")
        self.check()

    def check(self) -> None:
        """Raise WriterError when a thread had to give up."""
        for hand in self._hands:
            if hand.failure is not None:
                raise WriterError(str(hand.failure)) from hand.failure

    @property
    def is_writing(self) -> bool:
        return any(hand.thread.is_alive() for hand in self._hands)

    @property
    def changes(self) -> int:
        """Changes committed so far."""
        return sum(sum(hand.share.counts.values()) for hand in self._hands)

    @property
    def elapsed_secs(self) -> float:
        """Seconds since ``start``; latencies' ``due_secs`` count from there too."""
        return (self._ended_at or time.monotonic()) - self._started_at

    @property
    def table(self) -> Table:
        """The description of the table; known once started."""
        if self._table is None:
            raise WriterError("The live writer was not started.")
        return self._table

    @property
    def ledger(self) -> Ledger:
        """The books of all threads. Raises WriterError while any of them still writes."""
        if self.is_writing:
            raise WriterError("The ledger is exact only once the live writer has stopped.")
        return Ledger.of(hand.share for hand in self._hands)

    @property
    def surprises(self) -> list[str]:
        return [text for hand in self._hands for text in hand.surprises]

    def latency(self, since_secs: float = 0.0, until_secs: float = float("inf")) -> LatencySummary:
        """Latencies of what was due in a span, in seconds since ``start``."""
        measured = [hand.latencies for hand in self._hands]
        return summary(measured, since_secs=since_secs, until_secs=until_secs)

    def report(self) -> WriterReport:
        by_kind: collections.Counter[str] = collections.Counter()
        retries: collections.Counter[int] = collections.Counter()
        for hand in self._hands:
            by_kind.update({str(kind): count for kind, count in hand.share.counts.items()})
            retries.update(hand.session.retries)
        return WriterReport(
            self.changes,
            dict(by_kind),
            self.elapsed_secs,
            dict(retries),
            self.surprises,
            self.latency(),
        )


@dataclasses.dataclass(frozen=True)
class _Schedule:
    """When each change of one thread is due: an even rate from a common start."""

    rate: float
    started_at: float
    max_secs: float
    offset: float = 0.0

    def due_secs(self, number: int) -> float:
        return (number + self.offset) / self.rate


class _Hand:
    """One thread: takes the next change when it is due, has it committed, books it."""

    thread: threading.Thread

    def __init__(
        self,
        share: Share,
        session: WriterSession,
        planner: Planner,
        schedule: _Schedule,
        max_changes: int,
        stop: threading.Event,
    ) -> None:
        self.share = share
        self.session = session
        self.planner = planner
        self.schedule = schedule
        self.max_changes = max_changes
        self.latencies = Latencies()
        self.surprises: list[str] = []
        self.failure: Exception | None = None
        self._stop = stop

    def run(self) -> None:
        try:
            self._write()
        except Exception as error:
            # Handed to whoever stops the writer; a thread that dies in silence would look idle.
            self.failure = error
        finally:
            self.session.close()

    def _write(self) -> None:
        slot = done = 0
        while done < self.max_changes:
            due_secs = self.schedule.due_secs(slot)
            if due_secs >= self.schedule.max_secs or not self._wait_for(due_secs):
                return
            behind_secs = time.monotonic() - self.schedule.started_at - due_secs
            backlog_secs = behind_secs - self.planner.habits.longest_backlog_secs
            if backlog_secs > 0:
                slot += int(backlog_secs * self.schedule.rate) + 1
                continue
            changes = self.planner.plan(self.max_changes - done)
            try:
                for change in self.session.commit(changes):
                    self.share.book(change)
            except SurpriseError as error:
                self.surprises.append(str(error))
                self.share.set_aside(error.change)
            taken_secs = time.monotonic() - self.schedule.started_at - due_secs
            self.latencies.add(due_secs, taken_secs)
            slot += len(changes)
            done += len(changes)

    def _wait_for(self, due_secs: float) -> bool:
        """Wait until a change is due; False when told to stop."""
        wait_secs = self.schedule.started_at + due_secs - time.monotonic()
        if wait_secs > 0:
            return not self._stop.wait(wait_secs)
        return not self._stop.is_set()


def _take_stock(
    connection: MySQLdb.Connection, given: str | Table, seed: int, sampled_rows: int
) -> tuple[Table, dict[Key, Row], list[Key]]:
    """The table's description, a sample of its rows by key, and keys that are free."""
    name = given if isinstance(given, str) else given.name
    columns = column_names(connection, name)
    if not columns:
        raise ValueError(f"There is no table {name} to write to.")
    names = ", ".join(quote(column) for column in columns)
    [(count,)] = query(connection, f"SELECT COUNT(*) FROM {quote(name)}")
    share = min(1.0, sampled_rows / max(1, count))
    sample = query(connection, f"SELECT {names} FROM {quote(name)} WHERE RAND({seed}) < {share}")
    table = given if isinstance(given, Table) else read_table(connection, name, sample)
    if isinstance(given, Table):
        sample = query(
            connection,
            f"SELECT {table.columns_sql} FROM {quote(name)} WHERE RAND({seed}) < {share}",
        )
    rows = {table.key_of(row): row for row in map(table.loaded, sample)}
    return table, rows, _free_keys(connection, table, seed, min(sampled_rows, SAMPLED_ROWS))


def _free_keys(connection: MySQLdb.Connection, table: Table, seed: int, wanted: int) -> list[Key]:
    """Keys that no row has, in the order in which they were thought of."""
    source = random.Random(seed)
    candidates = list(dict.fromkeys(table.new_key(source, number) for number in range(2 * wanted)))
    free: list[Key] = []
    for first in range(0, len(candidates), 1000):
        some: Sequence[Key] = candidates[first : first + 1000]
        taken = read_rows(connection, table, some)
        free += [key for key in some if key not in taken]
        if len(free) >= wanted:
            break
    return free
