"""Verifying every row without a lock.

A chunk of both tables is summed up in one consistent snapshot. When the sums differ, the deltas
that were waiting at the snapshot usually explain it: leaving their rows out, the rest must be the
same. Those rows stay open, and are compared by themselves once their deltas are applied. A row that
still differs, although nothing touched it in between, is a real difference: it is fetched again
once (and said so), and if that does not help the run fails and names it.

Rows so hot that they are touched again before each look are left to the cut-over, which compares
them while the table is locked. So no row goes unverified.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Callable, Collection, Iterator

from migrations_app.engine.applier import Applier
from migrations_app.engine.checkpoint import TableState
from migrations_app.engine.chunker import Chunk, Chunker, ChunkSizer, Watermark
from migrations_app.engine.crew import Crew
from migrations_app.engine.errors import DifferenceError
from migrations_app.engine.keys import Key
from migrations_app.engine.observer import Event, Level
from migrations_app.engine.rowcompare import MAX_DIFFERENCES, Range, RowComparison
from migrations_app.engine.session import Session
from migrations_app.engine.tablekey import TableKey
from migrations_app.engine.work import Work, with_retries

_LOOKS_AT_A_HOT_ROW = 5
_SETTLE_AT_KEYS = 5_000
_KEYS_NAMED = 10
_SNAPSHOT = "START TRANSACTION WITH CONSISTENT SNAPSHOT"


@dataclasses.dataclass(frozen=True, slots=True)
class _Verdict:
    """What one look at a chunk found. scan_secs: the time of the two sums alone, since only that
    grows with the chunk; suspects: keys whose rows differed while their deltas were waiting."""

    rows: int
    scan_secs: float
    suspects: frozenset[Key] | set[Key] = frozenset()


class Checksum:
    """Compares all chunks of the source with the shadow table, on several threads.

    catch_up: returns once the reader has delivered everything that the server had logged at the
    call. rows: rows already verified by an earlier run.
    """

    def __init__(
        self,
        work: Work,
        chunker: Chunker,
        applier: Applier,
        catch_up: Callable[[Session], None],
        rows: int = 0,
    ) -> None:
        self._work = work
        self._chunker = chunker
        self._applier = applier
        self._catch_up = catch_up
        self._compare = RowComparison(work)
        self._crew = Crew(work.abort, "spirit-checksum", work.threads, self._run)
        self._lock = threading.Lock()
        self._settling = threading.Lock()
        self._open_keys: set[Key] = set()
        self.rows_checked = rows
        self.repaired = 0

    def start(self) -> None:
        self._crew.start()

    @property
    def busy(self) -> bool:
        return self._crew.busy

    def join(self) -> None:
        self._crew.join()

    @property
    def open_keys(self) -> set[Key]:
        """Keys of chunks that are done which have yet to be compared by themselves."""
        with self._lock:
            return set(self._open_keys)

    def watermark_json(self) -> str:
        """The checkpoint's checksum_watermark: a watermark, and the keys that are still open."""
        with self._lock:
            watermark = self._chunker.watermark()
            if watermark is None:
                return ""
            document = json.loads(watermark.to_json())
            to_texts = self._work.mapping.source_key.to_texts
            document["Open"] = [to_texts(key) for key in sorted(self._open_keys, key=repr)]
        return json.dumps(document, separators=(",", ":"))

    def restore(self, watermark_json: str) -> None:
        """Take over the keys an earlier run left open."""
        key = self._work.mapping.source_key
        with self._lock:
            self._open_keys = {
                key.from_texts(texts) for texts in json.loads(watermark_json).get("Open", ())
            }

    def _run(self) -> None:
        abort = self._work.abort
        with self._work.sessions.opened("checksum") as session:
            while True:
                abort.check()
                chunk = with_retries(abort, session, lambda: self._chunker.next(session))
                if chunk is None:
                    return
                verdict = with_retries(abort, session, lambda c=chunk: self._verify(session, c))  # type: ignore[misc]
                self._chunker.sizer.took(verdict.rows, verdict.scan_secs)
                with self._lock:
                    self.rows_checked += verdict.rows
                    self._open_keys |= verdict.suspects
                    self._chunker.finished(chunk, verdict.rows)
                    is_much = len(self._open_keys) > _SETTLE_AT_KEYS
                if is_much:
                    self.settle(session)

    def _verify(self, session: Session, chunk: Chunk) -> _Verdict:
        """Compare one chunk in one snapshot."""
        part = Range(chunk.lower, chunk.upper)
        if self._work.deltas.waiting > _SETTLE_AT_KEYS:
            self._applier.flush()
        session.query("SET SESSION transaction_isolation = 'REPEATABLE-READ'")
        with self._window() as touched, session.transaction(_SNAPSHOT):
            began = time.monotonic()
            ours, theirs = totals = self._compare.totals(session, part)
            scan_secs = time.monotonic() - began
            if ours == theirs:
                return _Verdict(ours.rows, scan_secs)
            # All that the snapshot shows must have come by: then what explains the difference
            # is in the window.
            self._catch_up(session)
            explained = self._within(chunk, touched)
            found: set[Key] = set()
            if not self._compare.same_but_for(session, part, explained, totals):
                found = self._unexplained(session, part, explained)
            suspects = self._compare.differing(session, explained)
        if found:
            # Nothing explains these: repaired or refused now, not when all is copied and checked.
            suspects |= self._settled(session, found)
        return _Verdict(ours.rows, scan_secs, suspects)

    def _unexplained(self, session: Session, part: Range, explained: set[Key]) -> set[Key]:
        """The keys of a range that differ and should not. That there are some is known: if none
        is found, the rows of the explained ones could not be left out, so keys cannot be trusted.
        """
        found = self._compare.find(session, part, explained)
        unexplained = found - explained
        if not unexplained:
            raise self.difference(found or explained)
        # In the same snapshot. One that its own key does not find again would pass for a row that
        # was deleted meanwhile.
        lost = unexplained - self._differing(session, unexplained)
        if lost:
            raise self.difference(lost)
        return unexplained

    def _within(self, chunk: Chunk, touched: set[Key]) -> set[Key]:
        """Those of the keys that can be in the chunk."""
        keys = set(touched)
        if not self._work.mapping.source_key.comparable:
            return keys
        lower, upper = chunk.lower, chunk.upper
        return {
            key
            for key in keys
            if (lower is None or key >= lower) and (upper is None or key < upper)
        }

    def find_strays(self, session: Session) -> None:
        """Where ranges of the source's key are no ranges of the shadow table, the chunks did not
        show what only the shadow table has: walk it by itself."""
        keys, work = self._work.mapping.keys, self._work
        if keys.same_order:
            return
        session.query("SET SESSION transaction_isolation = 'REPEATABLE-READ'")
        walker = Chunker(work.names.shadow_sql, keys.own, ChunkSizer(work.target_chunk_time_secs))
        while True:
            work.abort.check()
            chunk = with_retries(work.abort, session, lambda: walker.next(session))
            if chunk is None:
                return
            began = time.monotonic()
            hot = with_retries(work.abort, session, lambda c=chunk: self._strays_of(session, c))  # type: ignore[misc]
            walker.sizer.took(chunk.size, time.monotonic() - began)
            with self._lock:
                self._open_keys |= hot

    def _strays_of(self, session: Session, chunk: Chunk) -> set[Key]:
        self._applier.flush()
        with self._window() as touched, session.transaction(_SNAPSHOT):
            strays = self._compare.strays(session, Range(chunk.lower, chunk.upper))
            if strays:
                self._catch_up(session)
            unexplained = strays - touched
        return (strays - unexplained) | self._settled(session, unexplained)

    @contextlib.contextmanager
    def _window(self) -> Iterator[set[Key]]:
        window = self._work.deltas.open_window()
        try:
            yield window
        finally:
            self._work.deltas.close_window(window)

    def settle(self, session: Session) -> None:
        """Compare the rows that are still open by themselves; what stays open is hot."""
        session.query("SET SESSION transaction_isolation = 'REPEATABLE-READ'")
        with self._settling:
            keys = self.open_keys
            left = with_retries(self._work.abort, session, lambda: self._settled(session, keys))
            with self._lock:
                self._open_keys -= keys - left

    def _settled(self, session: Session, keys: Collection[Key]) -> set[Key]:
        """Compare single rows until they are the same, or really different; returns those that
        were touched again before every look."""
        suspects = set(keys)
        repaired: set[Key] = set()
        for _ in range(_LOOKS_AT_A_HOT_ROW):
            if not suspects:
                break
            self._work.abort.check()
            self._applier.flush()
            with self._window() as touched:
                with session.transaction(_SNAPSHOT):
                    suspects = self._differing(session, suspects)
                if suspects:
                    self._catch_up(session)
                unexplained = suspects - touched
            if unexplained:
                self._repair(unexplained, repaired)
                repaired |= unexplained
        return suspects

    def _differing(self, session: Session, keys: Collection[Key]) -> set[Key]:
        found: set[Key] = set()
        for batch in self._work.mapping.source_key.batches(keys):
            found |= self._compare.differing(session, batch)
        return found

    def differing_now(self, session: Session) -> set[Key]:
        """Of the keys left to the cut-over, those that differ; under the lock, all applied."""
        return self._differing(session, self.open_keys)

    def _repair(self, keys: set[Key], already: set[Key]) -> None:
        names = self._named(keys)
        if keys & already or not self._work.options.repair_differences:
            raise self.difference(keys & already or keys)
        if len(keys) >= MAX_DIFFERENCES:
            raise DifferenceError(
                f"{MAX_DIFFERENCES} or more rows of one chunk of {self._work.names.table} differ "
                f"from their copies, for example {names}. That is no accident to be repaired. The "
                f"shadow table was kept; {self._work.names.table} is as it was.",
                {"keys": names, "rows": len(keys)},
            )
        self._work.deltas.add_repairs(keys)
        self.repaired += len(keys)
        self._work.tell(
            Event(
                "difference_repaired",
                f"{len(keys)} row(s) differed from their copies without a known reason and were "
                f"fetched again: {names}.",
                Level.WARNING,
                {"keys": names, "rows": len(keys)},
            )
        )

    def difference(self, keys: Collection[Key]) -> DifferenceError:
        names = self._named(keys)
        return DifferenceError(
            f"{len(keys)} row(s) of {self._work.names.table} differ from their copies although "
            f"nothing touched them: {names}. The tables were not swapped; the shadow table "
            f"{self._work.names.shadow} was kept for inspection.",
            {"keys": names, "rows": len(keys)},
        )

    def _named(self, keys: Collection[Key]) -> str:
        describe = self._work.mapping.source_key.describe
        shown = sorted(describe(key) for key in list(keys)[:_KEYS_NAMED])
        return ", ".join(shown) + (" …" if len(keys) > _KEYS_NAMED else "")


@dataclasses.dataclass(frozen=True, slots=True)
class Watermarks:
    """Where the copy and the checksum of a checkpoint had got to; None: they had not begun."""

    copier: Watermark | None
    checksum: Watermark | None
    checksum_json: str

    @classmethod
    def read(cls, state: TableState, key: TableKey) -> Watermarks:
        """Raises ValueError when a watermark cannot be read."""
        return cls(
            copier=_watermark(state.copier_watermark, key),
            checksum=_watermark(state.checksum_watermark, key),
            checksum_json=state.checksum_watermark,
        )


def _watermark(text: str, key: TableKey) -> Watermark | None:
    return Watermark.from_json(text, key) if text else None
