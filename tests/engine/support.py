"""Running migrations in tests: an observer that remembers, a run in a thread, and comparisons."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Self

from migrations_app.engine import (
    CheckpointRow,
    Event,
    Migration,
    Options,
    Outcome,
    Phase,
    Progress,
)
from tests.conftest import Schema

DEADLINE_SECS = 60.0
# 127.0.0.1, written in a way that is not known for this machine without asking the resolver.
ELSEWHERE = "127.1"


def wait_until(
    condition: Callable[[], Any], what: str, deadline_secs: float = DEADLINE_SECS
) -> Any:
    """The condition's first true value; at the deadline fail, saying what was waited for."""
    deadline = time.monotonic() + deadline_secs
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {deadline_secs:.0f} s for: {what}")


class Recorder:
    """An observer that remembers everything."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self.events: list[Event] = []
        self.checkpoints: list[CheckpointRow] = []
        self.readings: list[Progress] = []
        self.cut_over_allowed = True

    def phase_changed(self, phase: Phase) -> None:
        self.phases.append(phase)

    def progressed(self, progress: Progress) -> None:
        self.readings.append(progress)

    def checkpoint_written(self, row: CheckpointRow) -> None:
        self.checkpoints.append(row)

    def happened(self, event: Event) -> None:
        self.events.append(event)

    def may_cut_over(self) -> bool:
        return self.cut_over_allowed

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def event(self, kind: str) -> Event:
        """The last event of a kind; fails when there is none."""
        found = [event for event in self.events if event.kind == kind]
        assert found, f"no {kind} event among {self.kinds()}"
        return found[-1]


class RunInThread:
    """A migration that runs beside the test; stopped and joined at the end of the block."""

    def __init__(
        self,
        schema: Schema,
        statement: str,
        options: Options | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.recorder = recorder or Recorder()
        self.stop = threading.Event()
        self.migration = Migration(
            schema.dsn, statement, options or Options(volume=3), self.recorder
        )
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self._outcome = self.migration.run(self.stop)
        except BaseException as error:
            self._error = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(DEADLINE_SECS)
        assert not self._thread.is_alive(), "the run did not end"

    def wait_for_phase(self, phase: Phase) -> None:
        wait_until(lambda: phase in self.recorder.phases or self._ended, f"phase {phase}")
        assert phase in self.recorder.phases, self._outcome or self._error

    def wait_for_event(self, kind: str) -> Event:
        wait_until(lambda: kind in self.recorder.kinds() or self._ended, f"event {kind}")
        return self.recorder.event(kind)

    @property
    def _ended(self) -> bool:
        return self._outcome is not None or self._error is not None

    def outcome(self, deadline_secs: float = DEADLINE_SECS) -> Outcome:
        """Wait for the end; raises what left ``run``."""
        self._thread.join(deadline_secs)
        assert not self._thread.is_alive(), f"the run did not end in {deadline_secs} s"
        if self._error is not None:
            raise self._error
        assert self._outcome is not None
        return self._outcome


def migrate(
    schema: Schema, statement: str, options: Options | None = None
) -> tuple[Outcome, Recorder]:
    """Run a migration to its end."""
    recorder = Recorder()
    outcome = Migration(schema.dsn, statement, options or Options(), recorder).run()
    return outcome, recorder


def make_numbers(schema: Schema, table: str, rows: int, columns: str = "v INT NOT NULL") -> None:
    """A table ``id BIGINT PRIMARY KEY`` and ``columns``; the first column is filled from the id."""
    first = columns.split(maxsplit=1)[0]
    schema.execute(f"CREATE TABLE {table} (id BIGINT NOT NULL PRIMARY KEY, {columns})")
    schema.execute(
        f"INSERT INTO {table} (id, {first}) "
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) "
        f"SELECT (a.i - 1) * 1000 + b.i, (a.i - 1) * 1000 + b.i FROM n a JOIN n b "
        f"WHERE (a.i - 1) * 1000 + b.i <= {rows}"
    )


def rows_of(schema: Schema, table: str, columns: str = "*") -> list[tuple[Any, ...]]:
    """Every row of a table, in the order of its first column."""
    return schema.execute(f"SELECT {columns} FROM `{table}` ORDER BY 1, 2")


def assert_same_as_native(schema: Schema, table: str, statement: str, native: str) -> None:
    """The migrated table holds what a native ALTER makes of the same rows.

    native: a copy of the table as it was, on which the statement is run with ALGORITHM=COPY.
    """
    before, _, clauses = statement.partition(table)
    assert before.strip().upper() == "ALTER TABLE"
    schema.execute(f"ALTER TABLE `{native}` {clauses.lstrip('`')}, ALGORITHM=COPY")
    assert rows_of(schema, table) == rows_of(schema, native)
    assert _definition(schema, table) == _definition(schema, native)


def _definition(schema: Schema, table: str) -> list[str]:
    """SHOW CREATE TABLE without the name, AUTO_INCREMENT and the order of indexes."""
    lines = schema.execute(f"SHOW CREATE TABLE `{table}`")[0][1].splitlines()[1:]
    columns = [line.rstrip(",") for line in lines if line.strip().startswith("`")]
    others = sorted(line.rstrip(",") for line in lines if not line.strip().startswith("`"))
    return columns + [
        " ".join(part for part in line.split() if not part.startswith("AUTO_INCREMENT="))
        for line in others
    ]


def tables_of(schema: Schema) -> set[str]:
    return {row[0] for row in schema.execute("SHOW TABLES")}
