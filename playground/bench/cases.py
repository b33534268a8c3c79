"""What is measured: the cases, by their letters."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping

from playground.bench.shapes import BIG_ROWS, SBTEST, TEXT_KEY, WIDE, Shape
from playground.ledger import Kind
from playground.planner import Habits


class Way(enum.StrEnum):
    """How a run of a case goes."""

    WHOLE = "whole"  # one change, from the start of the program to its end
    CATCH_UP = "catch-up"  # stopped midway, changes made meanwhile, resumed
    CHECKSUM = "checksum"  # the checksum phase, beside the server's own


@dataclasses.dataclass(frozen=True)
class Load:
    """What the application does meanwhile. rate: changes a second over all connections."""

    rate: float
    mix: Mapping[Kind, int]
    rows: int
    connections: int = 16

    @property
    def habits(self) -> Habits:
        """One change a transaction, evenly over the rows; no request is ever given up."""
        return Habits(
            mix=self.mix,
            group_every=0,
            recent_share=0.0,
            sampled_rows=self.rows,
            longest_backlog_secs=float("inf"),
        )


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing to measure. rows: sizes of the table, measured one after the other; changes: rows
    changed while a catch-up is stopped."""

    letter: str
    title: str
    shape: Shape
    rows: tuple[int, ...]
    way: Way = Way.WHOLE
    load: Load | None = None
    changes: int = 0

    def scaled(self, rows: int) -> Case:
        """The same with tables of so many rows at most where it says more than 1,000; sizes keep
        their ratio."""
        largest = max(self.rows)
        if largest <= _START_UP_ROWS:
            return self
        sizes = tuple(max(1, size * rows // largest) for size in self.rows)
        changes = min(self.changes, max(1, self.changes * rows // largest))
        return dataclasses.replace(self, rows=sizes, changes=changes)


_START_UP_ROWS = 1_000
_SHOP = Load(1_300, {Kind.UPDATE: 1_000, Kind.INSERT: 200, Kind.DELETE: 100}, rows=100_000)
_HOT = Load(2_000, {Kind.UPDATE: 1}, rows=100)

CASES = {
    case.letter: case
    for case in (
        Case("a", "sysbench rows, idle", SBTEST, (2_000_000,)),
        Case("b", "sysbench rows under 1,300 writes/s", SBTEST, (2_000_000,), load=_SHOP),
        Case("c", "wide rows with six indexes", WIDE, (1_000_000,)),
        Case("d", "composite text key", TEXT_KEY, (1_000_000,)),
        Case("e", "big rows: JSON and 8 KB of text", BIG_ROWS, (60_000,)),
        Case(
            "f",
            "catch-up after a stop",
            SBTEST,
            (2_000_000,),
            way=Way.CATCH_UP,
            changes=500_000,
        ),
        Case("g", "hot rows: 2,000 updates/s on 100 keys", SBTEST, (1_000_000,), load=_HOT),
        Case("h", "start-up: a small table", SBTEST, (_START_UP_ROWS,)),
        Case("i", "growth: ten times the rows", SBTEST, (1_000_000, 10_000_000)),
        Case("j", "the checksum alone", SBTEST, (2_000_000,), way=Way.CHECKSUM),
    )
}
