"""From events to the sink: transactions, positions, rows and definitions, in order."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from migrations_app.engine.binlog import events, payload
from migrations_app.engine.binlog.ddl import changed_tables, first_word, writes_unseen
from migrations_app.engine.binlog.errors import ChangesLostError
from migrations_app.engine.binlog.events import EventType
from migrations_app.engine.binlog.gtid import GtidSet
from migrations_app.engine.binlog.position import Position, file_number
from migrations_app.engine.binlog.rows import ROW_EVENTS, KeyRun, RowEvents
from migrations_app.engine.binlog.sink import Sink, Subscription
from migrations_app.engine.binlog.taggedgtid import parse_gtid_tagged

logger = logging.getLogger(__name__)

_WRAP = 2**32
# They may come before the file's own format is known.
_OUTSIDE_THE_FILE = frozenset({EventType.ROTATE, EventType.HEARTBEAT, EventType.HEARTBEAT_V2})
# How nearly every transaction begins: no need to take the statement apart.
_BEGIN = b"\0BEGIN"
_XA_ENDED = re.compile(r"XA\s+(COMMIT|ROLLBACK)\s+(.*?)(\s+ONE\s+PHASE)?\s*", re.I | re.S)
# Between BEGIN and COMMIT; they neither change a table nor end the transaction.
_WITHIN = frozenset({"SAVEPOINT", "RELEASE", "XA"})


@dataclasses.dataclass(frozen=True, slots=True)
class ServerTraits:
    """What of the server matters to reading its log.

    ignores_case: it does not tell upper from lower case in table names.
    """

    uuid: str = ""
    ignores_case: bool = False


class _Prepared(NamedTuple):
    """An XA transaction that is prepared: where it began, and its keys of subscribed tables."""

    begun_at: Position
    runs: list[KeyRun]


class Interpreter:
    """The state of a stream between two events. Used by the reader's thread alone.

    ``delivered`` is the last position that was given to the sink.
    """

    def __init__(
        self,
        start: Position,
        subscriptions: Sequence[Subscription],
        sink: Sink,
        *,
        use_gtid: bool,
    ) -> None:
        self._names = [subscription.name for subscription in subscriptions]
        self._rows = RowEvents(subscriptions)
        self._sink = sink
        self._use_gtid = use_gtid
        self._gtids = GtidSet.parse(start.gtid_set)
        self._server_uuid = ""
        self._coordinates_hold = True
        self.delivered = start
        self._prepared: dict[str, _Prepared] = {}
        self._handlers = self._make_handlers()
        self.stream_opened(ServerTraits(), by_gtid=False)

    def stream_opened(self, server: ServerTraits, *, by_gtid: bool) -> None:
        """Forget what an earlier connection left unfinished.

        by_gtid: the dump was requested by GTID set. Then file and offset come from the stream,
        and may begin anew on a server that was not the one before.
        """
        if by_gtid and server.uuid != self._server_uuid:
            self._coordinates_hold = False
        self._server_uuid = server.uuid
        self._ignores_case = ignores_case = server.ignores_case
        self._rows.stream_opened(ignores_case=ignores_case)
        self._checksum_bytes = events.CHECKSUM_BYTES
        self._file, self._offset = "", 0
        self._gtid: tuple[str, int, str] | None = None
        self._in_transaction = False
        self._in_block = False
        self._xa_runs: list[KeyRun] | None = None
        self._begun_at = self.delivered

    @property
    def restart_position(self) -> Position:
        """Where a later reader must begin to see everything that is not visible yet.

        Usually ``delivered``; earlier while an XA transaction with rows of ours stays prepared.
        """
        positions = [xa.begun_at for xa in list(self._prepared.values()) if xa.runs]
        return min(
            positions, key=lambda at: (file_number(at.file), at.offset), default=self.delivered
        )

    def handle(self, event: bytes) -> None:
        """Take in one event as it came from the server."""
        kind = event[events.KIND_AT]
        if kind in _OUTSIDE_THE_FILE:
            event = events.without_checksum_if_valid(event)
        elif kind == EventType.FORMAT_DESCRIPTION:
            self._checksum_bytes = events.checksum_bytes_after(event)
        elif self._checksum_bytes:
            event = event[: -self._checksum_bytes]
        if kind != EventType.ROTATE:
            self._advance(event, kind)
        handler = self._handlers.get(kind)
        if handler is not None:
            handler(event)

    def _make_handlers(self) -> dict[int, Callable[[bytes], None]]:
        return {
            EventType.ROTATE: self._rotate,
            EventType.HEARTBEAT: self._between_transactions,
            EventType.PREVIOUS_GTIDS: self._between_transactions,
            EventType.GTID: lambda event: self._begin((*events.parse_gtid(event), "")),
            EventType.GTID_TAGGED: lambda event: self._begin(parse_gtid_tagged(event)),
            EventType.ANONYMOUS_GTID: lambda event: self._begin(None),
            EventType.TABLE_MAP: self._rows.table_map,
            **dict.fromkeys(ROW_EVENTS, self._row_event),
            EventType.QUERY: self._query,
            EventType.EXECUTE_LOAD_QUERY: self._load_query,
            EventType.XID: self._end,
            EventType.XA_PREPARE: self._xa_prepared,
            EventType.TRANSACTION_PAYLOAD: self._payload,
            EventType.INCIDENT: self._incident,
        }

    def _payload(self, event: bytes) -> None:
        for inner in payload.inner_events(event):
            handler = self._handlers.get(inner[events.KIND_AT])
            if handler is not None:
                handler(inner)

    def _incident(self, event: bytes) -> None:
        raise ChangesLostError(
            f"The server noted at {self._file}:{self._offset} that changes are missing from its "
            f"binary log (an incident event). What was copied cannot be brought up to date; the "
            f"next run starts afresh."
        )

    # -- where we are

    def _rotate(self, event: bytes) -> None:
        self._file, self._offset = events.parse_rotate(event)
        self._rows.forget_ids()
        # An artificial one only names the file from which the server begins to send, which after
        # a reconnection with GTIDs is an old one; positions do not go back (see _position).
        self._between_transactions(event)

    def _advance(self, event: bytes, kind: int) -> None:
        """Follow the event's end position, of which the header has only the lower 32 bits."""
        log_pos = events.log_pos(event)
        if not log_pos:  # it was never in a file
            return
        before = self._offset
        offset = before - before % _WRAP + log_pos
        if offset >= before:
            self._offset = offset
        elif kind != EventType.HEARTBEAT:
            self._offset = offset + _WRAP

    def _position(self) -> Position:
        before = self.delivered
        gtid_set = str(self._gtids) if self._use_gtid else ""
        if self._coordinates_hold and before.reached(self._file, self._offset):
            return Position(before.file, before.offset, gtid_set)
        self._coordinates_hold = True
        return Position(self._file, self._offset, gtid_set)

    def _between_transactions(self, event: bytes) -> None:
        if not self._in_transaction and self._file:
            self.delivered = self._position()
            self._sink.position_moved(self.delivered)

    # -- transactions

    def _begin(self, gtid: tuple[str, int, str] | None) -> None:
        self._gtid = gtid
        self._in_transaction = True
        self._in_block = False
        self._xa_runs = None
        self._begun_at = self.delivered
        if gtid is None:
            self._sink.transaction_started("")
        else:
            uuid, number, tag = gtid
            self._sink.transaction_started(f"{uuid}:{tag}:{number}" if tag else f"{uuid}:{number}")

    def _end(self, event: bytes) -> None:
        if self._gtid is not None:
            uuid, number, tag = self._gtid
            self._gtids.add(uuid, number, tag)
        self._gtid = None
        self._in_transaction = self._in_block = False
        self._xa_runs = None
        self.delivered = self._position()
        self._sink.transaction_ended(self.delivered)

    def _row_event(self, event: bytes) -> None:
        for run in self._rows.keys(event):
            if self._xa_runs is not None:
                self._xa_runs.append(run)
            self._sink.keys_changed(*run)

    def _query(self, event: bytes) -> None:
        if event.endswith(_BEGIN):
            self._in_block = True
            return
        query = events.parse_query(event)
        verb = first_word(query.sql)
        if verb == "BEGIN":
            self._in_block = True
        elif verb == "COMMIT" or (verb == "ROLLBACK" and " TO " not in query.sql.upper()):
            self._end(event)
        elif verb == "XA" and not self._in_block:
            self._xa(event, query.sql)
        elif verb not in _WITHIN and verb != "ROLLBACK":
            self._statement(query)
            if not self._in_block:
                self._end(event)

    def _load_query(self, event: bytes) -> None:
        self._statement(events.parse_query(event, load_data=True))

    def _statement(self, query: events.Query) -> None:
        """A statement that was logged as such: a definition, or a change without row events."""
        if writes_unseen(query.sql):
            raise ChangesLostError(
                f"A session wrote with binlog_format=STATEMENT or MIXED ({query.sql[:200]!r}). "
                f"What its views, triggers and functions changed cannot be seen in the binary log. "
                f"The next run starts afresh; have every application write with "
                f"binlog_format=ROW, which is the server's default."
            )
        found = changed_tables(query.sql, query.schema, self._names, fold_case=self._ignores_case)
        for name in found:
            self._sink.schema_changed(name, query.sql, self._position())

    # -- XA: rows are logged when they are prepared, and become visible when they are committed

    def _xa(self, event: bytes, sql: str) -> None:
        ended = _XA_ENDED.fullmatch(sql)
        if ended is None:  # XA START
            self._in_block = True
            self._xa_runs = []
            return
        prepared = self._prepared.pop(_normal_xid(ended[2]), None)
        if ended[1].upper() == "COMMIT":
            # One that was prepared before the start is not of ours: a run begins only when those
            # are proved to have ended, and ``restart_position`` keeps them for a resumed one.
            for run in prepared.runs if prepared else ():
                self._sink.keys_changed(*run)
        self._end(event)

    def _xa_prepared(self, event: bytes) -> None:
        prepare = events.parse_xa_prepare(event)
        if not prepare.one_phase:
            self._prepared[_normal_xid(prepare.xid)] = _Prepared(
                self._begun_at, self._xa_runs or []
            )
        self._end(event)


def _normal_xid(text: str) -> str:
    return "".join(text.split()).lower()
