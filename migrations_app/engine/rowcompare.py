"""Comparing rows of the source with rows of the shadow table, by fingerprints on the server.

Usually a range of the key holds the same rows in both tables. Where the change makes the key sort
otherwise, the copies of a range's rows are looked up one by one; what the shadow table holds
besides (``strays``) is looked for by itself.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

from migrations_app.engine import casting, fingerprint
from migrations_app.engine.keys import Key
from migrations_app.engine.names import quote
from migrations_app.engine.session import Row, Session
from migrations_app.engine.tablekey import TableKey
from migrations_app.engine.work import Work

_LIST_ROWS = 2_000
MAX_DIFFERENCES = 1_000
_TWICE = -1


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
        self._keys = keys = mapping.keys
        self._names = names
        self.source = _Side(
            names.source_sql,
            keys.source,
            keys.source,
            keys.source.select_list,
            keys.source.in_list,
            fingerprint.of_source(mapping.pairs),
        )
        self.shadow = _Side(
            names.shadow_sql,
            keys.shadow,
            keys.source,
            keys.shadow_select_list(),
            keys.shadow_in_list,
            fingerprint.of_shadow(mapping.pairs),
            walked_by=None if keys.same_order else self._copies_of_range,
        )

    def _copies_of_range(self, part: Range) -> str:
        """The shadow table's rows whose keys the source has in a range. The columns of the derived
        table must not have the shadow table's names."""
        source, shadow = self._keys.source, self._keys.shadow
        renamed = ", ".join(
            f"{quote(name)} AS `spirit source {number}`" for number, name in enumerate(source.names)
        )
        found = " AND ".join(
            f"copies.{quote(pair.target.name)} = "
            f"{casting.as_stored(pair, f'walked.`spirit source {number}`')}"
            for number, pair in enumerate(self._keys.columns)
        )
        return (
            f"FROM (SELECT {renamed} FROM {self._names.source_sql} {source.force_index} "
            f"WHERE {source.where(part.lower, part.upper)}) walked STRAIGHT_JOIN "
            f"{self._names.shadow_sql} copies {shadow.force_index} ON {found}"
        )

    def strays(self, session: Session, part: Range) -> set[Key]:
        """Keys that only the shadow table has, up to MAX_DIFFERENCES. part: of ``keys.own``."""
        keys = self._keys
        rows = session.query(
            f"SELECT {keys.shadow_select_list('copies.')} FROM {self._names.shadow_sql} copies "
            f"{keys.shadow.force_index} LEFT JOIN {self._names.source_sql} sources "
            f"{keys.source.force_index} ON {keys.find_in_source('sources', 'copies')} "
            f"AND {keys.exactly('sources', 'copies')} WHERE "
            f"{keys.own.where(part.lower, part.upper, 'copies.')} "
            f"AND sources.{quote(keys.source.names[0])} IS NULL LIMIT {MAX_DIFFERENCES}"
        )
        return {keys.source.parse(row) for row in rows}

    def differing(self, session: Session, keys: Collection[Key]) -> set[Key]:
        """Those of the keys whose rows are not the same in both tables."""
        if not keys:
            return set()
        ours = self.source.fingerprints(session, keys=keys)
        theirs = self.shadow.fingerprints(session, keys=keys)
        return {key for key in {*ours, *theirs} if ours.get(key) != theirs.get(key)}

    def totals(self, session: Session, chunk: Range) -> tuple[Sum, Sum]:
        """The source's sum and the shadow table's."""
        return self.source.total(session, chunk), self.shadow.total(session, chunk)

    def same_but_for(
        self, session: Session, chunk: Range, keys: Collection[Key], totals: tuple[Sum, Sum]
    ) -> bool:
        """Whether a range is the same in both tables when the rows of ``keys`` are left out.

        totals: of the range, from the same snapshot; only those rows are read again.
        """
        ours, theirs = totals
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
            if self.same_but_for(session, part, known, self.totals(session, part)):
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
        sides = (self.source, self.shadow) if self._keys.same_order else (self.source,)
        fuller = max(sides, key=lambda side: side.total(session, part).rows)
        rows = fuller.total(session, part).rows
        return fuller.key_at(session, part, rows // 2) if rows > _LIST_ROWS else None


@dataclasses.dataclass(frozen=True, slots=True)
class _Side:
    """One of the two tables.

    key: its own; source_key: in whose form keys are read, by select_list; in_list: the condition
    for rows with given keys of the source. walked_by: FROM clause
    for a range of the source's key, where that is no range of the table's own.
    """

    table_sql: str
    key: TableKey
    source_key: TableKey
    select_list: str
    in_list: Callable[[Collection[Key]], str]
    fingerprint: str
    walked_by: Callable[[Range], str] | None = None

    def _from(self, part: Range | None, keys: Collection[Key] | None) -> str:
        conditions = []
        source = f"FROM {self.table_sql} {self.key.force_index}"
        if part is not None and self.walked_by is not None:
            source = self.walked_by(part)
        elif part is not None:
            conditions.append(self.key.where(part.lower, part.upper))
        if keys is not None:
            conditions.append(self.in_list(keys))
        return f"{source} WHERE {' AND '.join(conditions) or 'TRUE'}"

    def total(self, session: Session, part: Range, keys: Collection[Key] | None = None) -> Sum:
        if keys is None:
            return self._total(session, part, None)
        total = Sum(0, 0)
        for batch in self.source_key.batches(keys):
            found = self._total(session, part, batch)
            total = Sum(total.xor ^ found.xor, total.rows + found.rows)
        return total

    def _total(self, session: Session, part: Range, keys: Collection[Key] | None) -> Sum:
        xor, rows = session.query_one(
            f"SELECT BIT_XOR({self.fingerprint}), COUNT(*) {self._from(part, keys)}"
        )
        return Sum(int(xor), int(rows))

    def fingerprints(
        self, session: Session, part: Range | None = None, keys: Collection[Key] | None = None
    ) -> dict[Key, int]:
        """By key; a key that comes twice has a fingerprint that no row has."""
        rows: list[Row] = session.query(
            f"SELECT {self.select_list}, {self.fingerprint} {self._from(part, keys)}"
        )
        found: dict[Key, int] = {}
        for row in rows:
            key = self.source_key.parse(row)
            found[key] = _TWICE if key in found else int(row[-1])
        return found

    def key_at(self, session: Session, part: Range, offset: int) -> Key | None:
        rows = session.query(
            f"SELECT {self.select_list} {self._from(part, None)} "
            f"ORDER BY {self.key.order} LIMIT 1 OFFSET {offset}"
        )
        return self.source_key.parse(rows[0]) if rows else None
