"""Writing changed rows to the shadow table: by key, from the source's present rows.

A batch is one transaction in READ COMMITTED: delete what was deleted, then replace every key of
the batch by what the source holds now. READ COMMITTED reads the source without locking it; a
DELETE that reads the source (NOT EXISTS, multi-table) would lock it, so none is used.

REPLACE may remove another row that holds a unique value which the batch's row has now. That row
is stale, because at one moment the source cannot hold a value twice, and its own delta is still to
be applied and brings it back. This holds only while batches read and write one after the other: a
second batch that read earlier and writes later could remove a row that is *not* stale. So where
the shadow table has a unique index besides its key, batches are written one at a time.

It does not hold at all for a unique index that the source has not (or with other values): there
two rows may really have one value, and REPLACE would drop one of them in silence. Such a table is
written by DELETE and plain INSERT. When that finds a duplicate, the rows in the way are asked for,
and read again together with the batch in one statement, which sees one moment of the source: either
they have let the value go by then, or the data really has it twice, and the run ends.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Collection, Iterator

import MySQLdb

from migrations_app.engine.deltas import Deltas
from migrations_app.engine.errors import DataDoesNotFitError
from migrations_app.engine.keys import Key, KeyColumn
from migrations_app.engine.names import quote
from migrations_app.engine.session import ER_DUP_ENTRY, Session, error_code, server_text
from migrations_app.engine.work import Work

_DUPLICATES_NAMED = 5
_CONFLICTS = "@spirit_conflicts"


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
        repeats the call on contention. Raises DataDoesNotFitError."""
        with self._turn(), session.transaction():
            if self._work.mapping.new_unique:
                self._insert_checked(session, set(deltas))
            else:
                self._replace(session, deltas)
            self._work.lock.check(session)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        if not self.serial:
            yield
            return
        with self._one_at_a_time:
            yield

    def _replace(self, session: Session, deltas: Deltas) -> None:
        # Where the shadow table's key is not unique, REPLACE would leave the row's old copy.
        every = not self._work.mapping.keys.unique
        deleted = [key for key, was_delete in deltas.items() if was_delete or every]
        if deleted:
            self.remove(session, deleted)
        session.execute(f"REPLACE {self._rows}{self._work.mapping.source_key.in_list(deltas)}")

    def remove(self, session: Session, keys: Collection[Key]) -> None:
        """Delete the rows of these keys from the shadow table."""
        session.execute(self._delete + self._work.mapping.keys.shadow_in_list(keys))

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

    # -- unique indexes that the source does not vouch for

    def _insert_checked(self, session: Session, keys: set[Key]) -> None:
        """Delete and insert these rows, and with them every row that is in their way."""
        insert = f"INSERT {self._rows}"
        while True:
            self.remove(session, keys)
            condition = self._work.mapping.source_key.in_list(keys)
            session.query("SAVEPOINT rows_removed")
            try:
                session.execute(insert + condition)
                return
            except MySQLdb.IntegrityError as error:
                if error_code(error) != ER_DUP_ENTRY:
                    raise self._does_not_fit(error) from error
                session.query("ROLLBACK TO SAVEPOINT rows_removed")
                pairs = self._conflicts(session, insert + condition)
                session.query("ROLLBACK TO SAVEPOINT rows_removed")
                in_the_way = {held_by for held_by, _ in pairs} - keys
                # A conflict that is gone by now has let the value go: try again.
                if pairs and not in_the_way:
                    raise self._duplicates(error, pairs) from error
                keys |= in_the_way

    def _conflicts(self, session: Session, insert: str) -> list[tuple[Key, Key]]:
        """(key of the row that holds a unique value, key of the row that wants it) for the first
        conflict of each row. Told by the server itself, whatever the index consists of."""
        keys, names = self._work.mapping.keys, self._work.names
        held_by = [
            _as_text(column, expression)
            for column, expression in zip(
                keys.source.columns, keys.shadow_expressions(f"{names.shadow_sql}."), strict=True
            )
        ]
        wanted_by = [
            _as_text(column, column.select_expression(f"{names.source_sql}.{quote(column.name)}"))
            for column in keys.source.columns
        ]
        first = f"{names.shadow_sql}.{quote(keys.shadow.names[0])}"
        noted = (
            f"{_CONFLICTS} := JSON_ARRAY_APPEND({_CONFLICTS}, '$', JSON_ARRAY("
            f"JSON_ARRAY({', '.join(held_by)}), JSON_ARRAY({', '.join(wanted_by)})))"
        )
        session.query(f"SET {_CONFLICTS} = JSON_ARRAY()")
        session.execute(
            f"{insert} ON DUPLICATE KEY UPDATE {quote(keys.shadow.names[0])} = "
            f"IF(JSON_LENGTH({noted}) > 0, {first}, {first})"
        )
        found = json.loads(session.query_one(f"SELECT {_CONFLICTS}")[0])
        session.query(f"SET {_CONFLICTS} = NULL")
        parse = keys.source.from_texts
        return [(parse(held), parse(wanted)) for held, wanted in found]

    def _duplicates(self, error: Exception, pairs: list[tuple[Key, Key]]) -> DataDoesNotFitError:
        describe = self._work.mapping.source_key.describe
        examples = "; ".join(
            f"{describe(wanted)} and {describe(held)} would be the same in it"
            for held, wanted in pairs[:_DUPLICATES_NAMED]
        )
        return DataDoesNotFitError(
            f"A new unique index cannot hold the data of {self._work.names.table}: {examples} "
            f"({server_text(error)}). Make the values different (or leave the index out) and "
            f"submit the change again. {self._work.names.table} is as it was.",
            {"keys": [describe(wanted) for _, wanted in pairs[:_DUPLICATES_NAMED]]},
        )

    def _does_not_fit(self, error: Exception) -> DataDoesNotFitError:
        return DataDoesNotFitError(
            f"A row of {self._work.names.table} does not fit its new shape: {server_text(error)}. "
            f"Correct the row or the statement. {self._work.names.table} is as it was."
        )


def _as_text(column: KeyColumn, expression: str) -> str:
    """A key column's expression as the text that ``KeyColumn.from_text`` reads."""
    if column.octet_length:
        return f"HEX({expression})"
    return f"CAST({expression} AS CHAR CHARACTER SET utf8mb4)"
