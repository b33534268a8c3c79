"""Comparing rows of the source with rows of the shadow table, by fingerprints on the server."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

from migrations_app.engine import casting
from migrations_app.engine.keys import Key
from migrations_app.engine.session import Row, Session
from migrations_app.engine.tablekey import TableKey
from migrations_app.engine.work import Work

_LIST_ROWS = 2_000
MAX_DIFFERENCES = 1_000


@dataclasses.dataclass(frozen=True, slots=True)
class Range:
    """``lower <= key < upper``; None is unbounded."""

    lower: Key | None
    upper: Key | None


@dataclasses.dataclass(frozen=True, slots=True)
class Sum:
    """XOR of fingerprints and number of rows. Subtracting a part leaves the rest."""

    xor: int
    rows: int

    def without(self, part: Sum) -> Sum:
        return Sum(self.xor ^ part.xor, self.rows - part.rows)


class RowComparison:
    """The queries; they run in whatever transaction the session is in."""

    def __init__(self, work: Work) -> None:
        mapping, names = work.mapping, work.names
        self.source = _Side(
            names.source_sql,
            mapping.source_key,
            casting.row_fingerprint(casting.source_values(mapping.pairs)),
        )
        self.shadow = _Side(
            names.shadow_sql,
            mapping.shadow_key,
            casting.row_fingerprint(casting.shadow_values(mapping.pairs)),
        )

    def differing(self, session: Session, keys: Collection[Key]) -> set[Key]:
        """Those of the keys whose rows are not the same in both tables."""
        if not keys:
            return set()
        ours = self.source.fingerprints(session, keys=keys)
        theirs = self.shadow.fingerprints(session, keys=keys)
        return {key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}

    def same_but_for(self, session: Session, chunk: Range, keys: Collection[Key]) -> bool:
        """Whether a range is the same in both tables when the rows of ``keys`` are left out."""
        ours = self.source.total(session, chunk)
        theirs = self.shadow.total(session, chunk)
        if keys:
            ours = ours.without(self.source.total(session, chunk, keys))
            theirs = theirs.without(self.shadow.total(session, chunk, keys))
        return ours == theirs

    def find(self, session: Session, chunk: Range, known: Collection[Key]) -> set[Key]:
        """The keys of a range whose rows differ, by halving; of those in ``known`` only the ones
        that lie close to another.

        Stops looking after MAX_DIFFERENCES.
        """
        found: set[Key] = set()
        ranges = [chunk]
        while ranges and len(found) < MAX_DIFFERENCES:
            part = ranges.pop()
            if self.same_but_for(session, part, known):
                continue
            middle = self._middle(session, part)
            if middle is None:
                ours = self.source.fingerprints(session, part)
                theirs = self.shadow.fingerprints(session, part)
                found |= {k for k in {*ours, *theirs} if ours.get(k) != theirs.get(k)}
            else:
                ranges += [Range(part.lower, middle), Range(middle, part.upper)]
        return found

    def _middle(self, session: Session, part: Range) -> Key | None:
        """A key that cuts a range of many rows in two; None for a range of few."""
        fuller = max((self.source, self.shadow), key=lambda side: side.total(session, part).rows)
        rows = fuller.total(session, part).rows
        return fuller.key_at(session, part, rows // 2) if rows > _LIST_ROWS else None


@dataclasses.dataclass(frozen=True, slots=True)
class _Side:
    """One of the two tables."""

    table_sql: str
    key: TableKey
    fingerprint: str

    def _from(self, part: Range | None, keys: Collection[Key] | None) -> str:
        conditions = []
        if part is not None:
            conditions.append(self.key.where(part.lower, part.upper))
        if keys is not None:
            conditions.append(self.key.in_list(keys))
        return f"FROM {self.table_sql} {self.key.force_index} WHERE {' AND '.join(conditions)}"

    def total(self, session: Session, part: Range, keys: Collection[Key] | None = None) -> Sum:
        xor, rows = session.query_one(
            f"SELECT BIT_XOR({self.fingerprint}), COUNT(*) {self._from(part, keys)}"
        )
        return Sum(int(xor), int(rows))

    def fingerprints(
        self, session: Session, part: Range | None = None, keys: Collection[Key] | None = None
    ) -> dict[Key, int]:
        rows: list[Row] = session.query(
            f"SELECT {self.key.select_list}, {self.fingerprint} {self._from(part, keys)}"
        )
        return {self.key.parse(row): int(row[-1]) for row in rows}

    def key_at(self, session: Session, part: Range, offset: int) -> Key | None:
        rows = session.query(
            f"SELECT {self.key.select_list} {self._from(part, None)} "
            f"ORDER BY {self.key.column_list} LIMIT 1 OFFSET {offset}"
        )
        return self.key.parse(rows[0]) if rows else None
