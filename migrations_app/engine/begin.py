"""How a run begins: it goes on from a checkpoint, lets the server do it, or starts afresh."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

import MySQLdb

from migrations_app.engine import direct, fence, preflight, resume, sentinel, server, shadow
from migrations_app.engine.abort import Abort
from migrations_app.engine.binlog import current_position
from migrations_app.engine.checkpoint import CheckpointTable
from migrations_app.engine.copyrun import Plan
from migrations_app.engine.errors import RefusedError, StrictRefusedError
from migrations_app.engine.fence import TableLock
from migrations_app.engine.observer import Event, Level, Method
from migrations_app.engine.options import Options
from migrations_app.engine.resume import CheckpointUnusableError, Found, Swapped
from migrations_app.engine.server import ServerFacts
from migrations_app.engine.session import Session, Sessions
from migrations_app.engine.statement import Statement
from migrations_app.engine.table import Table, load_table


@dataclasses.dataclass(frozen=True, slots=True)
class Beginning:
    """Opens a run on one table. The steps use one session of their own."""

    statement: Statement
    options: Options
    sessions: Sessions
    lock: TableLock
    checkpoints: CheckpointTable
    abort: Abort
    tell: Callable[[Event], None]

    def take_table(self) -> tuple[Table, ServerFacts]:
        """Own the table: preflight, user-level lock, and the end of what a dead run left behind."""
        with self.sessions.opened("setup") as session:
            facts = server.read_facts(session)
            table = preflight.check(session, self.statement, facts)
            self.lock.acquire()
            killed = fence.end_dead_sessions(
                session, self.statement.names.lock_name, self.sessions.run_token
            )
            if killed:
                self.tell(
                    Event(
                        "session_killed",
                        f"Ended sessions that an earlier run had left behind: {len(killed)}.",
                        data={"session_ids": killed},
                    )
                )
            fence.wait_for_dead_statements(session, self.statement.names, self.abort)
            return table, facts

    def look(self, source: Table, *, use_gtid: bool) -> Found | Swapped | None:
        """What can be gone on with. Raises CheckpointUnusableError."""
        if self.options.fresh:
            return None
        with self.sessions.opened("setup") as session:
            return resume.look(
                session, self.statement, source, self.options, self.checkpoints, use_gtid=use_gtid
            )

    def resumed_plan(self, found: Found) -> Plan:
        return Plan(
            found.mapping,
            found.position,
            found.watermarks,
            found.row.rows_copied,
            found.deferred_indexes,
        )

    def say_begun(self, found: Found | None, threads: int) -> None:
        """The stream is open: say what the run goes on from, or that it begins."""
        common = {"method": Method.COPY.value, "threads": threads, "volume": self.options.volume}
        if found is None:
            self.tell(Event("started", "Copying into a shadow table.", data=common))
            return
        row = found.row
        self.tell(
            Event(
                "resumed",
                f"Going on from checkpoint {row.id} ({row.position}, {found.age_secs:.0f} s old, "
                f"{row.rows_copied:,} rows copied).",
                data={
                    **common,
                    "checkpoint_id": row.id,
                    "position": row.position,
                    "gtid_set": row.gtid_set,
                    "rows_copied": row.rows_copied,
                    "age_secs": round(found.age_secs, 1),
                    "phase": row.phase,
                    "watermark": row.copier_watermark,
                },
            )
        )

    def cannot_resume(self, why: CheckpointUnusableError) -> None:
        """Strict: refuse and keep everything. Else say what is lost by starting afresh."""
        row = why.row
        data = {
            "reason": why.reason,
            "server_message": why.server_text,
            "rows_lost": row.rows_copied if row else 0,
            "position": row.position if row else "",
            "gtid_set": row.gtid_set if row else "",
            "checkpoint_id": row.id if row else None,
            "saved_at": row.created_at.isoformat() if row else "",
        }
        self.tell(
            Event(
                "resume_failed",
                f"The earlier run cannot be gone on with: {why.reason}.",
                Level.WARNING,
                data,
            )
        )
        if self.options.strict:
            names = self.statement.names
            raise StrictRefusedError(
                f"The earlier run cannot be gone on with: {why.reason}. Strict mode forbids to "
                f"start afresh, so nothing was touched: {names.shadow} and {names.checkpoint} are "
                f"still there. To copy from the beginning, run it again without strict mode.",
                data,
            )
        self.tell(
            Event(
                "fresh_start",
                f"Starting afresh: {why.reason}. {data['rows_lost']:,} copied rows are lost and "
                f"will be copied again.",
                Level.WARNING,
                data,
            )
        )

    def afresh(self, source: Table) -> Plan | Method:
        """Clean up, let the server try by itself, else make the shadow table.

        Returns the method when the server has made the change.
        """
        names = self.statement.names
        with self.sessions.opened("setup") as session:
            if load_table(session, names.schema, names.old) is not None:
                raise RefusedError(
                    f"The table {names.old} exists, probably the old table of an earlier change. "
                    f"The swap needs that name: drop it or rename it first. Nothing was touched."
                )
            shadow.drop(session, names)
            self.checkpoints.drop(session)
            if self.options.attempt_direct:
                method = direct.attempt(session, self.statement, self.abort)
                if method is not Method.UNDECIDED:
                    return method
            return self._plan(session, source)

    def _plan(self, session: Session, source: Table) -> Plan:
        names = self.statement.names
        shadow.create(session, self.statement, source)
        try:
            mapping = shadow.mapping_of(session, self.statement, source)
            deferred = shadow.deferrable(mapping, self.options)
            if deferred:
                shadow.drop_indexes(session, names, deferred)
            self.checkpoints.create(session)
            if self.options.defer_cutover:
                sentinel.raise_it(session, names)
        except BaseException:
            with contextlib.suppress(MySQLdb.Error):
                shadow.drop(session, names)
            raise
        if deferred:
            self.tell(
                Event(
                    "indexes_deferred",
                    f"Secondary indexes are built after the copy: {len(deferred)}.",
                    data={"indexes": [index.name for index in deferred]},
                )
            )
        return Plan(
            mapping=mapping,
            start=current_position(session),
            deferred_indexes=tuple(index.definition for index in deferred),
        )
