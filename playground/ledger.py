"""What a table must hold, in the writer's own books: kept in memory, never read from the table.

Each writer thread owns a ``Share``: keys nobody else writes. So the order of its commits is the
order of its bookings, and the books are exact without a lock. A ``Ledger`` is all shares together.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from playground.tables import Key, Row, Table

RECENT_KEYS = 64


class Kind(enum.StrEnum):
    """What a change does to a row."""

    INSERT = "insert"
    UPDATE = "update"
    MOVE = "move"  # UPDATE of the key
    DELETE = "delete"
    REINSERT = "reinsert"  # INSERT of a key that was deleted before
    REPLACE = "replace"  # DELETE and INSERT of one key in one transaction


@dataclasses.dataclass(frozen=True)
class Change:
    """A row before and after; None where there is no row.

    A row without a key yet (the server will number it) has ``key_after`` None.
    """

    kind: Kind
    key_before: Key | None
    before: Row | None
    key_after: Key | None
    after: Row | None

    @property
    def states(self) -> Iterator[tuple[Key, Row | None, Row | None]]:
        """(key, row before, row after) for each key the change is about."""
        if self.key_before is not None and self.key_before != self.key_after:
            yield self.key_before, self.before, None
        if self.key_after is not None:
            same = self.key_before == self.key_after
            yield self.key_after, self.before if same else None, self.after


class KeyList:
    """Keys to choose from at random; every operation takes constant time."""

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys = list(keys)
        self._places = {key: place for place, key in enumerate(self._keys)}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: Key) -> bool:
        return key in self._places

    def add(self, key: Key) -> None:
        if key not in self._places:
            self._places[key] = len(self._keys)
            self._keys.append(key)

    def discard(self, key: Key) -> None:
        place = self._places.pop(key, None)
        if place is None:
            return
        last = self._keys.pop()
        if last != key:
            self._keys[place] = last
            self._places[last] = place

    def choose(self, source: random.Random) -> Key:
        return self._keys[source.randrange(len(self._keys))]


class Share:
    """One thread's keys: rows that are there, keys that are free, and what was booked.

    live: rows by key; free: keys never used; graves: keys of rows this share deleted or moved.
    booked: for every key ever written, the row it must hold, or None when it must hold none.
    spare_values: by the place of a unique column, values no row holds any more.
    """

    def __init__(self, table: Table, rows: Mapping[Key, Row], free: Sequence[Key]) -> None:
        self.rows = dict(rows)
        self.live = KeyList(self.rows)
        self.free = KeyList(free)
        self.graves = KeyList()
        self.recent: collections.deque[Key] = collections.deque(maxlen=RECENT_KEYS)
        self.booked: dict[Key, Row | None] = {}
        self.counts: collections.Counter[Kind] = collections.Counter()
        self.spare_values: dict[int, list[Any]] = {
            place: [] for place, column in enumerate(table.columns) if column.unique
        }

    def book(self, change: Change) -> None:
        """Enter a change that was committed."""
        self.counts[change.kind] += 1
        for key, _, row in change.states:
            self.booked[key] = row
            self.free.discard(key)
            if row is None:
                self.rows.pop(key, None)
                self.live.discard(key)
                self.graves.add(key)
            else:
                self.rows[key] = row
                self.live.add(key)
                self.graves.discard(key)
                self.recent.append(key)
        for place, spare in self.spare_values.items():
            given_up = change.before[place] if change.before is not None else None
            if given_up is not None and (change.after is None or change.after[place] != given_up):
                spare.append(given_up)

    def set_aside(self, change: Change) -> None:
        """Never write these keys again: the table and the books disagree about them."""
        for key, before, _ in change.states:
            self.booked.setdefault(key, before)
            for keys in (self.live, self.free, self.graves):
                keys.discard(key)


@dataclasses.dataclass(frozen=True)
class Ledger:
    """For every key the writer touched, the exact row it must hold, or None for no row."""

    rows: Mapping[Key, Row | None]

    @classmethod
    def of(cls, shares: Iterable[Share]) -> Ledger:
        rows: dict[Key, Row | None] = {}
        for share in shares:
            rows.update(share.booked)
        return cls(rows)

    def __len__(self) -> int:
        return len(self.rows)
