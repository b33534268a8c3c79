"""Sets of global transaction identifiers, with the tags of MySQL 8.3 and later."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# Who numbers: (server uuid in lower case, tag or "").
Source = tuple[str, str]
# Sorted, disjoint, not adjacent; ends are inclusive.
Intervals = list[tuple[int, int]]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG = re.compile(r"[a-z_][a-z0-9_]{0,31}")
_INTERVAL = re.compile(r"(\d+)(?:-(\d+))?")


class GtidSet:
    """A set of transactions. ``add`` changes it; every other operation returns a new set.

    Adding the next number of a source is fast, and ``str`` only formats the sources that
    changed since the last call: one string is made per transaction read.
    """

    __slots__ = ("_intervals", "_texts")

    def __init__(self) -> None:
        self._intervals: dict[Source, Intervals] = {}
        self._texts: dict[Source, str] = {}

    @classmethod
    def parse(cls, text: str) -> GtidSet:
        """Read the server's notation: ``uuid:1-3:7,uuid:tag:1-2``, newlines allowed.

        Raises ValueError.
        """
        result = cls()
        for part in "".join(text.split()).lower().split(","):
            if not part:
                continue
            uuid, *pieces = part.split(":")
            if not _UUID.fullmatch(uuid) or not pieces:
                raise ValueError(f"{part!r} is not a part of a GTID set")
            tag = ""
            for piece in pieces:
                match = _INTERVAL.fullmatch(piece)
                if match:
                    first = int(match[1])
                    result._insert((uuid, tag), first, int(match[2] or first))
                elif _TAG.fullmatch(piece):
                    tag = piece
                else:
                    raise ValueError(f"{piece!r} is not an interval or a tag of a GTID set")
        return result

    def add(self, uuid: str, number: int, tag: str = "") -> None:
        """Add one transaction; uuid in lower case."""
        source = (uuid, tag)
        intervals = self._intervals.get(source)
        if intervals and intervals[-1][1] + 1 == number:
            intervals[-1] = (intervals[-1][0], number)
            self._texts.pop(source, None)
        else:
            self._insert(source, number, number)

    def add_text(self, gtid: str) -> None:
        """Add one transaction as the server writes it: ``uuid:n`` or ``uuid:tag:n``."""
        source, _, number = gtid.rpartition(":")
        uuid, _, tag = source.partition(":")
        self.add(uuid, int(number), tag)

    def _insert(self, source: Source, first: int, last: int) -> None:
        if last < first or first < 1:
            return
        self._texts.pop(source, None)
        self._intervals[source] = _merged([*self._intervals.get(source, []), (first, last)])

    @property
    def has_tags(self) -> bool:
        return any(tag for _, tag in self._intervals)

    def copy(self) -> GtidSet:
        result = GtidSet()
        result._intervals = {source: list(parts) for source, parts in self._intervals.items()}
        result._texts = dict(self._texts)
        return result

    def union(self, other: GtidSet) -> GtidSet:
        result = self.copy()
        for source, intervals in other._intervals.items():
            mine = result._intervals.get(source, [])
            result._intervals[source] = _merged([*mine, *intervals])
            result._texts.pop(source, None)
        return result

    def subtract(self, other: GtidSet) -> GtidSet:
        """The transactions of this set that are not in the other."""
        result = GtidSet()
        for source, intervals in self._intervals.items():
            left = list(_without(intervals, other._intervals.get(source, [])))
            if left:
                result._intervals[source] = left
        return result

    def contains(self, other: GtidSet) -> bool:
        """Whether every transaction of the other set is in this one."""
        return not other.subtract(self)

    def __bool__(self) -> bool:
        return bool(self._intervals)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GtidSet) and self._intervals == other._intervals

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __str__(self) -> str:
        """The canonical notation: sources sorted, tags behind their uuid's untagged part."""
        texts = self._texts
        if len(texts) < len(self._intervals):
            for source in self._intervals.keys() - texts.keys():
                texts[source] = ":".join(
                    str(first) if first == last else f"{first}-{last}"
                    for first, last in self._intervals[source]
                )
        if len(texts) == 1:
            ((uuid, tag), text) = next(iter(texts.items()))
            return f"{uuid}:{tag}:{text}" if tag else f"{uuid}:{text}"
        parts: dict[str, list[str]] = {}
        for uuid, tag in sorted(self._intervals):
            text = texts[(uuid, tag)]
            parts.setdefault(uuid, []).append(f"{tag}:{text}" if tag else text)
        return ",".join(f"{uuid}:{':'.join(texts)}" for uuid, texts in parts.items())

    def __repr__(self) -> str:
        return f"GtidSet({str(self)!r})"


def _merged(intervals: Iterable[tuple[int, int]]) -> Intervals:
    result: Intervals = []
    for first, last in sorted(intervals):
        if result and first <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(result[-1][1], last))
        else:
            result.append((first, last))
    return result


def _without(intervals: Intervals, holes: Intervals) -> Iterator[tuple[int, int]]:
    for first, last in intervals:
        for hole_first, hole_last in holes:
            if hole_last < first or hole_first > last:
                continue
            if hole_first > first:
                yield first, hole_first - 1
            first = hole_last + 1
        if first <= last:
            yield first, last
