"""The checkpoint table: what a run must know to go on where an earlier one ended.

It lives beside the table (of a change of several tables, beside the first), in the target's
schema. The newest row counts; older ones are pruned.

A change of one table keeps its watermarks as such, and its deferred indexes as a list. A change of
several keeps, in the same columns, one object with a member for each table.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Callable, Sequence
from typing import Any

import MySQLdb

from migrations_app.engine import definitions
from migrations_app.engine.binlog import Position
from migrations_app.engine.fence import TableLock
from migrations_app.engine.names import literal
from migrations_app.engine.observer import CheckpointRow, Phase
from migrations_app.engine.session import ER_NO_SUCH_TABLE, Session, error_code
from migrations_app.engine.statement import Change

# Changes when an older engine's checkpoint can no longer be resumed from.
ENGINE_VERSION = "1"
_KEPT_ROWS = 10
_MARKER_PHASE = "marker"
# The row that a run leaves until its first checkpoint: a run that ends before it has lost nothing.
_BEGUN_PHASE = "begun"
_IS_CHECKPOINT = f"phase NOT IN ('{_MARKER_PHASE}', '{_BEGUN_PHASE}')"
_CREATE = """CREATE TABLE IF NOT EXISTS {table} (
  id INT NOT NULL AUTO_INCREMENT PRIMARY KEY,
  copier_watermark MEDIUMTEXT,
  checksum_watermark MEDIUMTEXT,
  binlog_name VARCHAR(255),
  binlog_pos BIGINT UNSIGNED,
  statement MEDIUMTEXT,
  gtid_set MEDIUMTEXT NULL,
  phase VARCHAR(32),
  deferred_indexes MEDIUMTEXT NULL,
  cutover_intent TINYINT,
  rows_copied BIGINT UNSIGNED,
  table_name VARCHAR(64),
  engine_version VARCHAR(32),
  created_at DATETIME(6)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='{comment}'"""
_COLUMNS = (
    "copier_watermark", "checksum_watermark", "binlog_name", "binlog_pos", "statement", "gtid_set",
    "phase", "deferred_indexes", "cutover_intent", "rows_copied", "table_name", "engine_version",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class TableState:
    """How far one table of a change has got. Watermarks are JSON, "" before anything is done;
    deferred_indexes: the definitions still to be built."""

    table: str
    copier_watermark: str
    checksum_watermark: str
    deferred_indexes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """What a checkpoint row is made from.

    position: one before which every delta is in the shadow tables (rule 5).
    """

    tables: tuple[TableState, ...]
    position: Position
    phase: Phase
    cutover_intent: bool
    rows_copied: int


@dataclasses.dataclass(frozen=True, slots=True)
class Unsaved:
    """What a run had done when it lost its server, and could not save. last: its newest row."""

    snapshot: Snapshot
    last: CheckpointRow | None


class CheckpointTable:
    """The checkpoint table of one change. Sessions are the caller's."""

    def __init__(self, change: Change) -> None:
        self._change = change
        self._names = change.first.names
        self._sql = self._names.checkpoint_sql

    def create(self, session: Session) -> None:
        comment = definitions.comment(session, self._change.all_names)
        session.query(_CREATE.format(table=self._sql, comment=comment))
        session.query(
            f"INSERT INTO {self._sql} (phase, cutover_intent) VALUES ('{_BEGUN_PHASE}', 0)"
        )

    def has_only_begun(self, session: Session) -> bool:
        """Whether its run never came to its first checkpoint. Somebody else's DDL, which makes
        checkpoints invalid, empties the table altogether."""
        try:
            found = session.query(f"SELECT phase FROM {self._sql} WHERE phase <> '{_MARKER_PHASE}'")
        except MySQLdb.Error as error:
            if error_code(error) == ER_NO_SUCH_TABLE:
                return False
            raise
        return [row[0] for row in found] == [_BEGUN_PHASE]

    def drop(self, session: Session) -> None:
        """Drop it, and any that an earlier change kept beside another of the tables."""
        for names in self._change.all_names:
            session.query(f"DROP TABLE IF EXISTS {names.checkpoint_sql}")

    def save(self, session: Session, snapshot: Snapshot, lock: TableLock) -> CheckpointRow:
        """Write a row, prune old ones, and return what was written.

        Raises LockLostError: a run that has lost its tables must not tell its successor anything.
        """
        values: list[str | int | None] = [
            _together(snapshot.tables, lambda state: _json(state.copier_watermark)),
            _together(snapshot.tables, lambda state: _json(state.checksum_watermark)),
            snapshot.position.file,
            snapshot.position.offset,
            self._change.sql,
            snapshot.position.gtid_set or None,
            snapshot.phase.value,
            _together(snapshot.tables, lambda state: list(state.deferred_indexes)) or None,
            int(snapshot.cutover_intent),
            snapshot.rows_copied,
            self._names.table,
            ENGINE_VERSION,
        ]
        with session.transaction():
            session.query(
                f"INSERT INTO {self._sql} ({', '.join(_COLUMNS)}, created_at) "
                f"VALUES ({', '.join(literal(value) for value in values)}, NOW(6))"
            )
            new_id = int(session.query_one("SELECT LAST_INSERT_ID()")[0])
            session.query(f"DELETE FROM {self._sql} WHERE phase = '{_BEGUN_PHASE}'")
            session.query(
                f"DELETE FROM {self._sql} WHERE id <= (SELECT * FROM (SELECT id FROM {self._sql} "
                f"ORDER BY id DESC LIMIT 1 OFFSET {_KEPT_ROWS}) AS kept)"
            )
            lock.check(session)
        return _row(session.query_dicts(f"SELECT * FROM {self._sql} WHERE id = {new_id}")[0])

    def mark_swapped(self, session: Session) -> None:
        """Note in the newest row that the tables were swapped; only tidying up is left to do."""
        try:
            session.query(
                f"UPDATE {self._sql} SET phase = '{Phase.COMPLETED.value}' "
                f"WHERE {_IS_CHECKPOINT} ORDER BY id DESC LIMIT 1"
            )
        except MySQLdb.Error as error:
            if error_code(error) != ER_NO_SUCH_TABLE:
                raise

    def save_late(
        self, session: Session, unsaved: Unsaved, lock: TableLock
    ) -> CheckpointRow | None:
        """Save what could not be saved before, unless somebody else has been at the tables since:
        then the newest row is not the run's own any more."""
        if unsaved.last is None or self.newest(session) != unsaved.last:
            return None
        return self.save(session, unsaved.snapshot, lock)

    def invalidate(self, session: Session, lock: TableLock) -> None:
        """Make sure that nobody resumes from here: the table stays, its rows go.

        Raises LockLostError: the rows may be a successor's by now.
        """
        with session.transaction():
            session.query(f"DELETE FROM {self._sql}")
            lock.check(session)

    def newest(self, session: Session) -> CheckpointRow | None:
        """The row that counts; None when there is no table or no row.

        Raises MySQLdb.Error when the table is there but is not a checkpoint table.
        """
        try:
            rows = session.query_dicts(
                f"SELECT * FROM {self._sql} WHERE {_IS_CHECKPOINT} ORDER BY id DESC LIMIT 1"
            )
        except MySQLdb.Error as error:
            if error_code(error) == ER_NO_SUCH_TABLE:
                return None
            raise
        return _row(rows[0]) if rows else None

    def age_secs(self, session: Session, row: CheckpointRow) -> float:
        """How old a row is by the server's clock."""
        age = session.query_one(
            f"SELECT TIMESTAMPDIFF(MICROSECOND, created_at, NOW(6)) FROM {self._sql} "
            f"WHERE id = {row.id}"
        )[0]
        return float(age) / 1e6

    def write_marker(self, session: Session) -> None:
        """One small committed write that leaves nothing behind (see visibility)."""
        with session.transaction():
            session.query(
                f"INSERT INTO {self._sql} (phase, cutover_intent) VALUES ('{_MARKER_PHASE}', 0)"
            )
            session.query(f"DELETE FROM {self._sql} WHERE id = LAST_INSERT_ID()")


def _json(watermark: str) -> Any:
    return json.loads(watermark) if watermark else None


def _together(states: tuple[TableState, ...], part: Callable[[TableState], Any]) -> str:
    """One part of all tables' states as JSON: its own for one table, by name for several."""
    if len(states) == 1:
        value = part(states[0])
        return json.dumps(value, separators=(",", ":")) if value else ""
    by_table = {state.table: value for state in states if (value := part(state))}
    return json.dumps(by_table, separators=(",", ":")) if by_table else ""


def states_of(row: CheckpointRow, tables: Sequence[str]) -> tuple[TableState, ...]:
    """The reverse: each table's state in a row. Raises ValueError when it cannot be read."""
    texts = (row.copier_watermark, row.checksum_watermark, row.deferred_indexes)
    documents = [json.loads(text) if text else None for text in texts]
    if len(tables) > 1 and not all(isinstance(part, dict | None) for part in documents):
        raise ValueError("it is not of several tables")
    states = []
    for table in tables:
        copier, checksum, deferred = (
            document if len(tables) == 1 else (document or {}).get(table) for document in documents
        )
        states.append(
            TableState(
                table,
                json.dumps(copier) if copier else "",
                json.dumps(checksum) if checksum else "",
                tuple(deferred or ()),
            )
        )
    return tuple(states)


def _row(facts: dict[str, Any]) -> CheckpointRow:
    def text(name: str) -> str:
        value = facts[name.upper()]
        return value.decode() if isinstance(value, bytes) else str(value or "")

    created_at = facts["CREATED_AT"]
    return CheckpointRow(
        id=int(facts["ID"]),
        copier_watermark=text("copier_watermark"),
        checksum_watermark=text("checksum_watermark"),
        binlog_name=text("binlog_name"),
        binlog_pos=int(facts["BINLOG_POS"] or 0),
        statement=text("statement"),
        gtid_set=text("gtid_set"),
        phase=text("phase"),
        deferred_indexes=text("deferred_indexes"),
        cutover_intent=bool(facts["CUTOVER_INTENT"]),
        rows_copied=int(facts["ROWS_COPIED"] or 0),
        table_name=text("table_name"),
        engine_version=text("engine_version"),
        # The session's time zone is UTC.
        created_at=created_at.replace(tzinfo=dt.UTC)
        if isinstance(created_at, dt.datetime)
        else dt.datetime.now(dt.UTC),
    )
