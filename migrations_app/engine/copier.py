"""Copying chunks on the server, on several threads; no row passes through Python.

A chunk is written by ``INSERT IGNORE … SELECT`` in READ COMMITTED, which reads the source without
locks. It never removes a row, so it cannot undo what a newer delta wrote. What it skips is looked
for and fetched again (rule 8): a row may be left out only because a stale row still holds its
unique value.
"""

from __future__ import annotations

import threading
import time

from migrations_app.engine.abort import Abort
from migrations_app.engine.chunker import Chunk, Chunker, ChunkSizer
from migrations_app.engine.crew import Crew
from migrations_app.engine.errors import DataDoesNotFitError
from migrations_app.engine.keys import Key
from migrations_app.engine.names import quote
from migrations_app.engine.session import ER_DUP_ENTRY, Session, StatementInfo
from migrations_app.engine.shadowwriter import ShadowWriter
from migrations_app.engine.throttle import Throttle
from migrations_app.engine.work import Work, with_retries

_ROW_NUMBER = " at row "
_ER_BAD_NULL = 1048
# Of what the statement is written in, such as the name of an old character set; not of its values.
_DEPRECATIONS = frozenset({1287, 1681, 3719, 3778, 3959})


class Copier:
    """Copies every chunk of one table.

    Owns its threads from ``start`` to ``join``. An error in one of them raises the run's abort
    signal, so that the others and the caller see it. commit_secs: what its COMMITs took the server
    so far, about. waited_secs: how long its threads let others pass.
    """

    def __init__(
        self, work: Work, chunker: Chunker, writer: ShadowWriter, throttle: Throttle, rows: int = 0
    ) -> None:
        self._work = work
        self._chunker = chunker
        self._writer = writer
        self._throttle = throttle
        self._crew = Crew(work.abort, "spirit-copier", 0, self._run)
        self._count_lock = threading.Lock()
        self._between_chunks = _Gate()
        self._at_work = 0
        self.threads = work.threads
        self.rows_copied = rows
        self.chunks_copied = 0
        self.commit_secs = 0.0
        self.waited_secs = 0.0
        mapping, names = work.mapping, work.names
        self._insert = (
            f"INSERT IGNORE INTO {names.shadow_sql} ({mapping.shadow_columns}) "
            f"SELECT {mapping.source_columns} FROM {names.source_sql} "
            f"{mapping.source_key.force_index} WHERE "
        )

    @property
    def sizer(self) -> ChunkSizer:
        return self._chunker.sizer

    def start(self) -> None:
        """Begin with as many threads as the work begins with."""
        self.resize(self._work.first_threads)

    @property
    def busy(self) -> bool:
        return self._crew.busy

    def join(self) -> None:
        """Wait for every thread; they end when the chunks are out or the abort signal is up."""
        self._crew.join()

    def resize(self, threads: int) -> None:
        """Have so many threads copy from now on: more begin at once, and who is too many ends after
        its chunk. By the thread that joins them."""
        with self._count_lock:
            missing = max(0, threads - self._at_work)
            self.threads = threads
            self._at_work += missing
        for _ in range(missing):
            self._crew.add()

    def _is_too_many(self) -> bool:
        with self._count_lock:
            if self._at_work <= self.threads:
                return False
            self._at_work -= 1
            return True

    def pause(self) -> None:
        """Return when no chunk is in flight and none will start until ``resume`` (rule 4)."""
        self._between_chunks.close(self._work.abort)

    def resume(self) -> None:
        self._between_chunks.open()

    def _run(self) -> None:
        abort = self._work.abort
        with self._work.sessions.opened("copy") as session:
            while not self._is_too_many():
                self._throttle.wait(abort)
                abort.check()
                with_retries(abort, session, lambda: self._let_others_pass(session))
                with self._between_chunks.passing(abort):
                    chunk = with_retries(abort, session, lambda: self._chunker.next(session))
                    if chunk is None:
                        return
                    self._copy(session, chunk)

    def _let_others_pass(self, session: Session) -> None:
        secs = self._work.let_others_pass(session, self.sizer.last_secs)
        with self._count_lock:
            self.waited_secs += secs

    def _copy(self, session: Session, chunk: Chunk) -> None:
        records, secs = with_retries(
            self._work.abort, session, lambda: self._attempt(session, chunk)
        )
        self.sizer.took(records, secs)
        with self._count_lock:
            self.rows_copied += records
            self.chunks_copied += 1
        self._chunker.finished(chunk, records)

    def _attempt(self, session: Session, chunk: Chunk) -> tuple[int, float]:
        """Copy a chunk; returns its rows and the seconds the copying itself took (waiting for
        visibility is no reason for smaller chunks)."""
        work = self._work
        work.visibility.wait(session, chunk.ticket, work.abort)
        where = work.mapping.source_key.where(chunk.lower, chunk.upper)
        began = time.monotonic()
        with session.transaction():
            if not work.mapping.keys.unique:
                # No key keeps a chunk that is copied again from doubling its rows.
                shadow = work.mapping.shadow_key.where(chunk.lower, chunk.upper)
                session.execute(f"DELETE FROM {work.names.shadow_sql} WHERE {shadow}")
            session.execute(self._insert + where)
            info = session.statement_info
            secs = time.monotonic() - began
            if info.warnings:
                self._refuse_warnings(session, chunk, info)
            asked = time.monotonic()
            work.lock.check(session)
            answered = time.monotonic()
        with self._count_lock:
            # What the server took, without the way there and back.
            self.commit_secs += max(0.0, time.monotonic() - answered - (answered - asked))
        if info.duplicates:
            self._fetch_skipped(session, where)
        return info.records, secs

    def _fetch_skipped(self, session: Session, where: str) -> None:
        """Rule 8: write the rows of a chunk that INSERT IGNORE left out.

        Rows whose own key was there already (a chunk copied twice after a resume) are not looked
        for: their deltas keep them right.
        """
        work = self._work
        source, shadow, keys = work.mapping.source_key, work.mapping.shadow_key, work.mapping.keys
        matches = keys.find_in_shadow("t", "s")
        if not keys.same_order:
            matches += f" AND {keys.exactly('t', 's')}"
        selected = ", ".join(
            column.select_expression(f"t.{quote(column.name)}") for column in source.columns
        )
        # The condition's columns are unqualified: read the chunk's keys in a derived table.
        rows = session.query(
            f"SELECT {selected} FROM (SELECT {source.column_list} FROM {work.names.source_sql} "
            f"{source.force_index} WHERE {where}) t LEFT JOIN {work.names.shadow_sql} s "
            f"ON {matches} WHERE s.{quote(shadow.names[0])} IS NULL"
        )
        for batch in source.batches(source.parse(row) for row in rows):
            self._writer.write(session, dict.fromkeys(batch, True))

    def _refuse_warnings(self, session: Session, chunk: Chunk, info: StatementInfo) -> None:
        """Any warning about a value but a duplicate key means that it did not fit: name it and
        stop."""
        remarks = 0
        for level, code, message in session.warnings():
            # A note: rounded, as a native ALTER does without asking.
            if code in _DEPRECATIONS or level == "Note":
                remarks += 1
            elif code != ER_DUP_ENTRY:
                raise self._does_not_fit(session, chunk, code, message)
        if info.warnings > info.duplicates + remarks:
            raise self._does_not_fit(session, chunk, 0, "the server does not say which value")

    def _does_not_fit(
        self, session: Session, chunk: Chunk, code: int, message: str
    ) -> DataDoesNotFitError:
        key = self._key_of_row(session, chunk, code, message)
        source = self._work.mapping.source_key
        row = f"row {source.describe(key)}" if key else "a row"
        return DataDoesNotFitError(
            f"The table {self._work.names.table} cannot take its new shape: {row} does not fit. "
            f"{message} (warning {code}). Correct the row or the statement. "
            f"{self._work.names.table} is as it was, and what was copied is kept.",
            {"key": source.describe(key) if key else "", "warning": message, "code": code},
            advice=f"Run it again to go on, or drop {self._work.names.shadow} and the checkpoint "
            f"table to give it up.",
        )

    def _key_of_row(self, session: Session, chunk: Chunk, code: int, message: str) -> Key | None:
        """The key of the row that a warning is about: by its number in the chunk, or, where the
        warning has none, by its NULL."""
        source = self._work.mapping.source_key
        _, found, number = message.rpartition(_ROW_NUMBER)
        condition, offset = "TRUE", 0
        if found and number.isdigit() and int(number) > 0:
            offset = int(number) - 1
        elif code == _ER_BAD_NULL and (null := self._null_condition(message)):
            condition = null
        else:
            return None
        rows = session.query(
            f"SELECT {source.select_list} FROM {self._work.names.source_sql} {source.force_index} "
            f"WHERE {source.where(chunk.lower, chunk.upper)} AND {condition} "
            f"ORDER BY {source.order} LIMIT 1 OFFSET {offset}"
        )
        return source.parse(rows[0]) if rows else None

    def _null_condition(self, message: str) -> str:
        """``Column 'v' cannot be null`` as a condition on the source."""
        return next(
            (
                f"{quote(pair.source.name)} IS NULL"
                for pair in self._work.mapping.pairs
                if f"'{pair.target.name}'" in message
            ),
            "",
        )


class _Gate:
    """Lets chunks through while it is open; ``close`` waits for those inside."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._open = True

    def passing(self, abort: Abort) -> _Gate:
        self._abort = abort
        return self

    def __enter__(self) -> None:
        with self._condition:
            while not self._open:
                self._abort.check()
                self._condition.wait(0.1)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._inside -= 1
            self._condition.notify_all()

    def close(self, abort: Abort) -> None:
        with self._condition:
            self._open = False
            while self._inside:
                abort.check()
                self._condition.wait(0.1)

    def open(self) -> None:
        with self._condition:
            self._open = True
            self._condition.notify_all()
