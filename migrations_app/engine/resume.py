"""Whether an earlier run can be gone on with: always asked first, before anything is created.

Proof that a checkpoint is unusable leads to a fresh start (or, in strict mode, to a refusal);
mere doubt, such as a refused connection, ends the run as transient and keeps everything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import MySQLdb

from migrations_app.engine import definitions, shadow
from migrations_app.engine.binlog import Position, why_unavailable
from migrations_app.engine.checkpoint import ENGINE_VERSION, CheckpointTable, states_of
from migrations_app.engine.checksum import Watermarks
from migrations_app.engine.errors import EngineError, RefusedError, TransientError
from migrations_app.engine.observer import CheckpointRow, Phase
from migrations_app.engine.options import Options
from migrations_app.engine.session import ER_BAD_FIELD, Session, error_code, server_text
from migrations_app.engine.statement import Change, parse_change
from migrations_app.engine.table import Table, load_table
from migrations_app.engine.tablerun import TablePlan


class CheckpointUnusableError(EngineError):
    """Definitive: nothing can ever be resumed from here.

    row: the checkpoint, if there is one; nothing_saved: the earlier run ended before its first,
    so that there is nothing that a fresh start could lose.
    """

    def __init__(
        self,
        reason: str,
        row: CheckpointRow | None = None,
        server_text: str = "",
        *,
        nothing_saved: bool = False,
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.row = row
        self.server_text = server_text
        self.nothing_saved = nothing_saved


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint that can be resumed from, with all that was read while making sure."""

    row: CheckpointRow
    age_secs: float
    position: Position
    tables: tuple[TablePlan, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Swapped:
    """An earlier run swapped the tables and ended before it could say so."""

    row: CheckpointRow


def look(
    session: Session,
    change: Change,
    sources: Sequence[Table],
    options: Options,
    table: CheckpointTable,
    *,
    use_gtid: bool,
) -> Found | Swapped | None:
    """What an earlier run left. None: nothing at all. sources: the change's tables, in order.

    Raises CheckpointUnusableError when what it left can never be used.
    """
    shadows = [
        names.shadow
        for names in change.all_names
        if load_table(session, names.schema, names.shadow) is not None
    ]
    row = _newest(session, change, table)
    if not shadows and row is None:
        return None
    if row is None:
        if table.has_only_begun(session) or _are_empty(session, change, shadows):
            raise CheckpointUnusableError(
                "an earlier run ended before its first checkpoint", nothing_saved=True
            )
        raise CheckpointUnusableError(
            f"the shadow table {shadows[0]} exists, but there is no checkpoint for it"
        )
    if not shadows and (
        row.phase == Phase.COMPLETED or (row.cutover_intent and _old_tables_exist(session, change))
    ):
        _check_same_change(row, change)
        return Swapped(row)
    for names in change.all_names:
        if names.shadow not in shadows:
            raise CheckpointUnusableError(f"the shadow table {names.shadow} is gone", row)
    age_secs = table.age_secs(session, row)
    _check_fit(row, age_secs, change, options)
    if definitions.have_changed(session, change.all_names):
        raise CheckpointUnusableError(
            f"somebody changed the definition of {change.tables} after the copy began", row
        )
    position = Position(row.binlog_name, row.binlog_pos, row.gtid_set)
    gone = why_unavailable(session, position, use_gtid and bool(row.gtid_set))
    if gone:
        raise CheckpointUnusableError(gone, row, gone)
    return Found(row, age_secs, position, _table_plans(session, change, sources, row))


def _newest(session: Session, change: Change, table: CheckpointTable) -> CheckpointRow | None:
    try:
        return table.newest(session)
    except (MySQLdb.Error, KeyError, ValueError) as error:
        if isinstance(error, MySQLdb.Error) and error_code(error) != ER_BAD_FIELD:
            # A lock or a killed query proves nothing against what is saved.
            raise TransientError(
                f"The checkpoint table {change.first.names.checkpoint} could not be read now: "
                f"{server_text(error)}. Everything was kept; try again."
            ) from error
        raise CheckpointUnusableError(
            f"the checkpoint table {change.first.names.checkpoint} cannot be read: "
            f"{server_text(error)}"
        ) from error


def _are_empty(session: Session, change: Change, shadows: Sequence[str]) -> bool:
    return not any(
        session.query(f"SELECT 1 FROM {names.shadow_sql} LIMIT 1")
        for names in change.all_names
        if names.shadow in shadows
    )


def _old_tables_exist(session: Session, change: Change) -> bool:
    return all(
        load_table(session, names.schema, names.old) is not None for names in change.all_names
    )


def _table_plans(
    session: Session, change: Change, sources: Sequence[Table], row: CheckpointRow
) -> tuple[TablePlan, ...]:
    try:
        states = states_of(row, [names.table for names in change.all_names])
        plans = []
        for statement, source, state in zip(change.statements, sources, states, strict=True):
            mapping = shadow.mapping_of(session, statement, source)
            watermarks = Watermarks.read(state, mapping.source_key)
            plans.append(TablePlan(mapping, watermarks, state.deferred_indexes))
        return tuple(plans)
    except (RefusedError, ValueError) as error:
        raise CheckpointUnusableError(
            f"checkpoint {row.id} does not fit the tables: {error}", row
        ) from error


def _check_fit(row: CheckpointRow, age_secs: float, change: Change, options: Options) -> None:
    if row.engine_version != ENGINE_VERSION:
        raise CheckpointUnusableError(
            f"checkpoint {row.id} was written by engine version {row.engine_version or 'unknown'}, "
            f"this one is version {ENGINE_VERSION}",
            row,
        )
    if row.table_name != change.first.table:
        raise CheckpointUnusableError(
            f"checkpoint {row.id} is of the table {row.table_name}, not of {change.first.table}",
            row,
        )
    _check_same_change(row, change)
    if age_secs > options.checkpoint_max_age_secs:
        raise CheckpointUnusableError(
            f"checkpoint {row.id} is {age_secs / 3600:.1f} hours old, above the limit of "
            f"{options.checkpoint_max_age_secs / 3600:.1f} hours",
            row,
        )


def _check_same_change(row: CheckpointRow, change: Change) -> None:
    if not _same_change(row.statement, change):
        raise CheckpointUnusableError(
            f"checkpoint {row.id} belongs to another statement: {row.statement}", row
        )


def _same_change(saved: str, change: Change) -> bool:
    """Whether two changes ask for the same; comments and spacing do not count."""
    try:
        return parse_change(saved, change.schema).normalized == change.normalized
    except RefusedError:
        return False
