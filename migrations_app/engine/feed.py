"""From the binary log's reader to the delta buffer, and how far it has got."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping

from migrations_app.engine.abort import Abort
from migrations_app.engine.binlog import Position
from migrations_app.engine.deltas import DeltaBuffer
from migrations_app.engine.errors import SchemaChangedError, TransientError
from migrations_app.engine.keys import Key
from migrations_app.engine.observer import Event, Level
from migrations_app.engine.options import Options
from migrations_app.engine.visibility import Visibility

CATCH_UP_SECS = 120
TableName = tuple[str, str]


class Feed:
    """The reader's sink: called on its thread, in the order of the binary log.

    buffers: of the run's tables, by schema and table. awaited: set while somebody waits for what
    the reader has yet to bring.
    """

    def __init__(
        self,
        start: Position,
        buffers: Mapping[TableName, DeltaBuffer],
        visibility: Visibility,
        abort: Abort,
        tell: Callable[[Event], None],
        options: Options,
    ) -> None:
        self._tell = tell
        self._buffers = buffers
        self._soft_limit = options.max_buffered_keys
        self._held = False
        self._visibility = visibility
        self._abort = abort
        self._moved = threading.Condition()
        self._position = start
        self._in_transaction = False
        self._waiting = 0
        self.awaited = threading.Event()
        self._expect_ddl = threading.Event()

    # -- binlog.Sink

    def transaction_started(self, gtid: str) -> None:
        self._in_transaction = True
        self._visibility.transaction_started(gtid)

    def keys_changed(self, table: TableName, keys: list[Key], deleted: bool) -> None:
        # In this order: a key dropped by the buffer must be covered by the next chunk's ticket.
        self._visibility.delivered()
        self._buffers[table].add(keys, deleted)

    def transaction_ended(self, position: Position) -> None:
        self._in_transaction = False
        self._all_added_before(position)
        self._set(position)

    def position_moved(self, position: Position) -> None:
        if not self._in_transaction:
            self._all_added_before(position)
        self._set(position)

    def _all_added_before(self, position: Position) -> None:
        for deltas in self._buffers.values():
            deltas.transaction_ended(position)

    def schema_changed(self, table: TableName, sql: str, position: Position) -> None:
        """Rule 7: a change by somebody else makes shadow table and checkpoint worthless."""
        if self._expect_ddl.is_set():
            return
        self._abort.set(
            SchemaChangedError(
                f"Somebody else changed the definition of {table[1]} during the run "
                f"({_shortened(sql)!r}). The shadow table no longer fits it; the next run starts "
                f"afresh. {table[1]} is as that statement left it.",
                {"sql": _shortened(sql), "position": f"{position.file}:{position.offset}"},
            )
        )

    def stream_reconnected(self, reason: str, attempt: int) -> None:
        self._tell(
            Event(
                "stream_reconnected",
                f"The binary log stream was lost and opened again (attempt {attempt}): {reason}. "
                f"No change was missed.",
                Level.WARNING,
                {"attempt": attempt},
            )
        )

    # -- the run's side

    def expect_ddl(self) -> None:
        """What changes the table from now on is our own rename."""
        self._expect_ddl.set()

    def expect_no_ddl(self) -> None:
        self._expect_ddl.clear()

    def too_many_keys(self) -> bool:
        """The reader's brake: too many deltas are held. Asked again and again; said once."""
        waiting = self._keys_waiting()
        held = waiting > self._soft_limit
        if held != self._held:
            self._held = held
            self._tell(_reader_held(waiting) if held else _reader_released(waiting))
        return held

    def _set(self, position: Position) -> None:
        with self._moved:
            self._position = position
            self._moved.notify_all()

    @property
    def position(self) -> Position:
        with self._moved:
            return self._position

    def wait_for(self, position: Position, deadline_secs: float | None = None) -> None:
        """Return once everything before ``position`` has been delivered.

        Raises the abort's reason, or TransientError at the deadline; without one, when neither the
        reader nor the applier has moved for ``CATCH_UP_SECS``: much may have come meanwhile.
        """
        longest_secs = CATCH_UP_SECS if deadline_secs is None else deadline_secs
        deadline, seen = time.monotonic() + longest_secs, self._stand()
        with self._awaiting(), self._moved:
            while not self._position.reached(position.file, position.offset):
                self._abort.check()
                if time.monotonic() > deadline:
                    stand = self._stand()
                    if deadline_secs is None and stand != seen:
                        deadline, seen = time.monotonic() + longest_secs, stand
                        continue
                    raise TransientError(
                        f"The binary log could not be read up to {position.file}:"
                        f"{position.offset} within {longest_secs:.0f} s (now at "
                        f"{self._position.file}:{self._position.offset}). Progress was kept."
                    )
                self._moved.wait(0.1)

    def _stand(self) -> tuple[Position, int]:
        """How far the reader is, and how much waits for the applier."""
        return self._position, self._keys_waiting()

    def _keys_waiting(self) -> int:
        return sum(deltas.waiting for deltas in self._buffers.values())

    @contextlib.contextmanager
    def _awaiting(self) -> Iterator[None]:
        """The reader does not rest meanwhile."""
        with self._moved:
            self._waiting += 1
            self.awaited.set()
        try:
            yield
        finally:
            with self._moved:
                self._waiting -= 1
                if not self._waiting:
                    self.awaited.clear()


def _reader_held(waiting: int) -> Event:
    return Event(
        "reader_held",
        f"{waiting:,} changed keys are waiting to be applied, above the limit: the binary log is "
        f"read on when there are fewer. Nothing is missed as long as the server keeps its log. "
        f"Raise the volume if this lasts.",
        Level.WARNING,
        {"waiting": waiting},
    )


def _reader_released(waiting: int) -> Event:
    return Event(
        "reader_released",
        f"The binary log is read on; {waiting:,} changed keys are waiting to be applied.",
        data={"waiting": waiting},
    )


def _shortened(sql: str, limit: int = 200) -> str:
    return sql if len(sql) <= limit else sql[: limit - 1] + "…"
