"""What earlier runs left for a table, and what the next run would do with it. Only looks."""

from __future__ import annotations

import dataclasses
import enum

import MySQLdb

from migrations_app.engine import resume, server
from migrations_app.engine.binlog import Position, why_unavailable
from migrations_app.engine.checkpoint import CheckpointTable
from migrations_app.engine.dsn import Dsn
from migrations_app.engine.errors import RefusedError
from migrations_app.engine.expiry import Expiry, forecast, read_log_facts
from migrations_app.engine.inspection import inspecting
from migrations_app.engine.names import TableNames, literal, quote
from migrations_app.engine.observer import CheckpointRow
from migrations_app.engine.options import Options
from migrations_app.engine.resume import CheckpointUnusableError, Swapped
from migrations_app.engine.session import Session, is_contention, server_text
from migrations_app.engine.statement import Change, parse_change
from migrations_app.engine.table import Table, load_table, with_file_size


class NextKind(enum.StrEnum):
    """What the next run would do with what is saved."""

    BEGIN = "begin"  # nothing is saved
    RESUME = "resume"
    FINISH = "finish"  # the tables are swapped; only the end is to be done
    FRESH = "fresh-start"  # what is saved is of no use
    REFUSE = "refuse"


@dataclasses.dataclass(frozen=True, slots=True)
class NextRun:
    """What the next run would do, and why. rows_kept, rows_lost: rows that were copied already."""

    kind: NextKind
    reason: str
    rows_kept: int = 0
    rows_lost: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class SavedTable:
    """A table beside the migrated one (rows and bytes are the server's estimates)."""

    name: str
    rows: int
    size_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Saved:
    """What is saved for a table.

    newest: the checkpoint that counts; ages_secs: the age of every checkpoint by its id, newest
    first; why_gone: why the server cannot send what follows the position, "" when it can;
    running_connection: the connection of a run that works on the table now; problem: why what is
    there could not be read; oldest_log, newest_log: the server's binary log files, "" without a
    checkpoint.
    """

    names: TableNames
    newest: CheckpointRow | None
    ages_secs: dict[int, float]
    shadow: SavedTable | None
    old: SavedTable | None
    why_gone: str
    expiry: Expiry
    next_run: NextRun
    running_connection: int | None
    problem: str = ""
    oldest_log: str = ""
    newest_log: str = ""

    @property
    def nothing(self) -> bool:
        return self.newest is None and self.shadow is None and not self.problem

    @property
    def resumable(self) -> bool:
        return self.next_run.kind in (NextKind.RESUME, NextKind.FINISH)


def look_up(dsn: Dsn, of: Change | str, options: Options | None = None) -> Saved:
    """What is saved for a table.

    of: the change that the next run would make, or the name of its (first) table; the saved
    statement is taken then. Raises TransientError when the server cannot be reached, RefusedError
    when it refuses the account or a question.
    """
    with inspecting(dsn, "checkpoint") as session:
        return _look_up(session, dsn, of, options or Options())


def _look_up(session: Session, dsn: Dsn, of: Change | str, options: Options) -> Saved:
    asked = of if isinstance(of, Change) else _forced(TableNames(dsn.database, of))
    names = asked.first.names
    facts = server.read_facts(session)
    table = CheckpointTable(asked)
    newest, problem = None, ""
    try:
        newest = table.newest(session)
    except (MySQLdb.Error, KeyError, ValueError) as error:
        if is_contention(error):
            raise
        problem = f"The table {names.checkpoint} cannot be read: {server_text(error)}."
    why_gone = ""
    expiry = Expiry(None, "")
    logs = [""]
    if newest is not None:
        logs = [str(row[0]) for row in session.query("SHOW BINARY LOGS")] or logs
        position = Position(newest.binlog_name, newest.binlog_pos, newest.gtid_set)
        why_gone = why_unavailable(session, position, facts.uses_gtid and bool(newest.gtid_set))
        age_secs = table.age_secs(session, newest)
        expiry = Expiry(0.0, why_gone)
        if not why_gone:
            expiry = forecast(read_log_facts(session, dsn, position, age_secs))
    return Saved(
        names=names,
        newest=newest,
        ages_secs=_ages(session, names) if newest is not None else {},
        shadow=_saved_table(session, names.schema, names.shadow),
        old=_saved_table(session, names.schema, names.old),
        why_gone=why_gone,
        expiry=expiry,
        next_run=_next_of(session, of, asked, newest, options, use_gtid=facts.uses_gtid),
        running_connection=running_connection(session, names),
        problem=problem,
        oldest_log=logs[0],
        newest_log=logs[-1],
    )


def _forced(names: TableNames) -> Change:
    """Any change of a table: what is asked of it does not depend on which."""
    return parse_change(f"ALTER TABLE {quote(names.table)} FORCE", names.schema)


def _sources(session: Session, change: Change) -> tuple[Table, ...]:
    tables = []
    for names in change.all_names:
        table = load_table(session, names.schema, names.table)
        if table is None:
            raise RefusedError(
                f"There is no table {names.schema}.{names.table} (or this account may not see it)."
            )
        tables.append(table)
    return tuple(tables)


def _next_of(
    session: Session,
    of: Change | str,
    asked: Change,
    newest: CheckpointRow | None,
    options: Options,
    *,
    use_gtid: bool,
) -> NextRun:
    """With a table's name alone, the next run is taken to have the saved statement."""
    change = asked
    if newest is not None and not isinstance(of, Change):
        try:
            change = parse_change(newest.statement, asked.schema)
        except RefusedError as error:
            return NextRun(NextKind.FRESH, f"the saved statement cannot be read: {error}")
    return next_run(session, change, _sources(session, change), options, use_gtid=use_gtid)


def next_run(
    session: Session,
    change: Change,
    sources: tuple[Table, ...],
    options: Options,
    *,
    use_gtid: bool,
) -> NextRun:
    """What the next run would do with what earlier ones left. sources: the change's tables."""
    checkpoints = CheckpointTable(change)
    why: CheckpointUnusableError | None = None
    found = None
    if not options.fresh:
        try:
            found = resume.look(session, change, sources, options, checkpoints, use_gtid=use_gtid)
        except CheckpointUnusableError as error:
            why = error
    if isinstance(found, Swapped):
        return NextRun(
            NextKind.FINISH,
            "the tables were swapped already; only the tidying up is left to do",
            found.row.rows_copied,
        )
    if found is not None:
        return NextRun(
            NextKind.RESUME,
            f"it goes on from checkpoint {found.row.id} ({found.row.position})",
            found.row.rows_copied,
        )
    if why is None:
        kind, reason, lost = NextKind.BEGIN, "nothing is saved", 0
    else:
        kind, reason, lost = NextKind.FRESH, why.reason, why.row.rows_copied if why.row else 0
        if options.strict and not why.nothing_saved:
            return NextRun(NextKind.REFUSE, f"{reason}; strict mode forbids a fresh start", lost)
    for names in change.all_names:
        if load_table(session, names.schema, names.old) is not None:
            return NextRun(
                NextKind.REFUSE, f"the table {names.old} has the name that the swap needs", 0, lost
            )
    return NextRun(kind, reason, 0, lost)


def running_connection(session: Session, names: TableNames) -> int | None:
    """The server's connection of the run that works on a table now, None when there is none."""
    holder = session.query_one(f"SELECT IS_USED_LOCK({literal(names.lock_name)})")[0]
    return None if holder is None else int(holder)


def _saved_table(session: Session, schema: str, name: str) -> SavedTable | None:
    table = load_table(session, schema, name)
    if table is None:
        return None
    table = with_file_size(session, schema, table)
    return SavedTable(table.name, table.rows, table.data_bytes + table.index_bytes)


def _ages(session: Session, names: TableNames) -> dict[int, float]:
    rows = session.query(
        "SELECT id, TIMESTAMPDIFF(MICROSECOND, created_at, NOW(6)) "
        f"FROM {names.checkpoint_sql} WHERE created_at IS NOT NULL ORDER BY id DESC"
    )
    return {int(number): float(micros) / 1e6 for number, micros in rows}
