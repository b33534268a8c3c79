"""What would happen if a statement were run: everything a run decides, and nothing changed."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping

from migrations_app.engine import lint, saved, shadow
from migrations_app.engine.dsn import Dsn
from migrations_app.engine.errors import RefusedError
from migrations_app.engine.inspection import inspecting
from migrations_app.engine.lint import Allowed, Finding, LintLevel, Looked
from migrations_app.engine.mapping import Mapping as TableMapping
from migrations_app.engine.mapping import map_tables
from migrations_app.engine.observer import Method
from migrations_app.engine.options import Options
from migrations_app.engine.saved import NextKind, NextRun
from migrations_app.engine.session import Session
from migrations_app.engine.statement import Change, Statement
from migrations_app.engine.table import Table

# A copy with its verification: on a busy server, and on an idle one with fast disks.
SLOW_ROWS_PER_SEC, FAST_ROWS_PER_SEC = 10_000, 100_000
SLOW_BYTES_PER_SEC, FAST_BYTES_PER_SEC = 4 * 2**20, 40 * 2**20
# Of a copy's time, what verifying takes; a resumed run verifies every row, too.
_VERIFYING_SHARE = 1 / 3
_COUNTER = re.compile(r"(?<=\n\) )(.*?)AUTO_INCREMENT=\d+ ")


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """A table's size, by the server's estimates.

    disk_bytes: what the change needs for the new table; log_bytes: what it writes to the binary
    log besides. Both 0 when no row is copied.
    """

    rows: int = 0
    data_bytes: int = 0
    index_bytes: int = 0
    disk_bytes: int = 0
    log_bytes: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What would happen.

    method: UNDECIDED when nothing would happen, since it would be refused; key: its index and
    columns, "" and () when none is walked; indexes_later: secondary indexes that are built after
    the copy; next_run: what it would do with what an earlier run left; duration_secs: the
    shortest and the longest to expect, None when nothing is copied; before_sql, after_sql: SHOW
    CREATE TABLE, "" when unknown; running_connection: a run that works on the table now.
    """

    statement: Statement
    findings: tuple[Finding, ...]
    method: Method
    method_reason: str
    key_index: str
    key_columns: tuple[str, ...]
    size: Size
    indexes_later: tuple[str, ...]
    next_run: NextRun
    duration_secs: tuple[float, float] | None
    before_sql: str
    after_sql: str
    running_connection: int | None

    @property
    def refused(self) -> bool:
        """Whether a run would be refused, by a rule or by what an earlier run left."""
        return lint.refused(list(self.findings)) or self.next_run.kind is NextKind.REFUSE

    @property
    def diff(self) -> str:
        """Before and after as a unified diff; "" when the definition stays as it is."""
        if not self.after_sql:
            return ""
        table = self.statement.table
        before, after = self.before_sql, self.after_sql
        if not any(clause.words[:1] == ("AUTO_INCREMENT",) for clause in self.statement.clauses):
            # A run goes on counting where the old table does; the empty copy cannot show that.
            before, after = (_COUNTER.sub(r"\1", text) for text in (before, after))
        lines = difflib.unified_diff(
            before.splitlines(),
            after.splitlines(),
            f"{table} now",
            f"{table} afterwards",
            lineterm="",
        )
        return "\n".join(lines)


def plan(
    dsn: Dsn,
    change: Change,
    options: Options | None = None,
    levels: Mapping[str, LintLevel] | None = None,
    allowed: Allowed | None = None,
) -> tuple[Plan, ...]:
    """Ask the server what a run with these options would do, for each statement.

    Raises TransientError when the server cannot be reached or the table is locked, RefusedError
    when it refuses the account or is none that can be a target.
    """
    options = options or Options()
    with inspecting(dsn, "plan") as session:
        all_looked = [lint.gather(session, one, allowed) for one in change.statements]
        coming = _coming(session, change, all_looked, options)
        return tuple(
            _plan(session, one, options, looked, levels, coming, alone=len(all_looked) == 1)
            for one, looked in zip(change.statements, all_looked, strict=True)
        )


def _coming(
    session: Session, change: Change, all_looked: list[Looked], options: Options
) -> NextRun:
    tables = tuple(looked.table for looked in all_looked if looked.table is not None)
    if len(tables) < len(all_looked):
        return NextRun(NextKind.REFUSE, "there is no table to change")
    use_gtid = all_looked[0].server.uses_gtid
    return saved.next_run(session, change, tables, options, use_gtid=use_gtid)


def _plan(
    session: Session,
    statement: Statement,
    options: Options,
    looked: Looked,
    levels: Mapping[str, LintLevel] | None,
    coming: NextRun,
    *,
    alone: bool,
) -> Plan:
    table, tried = looked.table, looked.tried
    findings = lint.lint_statement(statement, table, looked.facts, levels)
    method, reason = _method(looked, options, coming, refused=lint.refused(findings), alone=alone)
    mapping = _mapping(statement, looked) if method is Method.COPY else None
    size = _size(table, method)
    return Plan(
        statement=statement,
        findings=tuple(findings),
        method=method,
        method_reason=reason,
        key_index=mapping.source_key.index if mapping else "",
        key_columns=mapping.source_key.names if mapping else (),
        size=size,
        indexes_later=_indexes_later(mapping, options),
        next_run=coming,
        duration_secs=_duration(size, coming) if method is Method.COPY else None,
        before_sql=tried.before_sql if tried else "",
        after_sql=tried.after_sql if tried else "",
        running_connection=saved.running_connection(session, statement.names),
    )


def _method(
    looked: Looked, options: Options, coming: NextRun, *, refused: bool, alone: bool
) -> tuple[Method, str]:
    if refused or looked.tried is None or coming.kind is NextKind.REFUSE:
        return Method.UNDECIDED, "it would be refused"
    # A run that finds a checkpoint goes on with it before it asks for anything else.
    if coming.kind is NextKind.RESUME:
        return Method.COPY, "an earlier run's copy is gone on with"
    if coming.kind is NextKind.FINISH:
        return Method.COPY, "an earlier run has copied and swapped already"
    if not alone:
        return Method.COPY, "several tables are swapped together"
    if not options.attempt_direct and looked.tried.method is not Method.COPY:
        return Method.COPY, "it was asked not to let the server try"
    return looked.tried.method, looked.tried.reason


def _mapping(statement: Statement, looked: Looked) -> TableMapping | None:
    if looked.table is None or looked.tried is None or looked.tried.after is None:
        return None
    try:
        return map_tables(statement, looked.table, looked.tried.after)
    except RefusedError:
        return None  # a finding says so


def _indexes_later(mapping: TableMapping | None, options: Options) -> tuple[str, ...]:
    if mapping is None:
        return ()
    return tuple(index.name for index in shadow.deferrable(mapping, options))


def _size(table: Table | None, method: Method) -> Size:
    if table is None:
        return Size()
    size = Size(table.rows, table.data_bytes, table.index_bytes)
    if method is not Method.COPY:
        return size
    return dataclasses.replace(
        size, disk_bytes=table.data_bytes + table.index_bytes, log_bytes=table.data_bytes
    )


def _duration(size: Size, coming: NextRun) -> tuple[float, float]:
    """Seconds at the fast and at the slow rate, by rows or bytes, whichever takes longer."""
    left = 1.0
    if coming.kind is NextKind.FINISH:
        return 0.0, 1.0
    if size.rows and coming.kind is NextKind.RESUME:
        copying = max(0.0, 1 - coming.rows_kept / size.rows)
        left = copying * (1 - _VERIFYING_SHARE) + _VERIFYING_SHARE
    total_bytes = size.data_bytes + size.index_bytes
    fast = max(size.rows / FAST_ROWS_PER_SEC, total_bytes / FAST_BYTES_PER_SEC)
    slow = max(size.rows / SLOW_ROWS_PER_SEC, total_bytes / SLOW_BYTES_PER_SEC)
    return fast * left, slow * left
