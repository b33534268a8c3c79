"""One connection of the live writer: it commits a transaction exactly once, whatever happens.

A swap of the table, a deadlock, a killed session or a server that restarts are all survived. Where
a COMMIT's answer is lost nobody knows whether it happened; then the rows themselves are asked. A
session's named lock is given back only once the server has ended the session and finished or
rolled back its transaction, so a successor that holds the lock sees the final answer.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import time
from collections.abc import Sequence

import MySQLdb
from MySQLdb.constants import CR, ER

from migrations_app.engine.dsn import Dsn
from migrations_app.engine.session import error_code
from playground.connections import connect, greeting_was_broken, query, quote
from playground.ledger import Change, Kind
from playground.tables import Key, Table, read_rows

PATIENCE_SECS = 60.0
RETRY_SECS = 0.05
LOCK_WAIT_SECS = 5

_LOST = {
    CR.SERVER_GONE_ERROR,
    CR.SERVER_LOST,
    CR.CONNECTION_ERROR,
    CR.CONN_HOST_ERROR,
    2055,  # CR_SERVER_LOST_EXTENDED
    ER.SERVER_SHUTDOWN,
    1927,  # Connector/C's word for a killed session
    4031,  # the server ended an idle session
    1079,
}
_AGAIN = {
    1205,  # lock wait timeout
    1213,  # deadlock
    1317,  # KILL QUERY
    1412,  # the table's definition changed during the transaction: it was swapped
    3024,  # max_execution_time
}


class SurpriseError(Exception):
    """The table does not hold what this writer, alone with these keys, has put there."""

    def __init__(self, change: Change, message: str) -> None:
        super().__init__(message)
        self.change = change


class WriterError(Exception):
    """The writer cannot go on; the message says why."""


class WriterSession:
    """Owns one connection. ``retries`` counts server errors that were survived, by number."""

    def __init__(self, dsn: Dsn, table: Table, lock_name: str) -> None:
        self.dsn = dsn
        self.table = table
        self.lock_name = lock_name
        self.retries: collections.Counter[int] = collections.Counter()
        self._connection: MySQLdb.Connection | None = None

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(MySQLdb.Error):
                connection.close()

    def commit(self, changes: Sequence[Change]) -> list[Change]:
        """Make the changes in one transaction; returns them with the keys the server gave.

        Raises SurpriseError, with nothing committed, when a row is not as booked, and WriterError
        when the server could not be reached for PATIENCE_SECS or refuses the statements.
        """
        deadline = time.monotonic() + PATIENCE_SECS
        while True:
            try:
                connection = self._live(deadline)
                done = [self._execute(connection, change) for change in changes]
            except MySQLdb.Error as error:
                # No COMMIT was sent: the server rolls back, at the latest when the session ends.
                self._survive(error, deadline)
                continue
            except SurpriseError:
                self._roll_back()
                raise
            try:
                connection.commit()
            except MySQLdb.Error as error:
                self.retries[error_code(error)] += 1
                self.close()
                if not self._was_committed(done, deadline):
                    continue
            return done

    def _execute(self, connection: MySQLdb.Connection, change: Change) -> Change:
        table = self.table
        if change.kind is Kind.REPLACE and change.before is not None:
            self._delete(connection, change)
            self._insert(connection, change)
        elif change.before is None:
            return self._insert(connection, change)
        elif change.after is None:
            self._delete(connection, change)
        else:
            places = [
                place
                for place, column in enumerate(table.columns)
                if column.always_set or change.before[place] != change.after[place]
            ]
            # Chance may have chosen the values that were there.
            places = places or [0]
            settings = ", ".join(f"{quote(table.names[place])} = %s" for place in places)
            values = [table.dumped(place, change.after[place]) for place in places]
            self._change_one(
                connection, change, f"UPDATE {quote(table.name)} SET {settings}", values
            )
        return change

    def _delete(self, connection: MySQLdb.Connection, change: Change) -> None:
        self._change_one(connection, change, f"DELETE FROM {quote(self.table.name)}", [])

    def _change_one(
        self, connection: MySQLdb.Connection, change: Change, sql: str, values: list[object]
    ) -> None:
        """Run an UPDATE or DELETE of the change's row, which must be there."""
        where = " AND ".join(f"{quote(name)} = %s" for name in self.table.key)
        key = change.key_before or ()
        with contextlib.closing(connection.cursor()) as cursor:
            try:
                matched = cursor.execute(f"{sql} WHERE {where}", (*values, *key))
            except MySQLdb.IntegrityError as error:
                raise SurpriseError(change, f"{change.kind} of {key}: {error.args[1]}") from error
        if matched != 1:
            raise SurpriseError(change, f"{change.kind} of {key}: {matched} rows, not 1, are there")

    def _insert(self, connection: MySQLdb.Connection, change: Change) -> Change:
        table, row = self.table, change.after
        assert row is not None
        places = list(range(len(table.columns)))
        if change.key_after is None:
            places = list(table.value_columns)
        columns = ", ".join(quote(table.names[place]) for place in places)
        holes = ", ".join(["%s"] * len(places))
        with contextlib.closing(connection.cursor()) as cursor:
            try:
                cursor.execute(
                    f"INSERT INTO {quote(table.name)} ({columns}) VALUES ({holes})",
                    [table.dumped(place, row[place]) for place in places],
                )
            except MySQLdb.IntegrityError as error:
                raise SurpriseError(
                    change, f"{change.kind} of {change.key_after}: {error.args[1]}"
                ) from error
            if change.key_after is not None:
                return change
            key = (int(cursor.lastrowid),)
        return dataclasses.replace(change, key_after=key, after=table.with_key(row, key))

    def _was_committed(self, done: Sequence[Change], deadline: float) -> bool:
        """Whether the transaction whose COMMIT was not answered has happened."""
        states = [state for change in done for state in change.states]
        keys = [key for key, _, _ in states]
        while True:
            try:
                connection = self._live(deadline)
                found = read_rows(connection, self.table, keys)
                connection.rollback()
                break
            except MySQLdb.Error as error:
                self._survive(error, deadline)
        if all(found.get(key) == after for key, _, after in states):
            return True
        if all(found.get(key) == before for key, before, _ in states):
            return False
        raise SurpriseError(
            done[0],
            f"after a lost COMMIT the rows {_shown(keys)} are neither as before nor as after",
        )

    def _live(self, deadline: float) -> MySQLdb.Connection:
        """The connection; a new one once its predecessor's session has ended on the server."""
        while self._connection is None:
            try:
                connection = connect(self.dsn, autocommit=False)
            except MySQLdb.Error as error:
                self._survive(error, deadline, lost=greeting_was_broken(error))
                continue
            try:
                rows = query(
                    connection, "SELECT GET_LOCK(%s, %s)", (self.lock_name, LOCK_WAIT_SECS)
                )
            except MySQLdb.Error as error:
                connection.close()
                self._survive(error, deadline)
                continue
            if rows == [(1,)]:
                self._connection = connection
            else:
                connection.close()
                if time.monotonic() > deadline:
                    raise WriterError("A lost session of the writer did not end on the server.")
        return self._connection

    def _survive(self, error: MySQLdb.Error, deadline: float, *, lost: bool = False) -> None:
        """Make ready for another try, or raise WriterError. lost: it is known that the connection
        is gone, whatever the error's number."""
        code = error_code(error)
        self.retries[code] += 1
        lost = lost or code in _LOST
        if not (lost or code in _AGAIN) or time.monotonic() > deadline:
            self.close()
            raise WriterError(
                f"The live writer met an error it does not survive: {error}"
            ) from error
        if lost:
            self.close()
            time.sleep(RETRY_SECS)
        else:
            self._roll_back()

    def _roll_back(self) -> None:
        if self._connection is not None:
            try:
                self._connection.rollback()
            except MySQLdb.Error:
                self.close()


def _shown(keys: Sequence[Key]) -> str:
    return ", ".join("/".join(str(part) for part in key) for key in keys)
