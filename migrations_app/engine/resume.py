"""Whether an earlier run can be gone on with: always asked first, before anything is created.

Proof that a checkpoint is unusable leads to a fresh start (or, in strict mode, to a refusal);
mere doubt, such as a refused connection, ends the run as transient and keeps everything.
"""

from __future__ import annotations

import dataclasses
import json

import MySQLdb

from migrations_app.engine import shadow
from migrations_app.engine.binlog import Position, why_unavailable
from migrations_app.engine.checkpoint import ENGINE_VERSION, CheckpointTable
from migrations_app.engine.checksum import Watermarks
from migrations_app.engine.errors import EngineError, RefusedError
from migrations_app.engine.mapping import Mapping
from migrations_app.engine.observer import CheckpointRow
from migrations_app.engine.options import Options
from migrations_app.engine.session import Session, server_text
from migrations_app.engine.statement import Statement, parse_statement
from migrations_app.engine.table import Table, load_table


class CheckpointUnusableError(EngineError):
    """Definitive: nothing can ever be resumed from here. row: the checkpoint, if there is one."""

    def __init__(
        self, reason: str, row: CheckpointRow | None = None, server_text: str = ""
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.row = row
        self.server_text = server_text


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint that can be resumed from, with all that was read while making sure."""

    row: CheckpointRow
    age_secs: float
    position: Position
    mapping: Mapping
    watermarks: Watermarks
    deferred_indexes: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Swapped:
    """An earlier run swapped the tables and ended before it could say so."""

    row: CheckpointRow


def look(
    session: Session,
    statement: Statement,
    source: Table,
    options: Options,
    table: CheckpointTable,
    *,
    use_gtid: bool,
) -> Found | Swapped | None:
    """What an earlier run left. None: nothing at all.

    Raises CheckpointUnusableError when what it left can never be used.
    """
    names = statement.names
    shadow_table = load_table(session, names.schema, names.shadow)
    try:
        row = table.newest(session)
    except (MySQLdb.Error, KeyError, ValueError) as error:
        raise CheckpointUnusableError(
            f"the checkpoint table {names.checkpoint} cannot be read: {server_text(error)}"
        ) from error
    if shadow_table is None and row is None:
        return None
    if row is None:
        raise CheckpointUnusableError(
            f"the shadow table {names.shadow} exists, but there is no checkpoint for it"
        )
    if shadow_table is None:
        old = load_table(session, names.schema, names.old)
        if row.cutover_intent and old is not None:
            return Swapped(row)
        raise CheckpointUnusableError(f"the shadow table {names.shadow} is gone", row)
    age_secs = table.age_secs(session, row)
    _check_fit(row, age_secs, statement, options)
    position = Position(row.binlog_name, row.binlog_pos, row.gtid_set)
    gone = why_unavailable(session, position, use_gtid and bool(row.gtid_set))
    if gone:
        raise CheckpointUnusableError(gone, row, gone)
    try:
        mapping = shadow.mapping_of(session, statement, source)
        watermarks = Watermarks.read(row, mapping.source_key)
        deferred = tuple(json.loads(row.deferred_indexes)) if row.deferred_indexes else ()
    except (RefusedError, ValueError) as error:
        raise CheckpointUnusableError(
            f"checkpoint {row.id} does not fit the tables: {error}", row
        ) from error
    return Found(row, age_secs, position, mapping, watermarks, deferred)


def _check_fit(row: CheckpointRow, age_secs: float, statement: Statement, options: Options) -> None:
    if row.engine_version != ENGINE_VERSION:
        raise CheckpointUnusableError(
            f"checkpoint {row.id} was written by engine version {row.engine_version or 'unknown'}, "
            f"this one is version {ENGINE_VERSION}",
            row,
        )
    if row.table_name != statement.table:
        raise CheckpointUnusableError(
            f"checkpoint {row.id} is of the table {row.table_name}, not of {statement.table}", row
        )
    if not _same_statement(row.statement, statement):
        raise CheckpointUnusableError(
            f"checkpoint {row.id} belongs to another statement: {row.statement}", row
        )
    if age_secs > options.checkpoint_max_age_secs:
        raise CheckpointUnusableError(
            f"checkpoint {row.id} is {age_secs / 3600:.1f} hours old, above the limit of "
            f"{options.checkpoint_max_age_secs / 3600:.1f} hours",
            row,
        )


def _same_statement(saved: str, statement: Statement) -> bool:
    """Whether two statements ask for the same; comments and spacing do not count."""
    try:
        return parse_statement(saved, statement.schema).normalized == statement.normalized
    except RefusedError:
        return False
