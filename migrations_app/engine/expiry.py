"""When the server may delete the binary log that a checkpoint needs: a forecast.

A server deletes a file when it begins a new one (by size, FLUSH, or at its start), if the file's
last write is longer ago than ``binlog_expire_logs_seconds``; files go in their order. So there are
two times: the earliest, at which the file is old enough, and the likely one, at which the next new
file is begun by then, at the rate at which the log has grown since the checkpoint.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math

from migrations_app.engine.binlog import Position, begun_at
from migrations_app.engine.dsn import Dsn
from migrations_app.engine.errors import EngineError
from migrations_app.engine.session import Session

_HOUR_SECS = 3600
_DAY_SECS = 86_400
# A shorter look than this tells no rate.
_LEAST_RATE_SECS = 60.0
# What is further away than this says only that the server is idle.
_FORETOLD_SECS = 90.0 * _DAY_SECS
_VARIABLES = (
    "binlog_expire_logs_seconds",
    "binlog_expire_logs_auto_purge",
    "expire_logs_days",
    "max_binlog_size",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Expiry:
    """When the server may delete the binary log that a checkpoint needs.

    hours: from now, at the earliest; 0.0: it may at any moment, or has; None: it does not by
    itself. likely_hours: when it will at the observed rate, None when there is none; never less
    than hours. bytes_per_hour: that rate. reason: how all this was found.
    """

    hours: float | None
    reason: str
    likely_hours: float | None = None
    bytes_per_hour: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class LogFacts:
    """What a forecast is made from.

    kept_secs: how long a file is kept after its last write, 0 for ever; file_limit_bytes: the size
    at which a new one is begun; sizes: bytes of the server's files by name, oldest first;
    position, age_secs: of the checkpoint, its age; closed_secs_ago: since the last write to the
    file it needs, None when that is in use or not known.
    """

    kept_secs: int
    file_limit_bytes: int
    sizes: dict[str, int]
    position: Position
    age_secs: float
    closed_secs_ago: float | None = None

    @property
    def file_in_use(self) -> str:
        return next(reversed(self.sizes), "")

    @property
    def bytes_per_sec(self) -> float | None:
        """How fast the log has grown since the checkpoint; None when that cannot be said."""
        if self.position.file not in self.sizes or self.age_secs < _LEAST_RATE_SECS:
            return None
        files = list(self.sizes)
        later = files[files.index(self.position.file) :]
        grown = sum(self.sizes[file] for file in later) - self.position.offset
        return grown / self.age_secs if grown > 0 else None


def read_log_facts(session: Session, dsn: Dsn, position: Position, age_secs: float) -> LogFacts:
    """Ask the server. The file behind the needed one is opened as a replica would: its first event
    has the time at which the needed one was closed."""
    names = ", ".join(f"'{name}'" for name in _VARIABLES)
    rows = session.query(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")
    settings = {str(name): str(value) for name, value in rows}
    kept_secs = int(settings.get("binlog_expire_logs_seconds", "0"))
    kept_secs = kept_secs or int(settings.get("expire_logs_days", "0")) * _DAY_SECS
    if settings.get("binlog_expire_logs_auto_purge") == "OFF":
        kept_secs = 0
    sizes = {str(row[0]): int(row[1]) for row in session.query("SHOW BINARY LOGS")}
    facts = LogFacts(kept_secs, int(settings["max_binlog_size"]), sizes, position, age_secs)
    if not kept_secs or position.file not in sizes or position.file == facts.file_in_use:
        return facts
    closed_secs_ago = _closed_secs_ago(session, dsn, facts)
    return dataclasses.replace(facts, closed_secs_ago=closed_secs_ago)


def _closed_secs_ago(session: Session, dsn: Dsn, facts: LogFacts) -> float | None:
    """Not after the checkpoint: that was written while the file was in use, or later."""
    files = list(facts.sizes)
    behind = files[files.index(facts.position.file) + 1]
    begun: float | None = None
    # Without it the forecast is less exact, and still on the safe side.
    with contextlib.suppress(EngineError):
        begun = begun_at(dsn, behind)
    if begun is None:
        return None
    now = float(session.query_one("SELECT UNIX_TIMESTAMP(NOW(6))")[0])
    return min(max(0.0, now - begun), facts.age_secs)


def forecast(facts: LogFacts) -> Expiry:
    """When the file that a checkpoint needs may be deleted, and when it is likely to be."""
    rate = facts.bytes_per_sec
    per_hour = rate * _HOUR_SECS if rate else None
    if not facts.kept_secs:
        reason = "the server deletes no binary logs by itself"
        return Expiry(None, reason, bytes_per_hour=per_hour)
    kept = f"the server keeps binary logs for {_span(facts.kept_secs)} after their last write"
    file = facts.position.file
    if file == facts.file_in_use:
        left_secs = float(facts.kept_secs)
        reason = f"{kept}, and {file} is the one in use"
    elif facts.closed_secs_ago is not None:
        left_secs = max(0.0, facts.kept_secs - facts.closed_secs_ago)
        reason = f"{kept}; {file} was closed {_span(facts.closed_secs_ago)} ago"
    else:
        left_secs = max(0.0, facts.kept_secs - facts.age_secs)
        reason = f"{kept}, which for {file} was not before the checkpoint"
    likely_secs = _likely_secs(facts, left_secs)
    if likely_secs is not None and likely_secs < _FORETOLD_SECS:
        reason += f"; at the present rate it is deleted in about {_span(likely_secs)}"
    return Expiry(
        left_secs / _HOUR_SECS,
        reason,
        None if likely_secs is None else likely_secs / _HOUR_SECS,
        per_hour,
    )


def _likely_secs(facts: LogFacts, left_secs: float) -> float | None:
    """Until the first new file is begun when the needed one is old enough."""
    rate = facts.bytes_per_sec
    if rate is None:
        return None
    room = max(0, facts.file_limit_bytes - facts.sizes[facts.file_in_use])
    first_secs = room / rate
    period_secs = facts.file_limit_bytes / rate
    if facts.position.file == facts.file_in_use:
        left_secs += first_secs  # it is closed only then
    if left_secs <= first_secs:
        return first_secs
    return first_secs + math.ceil((left_secs - first_secs) / period_secs) * period_secs


def _span(secs: float) -> str:
    if secs >= 2 * _DAY_SECS:
        return f"{secs / _DAY_SECS:.3g} days"
    if secs >= _HOUR_SECS:
        return f"{secs / _HOUR_SECS:.3g} h"
    return f"{secs / 60:.0f} min"
