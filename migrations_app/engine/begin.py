"""How a run begins: it goes on from a checkpoint, lets the server do it, or starts afresh."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

import MySQLdb

from migrations_app.engine import (
    definitions,
    direct,
    disk,
    fence,
    preflight,
    prepared,
    resume,
    sentinel,
    server,
    shadow,
)
from migrations_app.engine.abort import Abort
from migrations_app.engine.binlog import current_position
from migrations_app.engine.checkpoint import CheckpointTable, Unsaved
from migrations_app.engine.copyrun import Plan
from migrations_app.engine.errors import (
    RefusedError,
    ServerLostError,
    StrictRefusedError,
    TransientError,
)
from migrations_app.engine.fence import TableLock
from migrations_app.engine.mapping import Mapping
from migrations_app.engine.names import TableNames
from migrations_app.engine.observer import CheckpointRow, Event, Level, Method, Phase
from migrations_app.engine.options import Options
from migrations_app.engine.others import Others
from migrations_app.engine.resume import CheckpointUnusableError, Found, Swapped
from migrations_app.engine.server import ServerFacts
from migrations_app.engine.session import Session, Sessions
from migrations_app.engine.statement import Change, Statement
from migrations_app.engine.table import Table, load_table
from migrations_app.engine.tablerun import TablePlan


@dataclasses.dataclass(frozen=True, slots=True)
class Beginning:
    """Opens a run. Each step uses a session of its own."""

    change: Change
    options: Options
    sessions: Sessions
    lock: TableLock
    checkpoints: CheckpointTable
    abort: Abort
    tell: Callable[[Event], None]
    others: Others
    unsaved: Unsaved | None = None

    def take_tables(self) -> tuple[tuple[Table, ...], ServerFacts]:
        """Own the tables: preflight, user-level locks, and the end of what a dead run left."""
        all_names, token = self.change.all_names, self.sessions.run_token
        with self.sessions.opened("setup") as session:
            facts = server.read_facts(session)
            self.others.look(session)
            tables = preflight.check(session, self.change, facts)
            owner = self.options.run_token
            killed = fence.end_superseded_sessions(session, all_names, owner, token)
            self._acquire()
            killed += fence.end_dead_sessions(session, all_names, token)
            if killed:
                self.tell(
                    Event(
                        "session_killed",
                        f"Ended sessions that an earlier run had left behind: {len(killed)}.",
                        data={"session_ids": killed},
                    )
                )
            for names in self.change.all_names:
                fence.wait_for_dead_statements(session, names, self.abort)
            return tables, facts

    def _acquire(self) -> None:
        try:
            self.lock.acquire()
        except RefusedError as error:
            if self.unsaved is None:
                raise
            raise TransientError(
                f"The server was lost, and when it was back another run had taken the table over. "
                f"{error}"
            ) from error

    def save_late(self, facts: ServerFacts) -> CheckpointRow | None:
        """What a run that lost its server had done, saved by itself when it is back."""
        if self.unsaved is None or not facts.keeps_commits:
            return None
        with self.sessions.opened("setup") as session:
            return self.checkpoints.save_late(session, self.unsaved, self.lock)

    def look(self, sources: tuple[Table, ...], *, use_gtid: bool) -> Found | Swapped | None:
        """What can be gone on with. Raises CheckpointUnusableError."""
        if self.options.fresh:
            return None
        with self.sessions.opened("setup") as session:
            self._refuse_strangers(session)
            return resume.look(
                session, self.change, sources, self.options, self.checkpoints, use_gtid=use_gtid
            )

    def _refuse_strangers(self, session: Session) -> None:
        """A filled table with the shadow table's name and no checkpoint table beside it may be
        anybody's: another tool uses the same names."""
        first = self.change.first.names
        if load_table(session, first.schema, first.checkpoint) is not None:
            return
        for names in self.change.all_names:
            table = load_table(session, names.schema, names.shadow)
            if table is None or load_table(session, names.schema, names.checkpoint) is not None:
                continue
            if session.query(f"SELECT 1 FROM {names.shadow_sql} LIMIT 1"):
                raise RefusedError(
                    f"There is a table {names.shadow} with rows in it, and nothing says that a run "
                    f"of ours made it. The copy needs that name: rename it, or drop it if nobody "
                    f"needs it. Nothing was touched."
                )

    def keep_deferred(self, found: Found) -> None:
        """A cut-over may be deferred only now, by a later run than the one that began. A sentinel
        that was dropped while a run was waiting for that is an order, though."""
        waited = (Phase.WAITING_FOR_CUTOVER.value, Phase.CUT_OVER.value)
        if self.options.defer_cutover and found.row.phase not in waited:
            with self.sessions.opened("setup") as session:
                sentinel.raise_it(session, self.change.first.names)

    def resumed_plan(self, found: Found) -> Plan:
        return Plan(found.tables, found.position, found.row.rows_copied)

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

    def advise(self, facts: ServerFacts) -> None:
        """What the server's owner could do for the application; nothing that the run needs."""
        if facts.commits_may_stall and self.others.are_writing:
            self.tell(
                Event(
                    "server_setting",
                    "innodb_log_writer_threads is OFF on this server (its default on few cores): "
                    "commits may wait 100 ms for one another, more often while rows are copied. "
                    "If the application feels it: SET GLOBAL innodb_log_writer_threads = ON; it "
                    "works at once, also during the run. This run goes on either way.",
                    data={"setting": "innodb_log_writer_threads", "value": "OFF"},
                )
            )

    def cannot_resume(self, why: CheckpointUnusableError) -> None:
        """Strict: refuse and keep everything. Else say what is lost by starting afresh."""
        data = self._lost(why)
        self.tell(
            Event(
                "resume_failed",
                f"The earlier run cannot be gone on with: {why.reason}.",
                Level.WARNING,
                data,
            )
        )
        if self.options.strict and not why.nothing_saved:
            names = self.change.first.names
            raise StrictRefusedError(
                f"The earlier run cannot be gone on with: {why.reason}. Strict mode forbids to "
                f"start afresh, so nothing was touched: {names.shadow} and {names.checkpoint} are "
                f"still there.",
                data,
                advice="To copy from the beginning, run it again without strict mode.",
            )
        self.tell(
            Event(
                "fresh_start",
                f"Starting afresh: {why.reason}. {_lost_words(data['rows_lost'])}",
                Level.WARNING,
                data,
            )
        )

    def _lost(self, why: CheckpointUnusableError) -> dict[str, object]:
        """What of an earlier run cannot be used, as an event's data. Ages by the server's clock."""
        row = why.row
        with self.sessions.opened("position") as session:
            now = current_position(session)
            age_secs = round(self.checkpoints.age_secs(session, row)) if row else None
        return {
            "reason": why.reason,
            "server_message": why.server_text,
            "rows_lost": row.rows_copied if row else 0,
            "old_position": row.position if row else "",
            "old_gtid_set": row.gtid_set if row else "",
            "new_position": f"{now.file}:{now.offset}",
            "new_gtid_set": now.gtid_set,
            "age_secs": age_secs,
            "checkpoint_id": row.id if row else None,
            "saved_at": row.created_at.isoformat() if row else "",
        }

    def afresh(self, facts: ServerFacts) -> Plan | Method:
        """Clean up, let the server try by itself, else make the shadow tables.

        Returns the method when the server has made the change. Raises TransientError when
        somebody changed a table meanwhile: the stream only shows what comes after its position.
        """
        with self.sessions.opened("setup") as session:
            before = definitions.read(session, self.change.all_names)
            sources = preflight.check(session, self.change, facts)
            for names in self.change.all_names:
                if load_table(session, names.schema, names.old) is not None:
                    raise RefusedError(
                        f"The table {names.old} exists, probably the old table of an earlier "
                        f"change. The swap needs that name: drop it or rename it first. Nothing "
                        f"was touched."
                    )
            self._drop_all(session)
            # Several tables change together or not at all: only a copy can promise that.
            direct_for = self.change.first if len(self.change.statements) == 1 else None
            if not self.options.attempt_direct:
                direct_for = None
            if direct_for and direct.instant(session, direct_for, self.abort):
                return Method.INSTANT
            if problem := disk.too_little(facts, sources):
                raise RefusedError(problem)
            try:
                mappings = [
                    self._make_shadow(session, statement, source)
                    for statement, source in zip(self.change.statements, sources, strict=True)
                ]
                if direct_for and direct.in_place(session, direct_for, mappings[0], self.abort):
                    self._drop_all(session)
                    return Method.INPLACE
                plan = self._plan(session, mappings)
                # What was being prepared when the position was taken is prepared after this.
                self.checkpoints.write_marker(session)
                with self.sessions.opened("setup") as asking:
                    prepared.wait_until_ended(asking, self.change.all_names, self.abort, self.tell)
                preflight.check(session, self.change, facts)
                if definitions.read(session, self.change.all_names) != before:
                    raise TransientError(
                        f"Somebody changed the definition of {self.change.tables} while the run "
                        f"was being prepared. Nothing was copied.",
                        advice="Run it again.",
                    )
                return plan
            except BaseException:
                # A shadow table without a checkpoint is worth nothing.
                with contextlib.suppress(MySQLdb.Error, ServerLostError):
                    self._drop_all(session)
                raise

    def _drop_all(self, session: Session) -> None:
        for names in self.change.all_names:
            shadow.drop(session, names)
        self.checkpoints.drop(session)

    def _make_shadow(self, session: Session, statement: Statement, source: Table) -> Mapping:
        shadow.create(session, statement, source)
        renamed = shadow.renamed_checks(session, statement.names)
        if renamed:
            self.tell(
                Event(
                    "constraints_renamed",
                    f"CHECK constraints of {source.name} have other names after the swap, since a "
                    f"schema has each name once: "
                    f"{', '.join(f'{old} → {new}' for old, new in renamed.items())}.",
                    Level.WARNING,
                    {"table": source.name, "names": renamed},
                )
            )
        return shadow.mapping_of(session, statement, source)

    def _plan(self, session: Session, mappings: list[Mapping]) -> Plan:
        tables = tuple(
            self._plan_table(session, names, mapping)
            for names, mapping in zip(self.change.all_names, mappings, strict=True)
        )
        self.checkpoints.create(session)
        if self.options.defer_cutover:
            sentinel.raise_it(session, self.change.first.names)
        return Plan(tables, current_position(session))

    def _plan_table(self, session: Session, names: TableNames, mapping: Mapping) -> TablePlan:
        deferred = shadow.deferrable(mapping, self.options)
        if deferred:
            shadow.drop_indexes(session, names, deferred)
            self.tell(
                Event(
                    "indexes_deferred",
                    f"Secondary indexes of {names.table} are built after the copy: "
                    f"{len(deferred)}.",
                    data={"table": names.table, "indexes": [index.name for index in deferred]},
                )
            )
        return TablePlan(mapping, deferred_indexes=tuple(index.definition for index in deferred))


def _lost_words(rows: object) -> str:
    if not rows:
        return "What it may have copied is copied again."
    return f"{rows:,} copied rows are lost and will be copied again."
