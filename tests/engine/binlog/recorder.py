"""A sink that keeps what it is told, and helpers around a reader on a private server."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from migrations_app.engine import Dsn
from migrations_app.engine.binlog import BinlogReader, Position, Subscription, current_position
from migrations_app.engine.keys import Key, KeyColumn
from migrations_app.engine.session import Session
from tests.conftest import Schema

DEADLINE_SECS = 60


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Return once the condition holds; fail the test at the deadline."""
    deadline = time.monotonic() + DEADLINE_SECS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen in {DEADLINE_SECS} s"
        time.sleep(0.01)


class Recorder:
    """Keeps every call, in order, as (kind, …) tuples. Read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: list[tuple[Any, ...]] = []
        self.positions: list[Position] = []

    def _note(self, *call: Any) -> None:
        with self._lock:
            self._calls.append(call)

    def transaction_started(self, gtid: str) -> None:
        self._note("started", gtid)

    def keys_changed(self, table: tuple[str, str], keys: list[Key], deleted: bool) -> None:
        self._note("keys", table[1], list(keys), deleted)

    def transaction_ended(self, position: Position) -> None:
        self.positions.append(position)
        self._note("ended", position)

    def position_moved(self, position: Position) -> None:
        self.positions.append(position)

    def schema_changed(self, table: tuple[str, str], sql: str, position: Position) -> None:
        self._note("schema", table[1], sql)

    def stream_reconnected(self, reason: str, attempt: int) -> None:
        self._note("reconnected", reason, attempt)

    def calls(self, *kinds: str) -> list[tuple[Any, ...]]:
        with self._lock:
            return [call for call in self._calls if call[0] in kinds]

    def changes(self, table: str = "t") -> list[tuple[Key, bool]]:
        """Every changed key with whether it was deleted, in order."""
        return [
            (key, deleted)
            for _, name, keys, deleted in self.calls("keys")
            if name == table
            for key in keys
        ]


def session(schema: Schema) -> Session:
    return Session(schema.dsn, "test", "test")


def position_now(schema: Schema) -> Position:
    asking = session(schema)
    try:
        return current_position(asking)
    finally:
        asking.close()


def key_columns(schema: Schema, table: str, *names: str) -> tuple[KeyColumn, ...]:
    """Key columns as the engine reads them from information_schema."""
    asking = session(schema)
    try:
        rows = asking.query_dicts(
            "SELECT * FROM information_schema.COLUMNS "
            f"WHERE TABLE_SCHEMA = '{schema.name}' AND TABLE_NAME = '{table}' "
            "ORDER BY ORDINAL_POSITION"
        )
    finally:
        asking.close()
    by_name = {
        str(row["COLUMN_NAME"]): KeyColumn.from_information_schema(row, ordinal)
        for ordinal, row in enumerate(rows)
    }
    return tuple(by_name[name] for name in names)


def subscription(schema: Schema, table: str = "t", *names: str) -> Subscription:
    return Subscription(schema.name, table, key_columns(schema, table, *(names or ("id",))))


class Reading:
    """A running reader with its recorder."""

    def __init__(self, schema: Schema, reader: BinlogReader, recorder: Recorder) -> None:
        self.schema = schema
        self.reader = reader
        self.recorder = recorder

    def catch_up(self) -> None:
        """Wait until everything logged so far was delivered."""
        target = position_now(self.schema)
        wait_until(
            lambda: (
                self.reader.error is not None
                or self.reader.delivered.reached(target.file, target.offset)
            ),
            f"reading up to {target} (now at {self.reader.delivered}, {self.reader.error!r})",
        )
        if self.reader.error is not None:
            raise self.reader.error

    def changes(self, table: str = "t") -> list[tuple[Key, bool]]:
        self.catch_up()
        return self.recorder.changes(table)


@contextlib.contextmanager
def reading(
    schema: Schema,
    *subscriptions: Subscription,
    start: Position | None = None,
    dsn: Dsn | None = None,
    **options: Any,
) -> Iterator[Reading]:
    """A reader that is started for the block and always stopped."""
    recorder = Recorder()
    options.setdefault("use_gtid", schema.server.gtid)
    options.setdefault("heartbeat_secs", 0.1)
    reader = BinlogReader(
        dsn or schema.dsn, start or position_now(schema), subscriptions, recorder, **options
    )
    reader.start()
    try:
        yield Reading(schema, reader, recorder)
    finally:
        reader.stop()
