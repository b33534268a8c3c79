"""Row events: from an event's bytes to the keys of a subscribed table."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from migrations_app.engine.binlog.errors import UnreadableEventError
from migrations_app.engine.binlog.events import HEADER_BYTES, KIND_AT, EventType, read_packed
from migrations_app.engine.binlog.sink import Subscription, TableName
from migrations_app.engine.binlog.tablemap import TableMap, parse_table_map, table_name
from migrations_app.engine.binlog.values import fits
from migrations_app.engine.binlog.walker import build_row_walker, build_update_walker
from migrations_app.engine.errors import SchemaChangedError
from migrations_app.engine.keys import Key

_TABLE_ID_BYTES = 6
# Different TABLE_MAPs remembered; each has a few hundred bytes.
_CACHE_LIMIT = 4096

ROW_EVENTS = frozenset(
    {
        EventType.WRITE_ROWS_V1, EventType.UPDATE_ROWS_V1, EventType.DELETE_ROWS_V1,
        EventType.WRITE_ROWS, EventType.UPDATE_ROWS, EventType.DELETE_ROWS,
        EventType.PARTIAL_UPDATE_ROWS,
    }
)  # fmt: skip
_V1 = frozenset({EventType.WRITE_ROWS_V1, EventType.UPDATE_ROWS_V1, EventType.DELETE_ROWS_V1})
_UPDATES = frozenset(
    {EventType.UPDATE_ROWS_V1, EventType.UPDATE_ROWS, EventType.PARTIAL_UPDATE_ROWS}
)
_DELETES = frozenset({EventType.DELETE_ROWS_V1, EventType.DELETE_ROWS})


class KeyRun(NamedTuple):
    """Keys of one table that were all deleted, or all inserted or updated."""

    table: TableName
    keys: list[Key]
    deleted: bool


class _WatchedTable:
    """A subscribed table as one TABLE_MAP describes it, with the walkers made for it so far."""

    __slots__ = ("layout", "subscription", "walkers")

    def __init__(self, layout: TableMap, subscription: Subscription) -> None:
        self.layout = layout
        self.subscription = subscription
        self.walkers: dict[tuple[int, bytes], Any] = {}


class RowEvents:
    """Remembers the TABLE_MAPs of a stream and turns row events into runs of keys."""

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        self._subscriptions = subscriptions
        self._wanted = {subscription.name: subscription for subscription in subscriptions}
        self._ignores_case = False
        self._by_body: dict[bytes, _WatchedTable | None] = {}
        self._by_id: dict[bytes, _WatchedTable] = {}

    def stream_opened(self, *, ignores_case: bool) -> None:
        """ignores_case: the server does not tell upper from lower case in table names."""
        self._ignores_case = ignores_case
        self._wanted = {self._folded(wanted.name): wanted for wanted in self._subscriptions}
        self._by_body.clear()
        self._by_id.clear()

    def forget_ids(self) -> None:
        """Table ids begin anew after a restart of the server, which begins a new file."""
        self._by_id.clear()

    def table_map(self, event: bytes) -> None:
        """Note which table the following row events with this id belong to.

        Raises UnreadableEventError, SchemaChangedError.
        """
        at = HEADER_BYTES + _TABLE_ID_BYTES
        table_id, body = event[HEADER_BYTES:at], event[at:]
        try:
            watched = self._by_body[body]
        except KeyError:
            watched = self._recognized(event[HEADER_BYTES:])
            if len(self._by_body) >= _CACHE_LIMIT:
                self._by_body.clear()
            self._by_body[body] = watched
        if watched is not None:
            self._by_id[table_id] = watched
        else:
            self._by_id.pop(table_id, None)

    def keys(self, event: bytes) -> Iterable[KeyRun]:
        """The keys of a row event, in order; nothing for a table nobody asked for.

        Raises UnreadableEventError, ChangesLostError.
        """
        watched = self._by_id.get(event[HEADER_BYTES : HEADER_BYTES + _TABLE_ID_BYTES])
        if watched is None:
            return ()
        try:
            return self._walk(watched, event)
        except (IndexError, struct.error, ValueError) as error:
            raise _unreadable(watched, str(error)) from error

    def _folded(self, name: TableName) -> TableName:
        return (name[0].lower(), name[1].lower()) if self._ignores_case else name

    def _recognized(self, body: bytes) -> _WatchedTable | None:
        subscription = self._wanted.get(self._folded(table_name(body)))
        if subscription is None:
            return None
        layout = parse_table_map(body)
        for column in subscription.key_columns:
            if column.ordinal >= len(layout.columns) or not fits(
                column, layout.columns[column.ordinal]
            ):
                raise SchemaChangedError(
                    f"The binary log describes {subscription.schema}.{subscription.table} "
                    f"otherwise than the server did when the migration began: column "
                    f"{column.name} is not the {column.column_type} it was. The next run starts "
                    f"afresh from the table as it is."
                )
        return _WatchedTable(layout, subscription)

    def _walk(self, watched: _WatchedTable, event: bytes) -> Iterable[KeyRun]:
        kind = event[KIND_AT]
        at = HEADER_BYTES + _TABLE_ID_BYTES + 2
        if kind not in _V1:
            # The size of the extra data counts its own two bytes.
            at += event[at] | event[at + 1] << 8
        columns, at = read_packed(event, at)
        bitmap_bytes = (columns + 7) // 8
        bitmap_end = at + bitmap_bytes * (2 if kind in _UPDATES else 1)
        bitmaps = event[at:bitmap_end]
        walk = watched.walkers.get((kind, bitmaps))
        if walk is None:
            walk = _build(watched, kind, bitmaps, bitmap_bytes)
            watched.walkers[(kind, bitmaps)] = walk
        end = len(event)
        *found, reached = walk(event, bitmap_end, end)
        if reached != end:
            raise _unreadable(watched, f"a row ends at byte {reached} of {end}")
        name = watched.subscription.name
        if kind in _UPDATES:
            return _updated(name, *found)
        return (KeyRun(name, found[0], kind in _DELETES),)


def _build(watched: _WatchedTable, kind: int, bitmaps: bytes, bitmap_bytes: int) -> Any:
    layout, key = watched.layout, watched.subscription.key_columns
    if kind not in _UPDATES:
        return build_row_walker(layout, bitmaps, key, inserted=kind not in _DELETES)
    return build_update_walker(
        layout, bitmaps[:bitmap_bytes], bitmaps[bitmap_bytes:], key,
        partial_json=kind == EventType.PARTIAL_UPDATE_ROWS,
    )  # fmt: skip


def _updated(name: TableName, olds: list[Key], news: list[Key]) -> Iterator[KeyRun]:
    """Updates whose keys stayed the same are one run; a changed key is a delete, then an upsert."""
    if olds == news:
        yield KeyRun(name, news, False)
        return
    unchanged: list[Key] = []
    for old, new in zip(olds, news, strict=True):
        if old == new:
            unchanged.append(new)
            continue
        if unchanged:
            yield KeyRun(name, unchanged, False)
            unchanged = []
        yield KeyRun(name, [old], True)
        yield KeyRun(name, [new], False)
    if unchanged:
        yield KeyRun(name, unchanged, False)


def _unreadable(watched: _WatchedTable, detail: str) -> UnreadableEventError:
    name = f"{watched.subscription.schema}.{watched.subscription.table}"
    return UnreadableEventError(f"A row event of {name} could not be read: {detail}.")
