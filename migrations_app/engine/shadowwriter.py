"""Writing changed rows to the shadow table: by key, from the source's present rows.

A batch is one transaction in READ COMMITTED: delete what was deleted, then replace every key of
the batch by what the source holds now. READ COMMITTED reads the source without locking it; a
DELETE that reads the source (NOT EXISTS, multi-table) would lock it, so none is used.

REPLACE may remove another row that holds a unique value which the batch's row has now. That row
is stale, because at one moment the source cannot hold a value twice, and its own delta is still to
be applied and brings it back. This holds only while batches read and write one after the other: a
second batch that read earlier and writes later could remove a row that is *not* stale. So where
the shadow table has a unique index besides its key, batches are written one at a time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Collection, Iterator, Sequence

import MySQLdb

from migrations_app.engine import casting
from migrations_app.engine.deltas import Deltas
from migrations_app.engine.errors import DataDoesNotFitError
from migrations_app.engine.keys import Key
from migrations_app.engine.names import quote
from migrations_app.engine.session import Session, server_text
from migrations_app.engine.table import Index
from migrations_app.engine.work import Work

_DUPLICATES_NAMED = 5


class ShadowWriter:
    """Writes batches of keys to one shadow table. Thread-safe, each thread with its session."""

    def __init__(self, work: Work) -> None:
        self._work = work
        mapping = work.mapping
        key_columns = {name.lower() for name in mapping.shadow_key.names}
        self.serial = any(
            index.unique and {name.lower() for name in index.columns} != key_columns
            for index in mapping.shadow.indexes
        )
        self._one_at_a_time = threading.Lock()
        names = work.names
        self._rows = (
            f"INTO {names.shadow_sql} ({mapping.shadow_columns}) "
            f"SELECT {mapping.source_columns} FROM {names.source_sql} "
            f"{mapping.source_key.force_index} WHERE "
        )
        self._delete = f"DELETE FROM {names.shadow_sql} WHERE "

    def write(self, session: Session, deltas: Deltas) -> None:
        """Bring the rows of these keys up to date. The caller has waited for visibility and
        repeats the call on contention."""
        with self._turn(), session.transaction():
            self._write(session, deltas)
            self._work.lock.check(session)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if not self.serial:
            yield
            return
        with self._one_at_a_time:
            yield

    def _write(self, session: Session, deltas: Deltas) -> None:
        deleted = [key for key, was_delete in deltas.items() if was_delete]
        if deleted:
            self.remove(session, deleted)
        if self._work.mapping.new_unique:
            self.refuse_real_duplicates(session, deltas)
        session.execute(f"REPLACE {self._rows}{self._work.mapping.source_key.in_list(deltas)}")

    def remove(self, session: Session, keys: Collection[Key]) -> None:
        """Delete the rows of these keys from the shadow table."""
        session.execute(self._delete + self._work.mapping.shadow_key.in_list(keys))

    def insert(self, session: Session, keys: Collection[Key]) -> None:
        """Insert the source's rows of these keys, none of which may be there.

        Raises DataDoesNotFitError when a unique index does not allow that.
        """
        try:
            session.execute(f"INSERT {self._rows}{self._work.mapping.source_key.in_list(keys)}")
        except MySQLdb.IntegrityError as error:
            raise DataDoesNotFitError(
                f"A changed row of {self._work.names.table} does not fit its new shape: "
                f"{server_text(error)}. Correct the row or the statement. "
                f"{self._work.names.table} is as it was."
            ) from error

    def refuse_real_duplicates(self, session: Session, keys: Collection[Key]) -> None:
        """Raise DataDoesNotFitError when rows of these keys share the value of a new unique index
        with another row of the source, at this moment."""
        for index in self._work.mapping.new_unique:
            holders = self._holders(session, index, list(keys))
            if holders:
                self._raise_duplicate(index, holders)

    def _holders(
        self, session: Session, index: Index, keys: Sequence[Key]
    ) -> list[tuple[Key, Key, str]]:
        """(key, key of the other row, value) for real duplicates of ``keys``."""
        mapping, names = self._work.mapping, self._work.names
        pairs = [
            pair
            for name in index.columns
            for pair in mapping.pairs
            if pair.target.name.lower() == name.lower()
        ]
        if not pairs or index.functional or not keys:
            return []
        matches, still = (
            " AND ".join(
                casting.equals_new(
                    pair, f"{alias}.{quote(pair.source.name)}", f"h.{quote(pair.target.name)}"
                )
                for pair in pairs
            )
            for alias in ("a", "b")
        )
        width = len(mapping.source_key.columns)
        same_row = " AND ".join(
            casting.equals_old(pair, f"b.{quote(pair.source.name)}", f"h.{quote(pair.target.name)}")
            for pair in casting.key_pairs(mapping)
        )
        other = " OR ".join(
            f"b.{quote(name)} <> a.{quote(name)}" for name in mapping.source_key.names
        )
        key_of = [
            ", ".join(
                column.select_expression(f"{alias}.{quote(column.name)}")
                for column in mapping.source_key.columns
            )
            for alias in ("a", "b")
        ]
        value = f"CONCAT_WS(', ', {', '.join(f'h.{quote(pair.target.name)}' for pair in pairs)})"
        rows = session.query(
            f"SELECT {key_of[0]}, {key_of[1]}, {value} FROM {names.source_sql} a "
            f"JOIN {names.shadow_sql} h ON {matches} "
            f"JOIN {names.source_sql} b ON {same_row} "
            f"WHERE {mapping.source_key.in_list(keys, 'a.')} AND ({other}) AND {still} "
            f"LIMIT {_DUPLICATES_NAMED}"
        )
        parse = mapping.source_key.parse
        return [(parse(row), parse(row[width:]), str(row[2 * width])) for row in rows]

    def _raise_duplicate(self, index: Index, holders: list[tuple[Key, Key, str]]) -> None:
        describe = self._work.mapping.source_key.describe
        examples = "; ".join(
            f"{describe(one)} and {describe(other)} both hold {value!r}"
            for one, other, value in holders
        )
        raise DataDoesNotFitError(
            f"The new unique index {index.name!r} cannot hold the data: {examples}. Make the "
            f"values different (or leave the index out) and submit the change again. "
            f"{self._work.names.table} is as it was.",
            {"index": index.name, "keys": [describe(one) for one, _, _ in holders]},
        )
