"""Chooses what the live writer does next: which row, what kind of change, which values."""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Mapping

from playground.ledger import Change, Kind, Share
from playground.tables import Key, Row, Table
from playground.writersession import WriterError

# One transaction in so many holds several changes.
GROUP_EVERY = 8
GROUP_CHANGES = 3
# How often a row that was written lately is chosen again: quick changes of one row are the hard
# case.
RECENT_SHARE = 0.3
# How often a unique value is one that another row has given up.
SPARE_SHARE = 0.5
MIX = {
    Kind.INSERT: 20,
    Kind.UPDATE: 38,
    Kind.MOVE: 12,
    Kind.DELETE: 16,
    Kind.REINSERT: 10,
    Kind.REPLACE: 4,
}
# A sample of the rows is kept in memory: what a writer updates, moves and deletes.
SAMPLED_ROWS = 20_000
# Behind by more than this (the server was down), the schedule moves on: no flood afterwards.
LONGEST_BACKLOG_SECS = 10.0


@dataclasses.dataclass(frozen=True)
class Habits:
    """How an application writes. The defaults are hard on a migration, for tests.

    mix: how often each kind of change is made, in any unit; group_every: one transaction in so
    many holds GROUP_CHANGES changes, 0 for none; recent_share: how often a row that was written
    lately is chosen again; sampled_rows: about how many of the table's rows it knows of;
    longest_backlog_secs: how far it may be behind its schedule before it gives requests up.
    """

    mix: Mapping[Kind, int] = dataclasses.field(default_factory=lambda: MIX)
    group_every: int = GROUP_EVERY
    recent_share: float = RECENT_SHARE
    sampled_rows: int = SAMPLED_ROWS
    longest_backlog_secs: float = LONGEST_BACKLOG_SECS


DEFAULT_HABITS = Habits()


class Planner:
    """Chooses the next changes of one share."""

    def __init__(
        self,
        table: Table,
        share: Share,
        source: random.Random,
        serials: itertools.count[int],
        habits: Habits = DEFAULT_HABITS,
    ) -> None:
        self.habits = habits
        self._kinds, self._weights = list(habits.mix), list(habits.mix.values())
        self.table = table
        self.share = share
        self.source = source
        self.serials = serials

    def plan(self, at_most: int) -> list[Change]:
        """The changes of one transaction, of different rows; at least one."""
        every = self.habits.group_every
        wanted = GROUP_CHANGES if every and self.source.randrange(every) == 0 else 1
        planned: list[Change] = []
        taken: set[Key] = set()
        for _ in range(min(wanted, at_most)):
            change = self._change()
            keys = {key for key, _, _ in change.states}
            if not keys & taken:
                planned.append(change)
                taken |= keys
        return planned

    def _change(self) -> Change:
        [kind] = self.source.choices(self._kinds, self._weights)
        share = self.share
        if kind is Kind.REINSERT and not len(share.graves):
            kind = Kind.DELETE
        if kind is Kind.MOVE and not len(share.free) + len(share.graves):
            kind = Kind.UPDATE
        if kind is not Kind.REINSERT and not len(share.live):
            kind = Kind.INSERT
        if kind is Kind.INSERT:
            return self._insert()
        if kind is Kind.REINSERT:
            key = share.graves.choose(self.source)
            return Change(kind, None, None, key, self._new_row(key))
        key = self._live_key()
        row = share.rows[key]
        if kind is Kind.DELETE:
            return Change(kind, key, row, None, None)
        if kind is Kind.REPLACE:
            return Change(kind, key, row, key, self._new_row(key))
        if kind is Kind.MOVE:
            new = self._unused_key()
            return Change(kind, key, row, new, self.table.with_key(row, new))
        return Change(kind, key, row, key, self._updated(row))

    def _insert(self) -> Change:
        unused = len(self.share.free) + len(self.share.graves)
        if self.table.auto_increment and (not unused or self.source.random() < 0.5):
            blank = (None,)
            return Change(Kind.INSERT, None, None, None, self._new_row(blank))
        if not unused:
            raise WriterError(f"No key is left to insert into {self.table.name}.")
        key = self._unused_key()
        return Change(Kind.INSERT, None, None, key, self._new_row(key))

    def _unused_key(self) -> Key:
        """A key no row has: mostly one never used, else one whose row went away."""
        free, graves = self.share.free, self.share.graves
        if len(free) and (not len(graves) or self.source.random() < 0.6):
            return free.choose(self.source)
        return graves.choose(self.source)

    def _live_key(self) -> Key:
        if self.source.random() < self.habits.recent_share:
            recent = [key for key in self.share.recent if key in self.share.live]
            if recent:
                return self.source.choice(recent)
        return self.share.live.choose(self.source)

    def _new_row(self, key: Key) -> Row:
        row = self.table.new_row(key, self.source, next(self.serials))
        return self._with_spare_values(row, set(self.table.value_columns))

    def _updated(self, row: Row) -> Row:
        """The row with one to three other values, and whatever every UPDATE must set."""
        places = self.table.value_columns
        if not places:
            return row
        chosen = set(self.source.sample(places, min(len(places), self.source.randrange(1, 4))))
        serial = next(self.serials)
        updated = tuple(
            column.new_value(self.source, serial) if place in chosen or column.always_set else value
            for place, (column, value) in enumerate(zip(self.table.columns, row, strict=True))
        )
        return self._with_spare_values(updated, chosen)

    def _with_spare_values(self, row: Row, places: set[int]) -> Row:
        """The row with some unique values that another row held before: such a value goes from row
        to row, while a copy may still hold it in its old place."""
        changed = list(row)
        for place, spare in self.share.spare_values.items():
            if place in places and spare and self.source.random() < SPARE_SHARE:
                changed[place] = spare.pop(self.source.randrange(len(spare)))
        return tuple(changed)
