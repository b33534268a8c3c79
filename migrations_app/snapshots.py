"""What lint and plan said of a request when it was submitted: kept for approvers, and compared
with the table again before the first row is copied."""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import re
from typing import Any

from django.utils import timezone

from migrations_app.crypto import SecretUnavailableError
from migrations_app.engine import EngineError, parse_change
from migrations_app.engine.checkpoint import ENGINE_VERSION
from migrations_app.engine.lint import LintLevel
from migrations_app.engine.plan import Plan, plan
from migrations_app.engine.saved import NextKind
from migrations_app.models import MigrationRequest

_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
_DIFF_LINES = 40
_TONES: dict[str, str] = {
    LintLevel.REFUSE: "bad",
    LintLevel.ACKNOWLEDGE: "bad",
    LintLevel.WARN: "warn",
}


class CannotLookError(Exception):
    """The target could not be asked; str() says why, to people."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """One finding of lint, of one table of the statement."""

    table: str
    rule: str
    level: str
    message: str
    remedy: str

    @property
    def tone(self) -> str:
        """The colour in which it is shown."""
        return _TONES.get(self.level, "quiet")

    @property
    def words(self) -> str:
        return f"{self.message} {self.remedy}".strip()


@dataclasses.dataclass(frozen=True, slots=True)
class TableSeen:
    """What would happen to one table, and how it was defined. Sizes by the server's estimates."""

    name: str
    method: str
    method_reason: str
    rows: int
    data_bytes: int
    index_bytes: int
    disk_bytes: int
    log_bytes: int
    key: str
    indexes_later: list[str]
    duration_secs: list[float]
    before_sql: str
    after_sql: str
    diff: str

    @property
    def digest(self) -> str:
        """Of its definition, without the counter that every insert moves."""
        return hashlib.sha256(_uncounted(self.before_sql).encode()).hexdigest()


@dataclasses.dataclass(frozen=True, slots=True)
class Snapshot:
    """taken_at: ISO 8601, by the clock of the web server or worker; begun: see ``Drift``."""

    taken_at: str
    engine_version: str
    tables: list[TableSeen]
    findings: list[Found]
    begun: bool = False

    @property
    def refusals(self) -> list[Found]:
        return [found for found in self.findings if found.level == LintLevel.REFUSE]

    @property
    def unsafe(self) -> list[Found]:
        """What must be acknowledged."""
        return [found for found in self.findings if found.level == LintLevel.ACKNOWLEDGE]

    def stored(self) -> dict[str, Any]:
        """As JSON keeps it; ``read`` is the way back."""
        return dataclasses.asdict(self)


def read(stored: dict[str, Any]) -> Snapshot | None:
    """A stored snapshot; None for a request that was never submitted."""
    if not stored:
        return None
    return Snapshot(
        stored["taken_at"],
        stored["engine_version"],
        [TableSeen(**table) for table in stored["tables"]],
        [Found(**found) for found in stored["findings"]],
    )


def take(request: MigrationRequest) -> Snapshot:
    """Ask the target what the request's statement would do now. Raises CannotLookError."""
    try:
        target = request.target
        plans = plan(
            target.dsn(),
            parse_change(request.statement, target.database),
            request.options(),
            target.lint_levels_typed(),
        )
    except (EngineError, SecretUnavailableError) as error:
        raise CannotLookError(str(error)) from None
    return Snapshot(
        timezone.now().isoformat(timespec="seconds"),
        ENGINE_VERSION,
        [_table_seen(one) for one in plans],
        [
            Found(one.statement.table, found.rule, found.level.value, found.message, found.remedy)
            for one in plans
            for found in one.findings
        ],
        any(one.next_run.kind in (NextKind.RESUME, NextKind.FINISH) for one in plans),
    )


def _table_seen(one: Plan) -> TableSeen:
    return TableSeen(
        name=one.statement.table,
        method=one.method.value,
        method_reason=one.method_reason,
        rows=one.size.rows,
        data_bytes=one.size.data_bytes,
        index_bytes=one.size.index_bytes,
        disk_bytes=one.size.disk_bytes,
        log_bytes=one.size.log_bytes,
        key=", ".join(one.key_columns),
        indexes_later=list(one.indexes_later),
        duration_secs=list(one.duration_secs or ()),
        before_sql=one.before_sql,
        after_sql=one.after_sql,
        diff=one.diff,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Drift:
    """What is different from what was approved.

    already_made: every table is as it was to be; begun: an earlier run left a checkpoint, with
    which the next one goes on or ends.
    """

    words: str
    diff: str
    already_made: bool
    begun: bool


def drift(request: MigrationRequest) -> Drift | None:
    """Compare the target with what was approved; None when that still holds.

    Raises CannotLookError when it cannot be asked. Requests from before there were snapshots
    have nothing to be compared with.
    """
    then = read(request.snapshot)
    if then is None:
        return None
    now = take(request)
    known = {(found.table, found.rule) for found in then.refusals + then.unsafe}
    new = [found for found in now.refusals + now.unsafe if (found.table, found.rule) not in known]
    before = {table.name: table for table in then.tables}
    changed = [
        table
        for table in now.tables
        if table.name not in before or before[table.name].digest != table.digest
    ]
    if not changed and not new:
        return None
    words = [f"the definition of {table.name} has changed" for table in changed]
    words += [f"{found.table}: {found.message}" for found in new]
    return Drift(
        "; ".join(words),
        "\n".join(_diff(before.get(table.name), table) for table in changed),
        bool(changed) and all(_is_made(before.get(table.name), table) for table in now.tables),
        now.begun,
    )


def _is_made(then: TableSeen | None, now: TableSeen) -> bool:
    return then is not None and _uncounted(then.after_sql) == _uncounted(now.before_sql)


def _diff(then: TableSeen | None, now: TableSeen) -> str:
    lines = difflib.unified_diff(
        (then.before_sql if then else "").splitlines(),
        now.before_sql.splitlines(),
        f"{now.name} when it was submitted",
        f"{now.name} now",
        lineterm="",
    )
    return "\n".join(list(lines)[:_DIFF_LINES])


def _uncounted(definition: str) -> str:
    return _COUNTER.sub("", definition)
