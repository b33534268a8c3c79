"""What a reader is told to read, and whom it tells what it found."""

from __future__ import annotations

import dataclasses
from typing import Protocol

from migrations_app.engine.binlog.position import Position
from migrations_app.engine.keys import Key, KeyColumn

TableName = tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Subscription:
    """A table whose changed keys are wanted; names as information_schema spells them."""

    schema: str
    table: str
    key_columns: tuple[KeyColumn, ...]

    @property
    def name(self) -> TableName:
        return self.schema, self.table


class Sink(Protocol):
    """Called on the reader's thread, in the order of the binary log.

    Positions never go back. After a reconnection the transaction that was under way is delivered
    again from its ``transaction_started`` on, without an end in between; complete ones are not.
    An exception raised by a sink ends the reader, with that exception as its ``error``.
    """

    def transaction_started(self, gtid: str) -> None:
        """A transaction's rows follow. gtid: ``uuid:n`` or ``uuid:tag:n``; "" without GTIDs."""

    def keys_changed(self, table: TableName, keys: list[Key], deleted: bool) -> None:
        """Rows were deleted, or inserted or updated. A changed key is its old value deleted, then
        its new one upserted. The keys of a prepared XA transaction come twice: when it is
        prepared, and in the transaction that commits it, which is when its rows become visible.
        """

    def transaction_ended(self, position: Position) -> None:
        """Everything up to the position, which is right behind a transaction, was delivered."""

    def position_moved(self, position: Position) -> None:
        """The same, by a rotation or a heartbeat; nothing is pending."""

    def schema_changed(self, table: TableName, sql: str, position: Position) -> None:
        """A statement changes the table's definition, or its rows without row events."""

    def stream_reconnected(self, reason: str, attempt: int) -> None:
        """The stream was lost for the given reason and is back; attempt counts from 1."""
