"""Cutting a table into chunks, and knowing which of them are done.

A chunk is a half-open range of the key. Chunks are handed out in key order to several threads;
the *low watermark* is the upper bound of the last chunk before which all are done. The first
chunk has no lower bound and the last no upper bound, so that together they cover every row the
table may get while it is being walked.

A single integer key is stepped through by arithmetic, and by boundary queries where it has gaps;
every other key by boundary queries.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import statistics
import threading
from collections.abc import Callable

from migrations_app.engine.deltas import END, Bound
from migrations_app.engine.keys import Key
from migrations_app.engine.session import Session
from migrations_app.engine.tablekey import TableKey

FIRST_CHUNK_ROWS = 1_000
MIN_CHUNK_ROWS = 10
MAX_CHUNK_ROWS = 500_000
_GROWTH = 2.0
_SHRINK = 0.5
_SAMPLES = 10
# Below this share of the key range holding rows, stepping by arithmetic mostly finds gaps.
_DENSE_SHARE = 0.3


@dataclasses.dataclass(slots=True)
class Chunk:
    """``lower <= key < upper``; None is unbounded. size: rows it was meant to hold.

    ticket: what must be visible before the chunk is read (see visibility.Visibility).
    """

    lower: Key | None
    upper: Key | None
    size: int
    by_range: bool = False
    done: bool = False
    ticket: int = 0


class ChunkSizer:
    """Chunk size (rows) that makes a chunk take the target time. Thread-safe.

    Looks at the 90th percentile of the last chunks, so that one lucky chunk does not make the
    next ones too long; a chunk that took far too long shrinks the size at once. target_secs may be
    changed at any time: the next sizes lead to it.
    """

    def __init__(self, target_secs: float, size: int = FIRST_CHUNK_ROWS) -> None:
        self.target_secs = target_secs
        self._lock = threading.Lock()
        self._per_row: collections.deque[float] = collections.deque(maxlen=_SAMPLES)
        self._size = max(MIN_CHUNK_ROWS, min(MAX_CHUNK_ROWS, size))
        self.last_secs = 0.0

    @property
    def size(self) -> int:
        return self._size

    def took(self, rows: int, secs: float) -> None:
        """Learn from a chunk of ``rows`` that took ``secs``."""
        if rows <= 0:
            return
        with self._lock:
            self.last_secs = secs
            self._per_row.append(secs / rows)
            slow = (
                statistics.quantiles(self._per_row, n=10)[-1]
                if len(self._per_row) > 1
                else self._per_row[0]
            )
            if secs > 4 * self.target_secs:
                slow = max(slow, secs / rows)
            wanted = self.target_secs / max(slow, 1e-9)
            bounded = min(self._size * _GROWTH, max(self._size * _SHRINK, wanted))
            self._size = int(max(MIN_CHUNK_ROWS, min(MAX_CHUNK_ROWS, bounded)))


@dataclasses.dataclass(frozen=True, slots=True)
class Watermark:
    """The last chunk of the part that is done, as kept in a checkpoint.

    upper: where to go on from; END when everything is done.
    """

    key: TableKey
    chunk_size: int
    lower: Key | None
    upper: Bound

    def to_json(self) -> str:
        """``{"Key":["id"],"ChunkSize":1000,"LowerBound":{…},"UpperBound":{…}}``; a bound that
        does not exist has the value null."""
        document = {
            "Key": _walked(self.key),
            "ChunkSize": self.chunk_size,
            "LowerBound": _bound_json(self.key, self.lower, inclusive=True),
            "UpperBound": _bound_json(
                self.key, self.upper if isinstance(self.upper, tuple) else None, inclusive=False
            ),
        }
        return json.dumps(document, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str, key: TableKey) -> Watermark:
        """Read a watermark back. Raises ValueError when it is not one, or not of this key."""
        try:
            document = json.loads(text)
            if list(document["Key"]) != _walked(key):
                raise ValueError(f"its key is {document['Key']}, the table's is {_walked(key)}")
            upper = document["UpperBound"]["Value"]
            lower = document["LowerBound"]["Value"]
            return cls(
                key=key,
                chunk_size=int(document["ChunkSize"]),
                lower=None if lower is None else key.from_texts(lower),
                upper=END if upper is None else key.from_texts(upper),
            )
        except (KeyError, TypeError, json.JSONDecodeError, ArithmeticError) as error:
            raise ValueError(f"the watermark cannot be read ({error!r})") from error


def _walked(key: TableKey) -> list[str]:
    return [f"{column.name} DESC" if column.descending else column.name for column in key.columns]


def _bound_json(key: TableKey, bound: Key | None, *, inclusive: bool) -> dict[str, object]:
    return {
        "Value": None if bound is None else key.to_texts(bound),
        "Inclusive": inclusive,
    }


class Chunker:
    """Hands out the chunks of one table in key order. Thread-safe.

    table_sql: the table to walk; start: where to begin (None: before the first key; END: nothing
    is left). on_high, on_low: told about every move of the watermarks while the chunker's lock
    is held, so that moves are seen in order and no chunk is out before its bound is known;
    on_high returns the chunk's ticket.
    """

    def __init__(
        self,
        table_sql: str,
        key: TableKey,
        sizer: ChunkSizer,
        start: Bound = None,
        *,
        on_high: Callable[[Bound], int] = lambda _bound: 0,
        on_low: Callable[[Bound], None] = lambda _bound: None,
    ) -> None:
        self._on_high = on_high
        self._on_low = on_low
        self._table_sql = table_sql
        self._key = key
        self.sizer = sizer
        self._lock = threading.Lock()
        self._next: Bound = start
        self._known_last: int | None = None
        self._by_range = key.is_single_integer
        self._in_flight: collections.deque[Chunk] = collections.deque()
        self._low: Bound = start
        self._last_done: Chunk | None = None

    @property
    def high(self) -> Bound:
        return self._next

    @property
    def low(self) -> Bound:
        with self._lock:
            return self._low

    def next(self, session: Session) -> Chunk | None:
        """The next chunk, or None when all are out. May query for its boundary."""
        with self._lock:
            if self._next is END:
                return None
            lower = self._next if isinstance(self._next, tuple) else None
            size = self.sizer.size
            upper, by_range = self._upper(session, lower, size)
            chunk = Chunk(lower, upper, size, by_range)
            self._next = END if upper is None else upper
            self._in_flight.append(chunk)
            chunk.ticket = self._on_high(self._next)
            return chunk

    def _upper(self, session: Session, lower: Key | None, size: int) -> tuple[Key | None, bool]:
        if self._by_range:
            upper = self._upper_by_range(session, lower, size)
            if upper is not None or self._by_range:
                return upper, True
        return self._upper_by_query(session, lower, size), False

    def _upper_by_range(self, session: Session, lower: Key | None, size: int) -> Key | None:
        begin = self._edge(session, "ASC") if lower is None else lower[0]
        if begin is None:
            return None
        assert isinstance(begin, int)
        upper = begin + size
        if self._known_last is None or upper > self._known_last:
            # Rows may have been added at the end since it was last looked at.
            self._known_last = self._edge(session, "DESC")
            if self._known_last is None or upper > self._known_last:
                return None
        return (upper,)

    def _edge(self, session: Session, order: str) -> int | None:
        column = self._key.column_list
        rows = session.query(
            f"SELECT {self._key.select_list} FROM {self._table_sql} {self._key.force_index} "
            f"ORDER BY {column} {order} LIMIT 1"
        )
        if not rows:
            return None
        value = self._key.parse(rows[0])[0]
        assert isinstance(value, int)
        return value

    def _upper_by_query(self, session: Session, lower: Key | None, size: int) -> Key | None:
        first, *rest = self._key.columns
        if lower is not None and rest and first.is_listed:
            return self._upper_by_first_value(session, lower, size)
        upper = self._key_at(session, self._key.where(lower, None), size)
        if upper is None:
            return None
        if self._key.is_single_integer and lower is not None:
            span = int(upper[0]) - int(lower[0])
            self._by_range = span * _DENSE_SHARE < size
        return upper

    def _upper_by_first_value(self, session: Session, lower: Key, size: int) -> Key | None:
        """A boundary within the rows of lower's first value, or at the first row of the next one.

        From ``k IN (2, 3) OR (k IN (1, 1) AND …)`` MySQL 9.7 reads the whole index up to the
        boundary, since it takes LIMIT for a promise that this ends early.
        """
        upper = self._key_at(session, self._key.where_first_is(lower), size)
        for value in self._key.columns[0].values_after(lower[0]):
            if upper is not None:
                break
            upper = self._key_at(session, self._key.where_first_is((value,)), 0)
        return upper

    def _key_at(self, session: Session, where: str, offset: int) -> Key | None:
        rows = session.query(
            f"SELECT {self._key.select_list} FROM {self._table_sql} {self._key.force_index} "
            f"WHERE {where} ORDER BY {self._key.order} LIMIT 1 OFFSET {offset}"
        )
        return self._key.parse(rows[0]) if rows else None

    def finished(self, chunk: Chunk, rows: int) -> None:
        """Note that a chunk of so many rows is done."""
        with self._lock:
            chunk.done = True
            if chunk.by_range and chunk.upper is not None and rows < chunk.size * _DENSE_SHARE:
                self._by_range = False
            while self._in_flight and self._in_flight[0].done:
                self._last_done = self._in_flight.popleft()
                self._low = END if self._last_done.upper is None else self._last_done.upper
                self._on_low(self._low)

    def watermark(self) -> Watermark | None:
        """What a checkpoint keeps; None while nothing is done."""
        with self._lock:
            if self._low is None:
                return None
            lower = self._last_done.lower if self._last_done else None
            return Watermark(self._key, self.sizer.size, lower, self._low)
