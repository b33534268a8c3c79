"""What goes wrong in a round, how often, when, and how it is done."""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import random
import time
from collections.abc import Iterator

import MySQLdb

from migrations_app.engine.dsn import Dsn
from playground.connections import connect, query
from playground.semisync import SemiSync
from playground.server import PrivateServer
from playground.torture.tables import NAME

MOST_FAULTS = 4
_LONGEST_DELAY_SECS = 1.2
_LONGEST_STALL_SECS = 3.0
_ENGINE_SESSIONS = """
SELECT t.PROCESSLIST_ID FROM performance_schema.user_variables_by_thread v
JOIN performance_schema.threads t USING (THREAD_ID)
WHERE v.VARIABLE_NAME = 'spirit_run' ORDER BY 1
"""
_OWNERS = """
SELECT t.PROCESSLIST_ID FROM performance_schema.metadata_locks l
JOIN performance_schema.threads t ON t.THREAD_ID = l.OWNER_THREAD_ID
WHERE l.OBJECT_TYPE = 'USER LEVEL LOCK' AND l.LOCK_STATUS = 'GRANTED' AND l.OBJECT_NAME LIKE %s
"""
ENGINE_LOCKS = "spirit:%"
_WRITER_LOCKS = "writer:%"
_DUMP_SESSIONS = """
SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%' ORDER BY ID
"""


class FaultKind(enum.StrEnum):
    """In the report's order."""

    KILL_ENGINE = "kill -9 of the engine"
    STOP_ENGINE = "stop of the engine"
    PURGE_LOGS = "kill -9 of the engine, logs purged"
    KILL_SESSIONS = "KILL of the engine's sessions"
    ZOMBIE = "engine suspended, woken beside its successor"
    KILL_WRITER = "KILL of the writer's sessions"
    KILL_STREAM = "KILL of the binary log stream"
    FLUSH_LOGS = "FLUSH BINARY LOGS"
    KILL_SERVER = "kill -9 of mysqld"
    RESTART_SERVER = "orderly restart of mysqld"
    LOCK_ROWS = "rows of the table locked"
    LOCK_SHADOW_ROWS = "rows of the shadow table locked"
    HOLD_TABLE = "open transaction on the table"
    SEMI_SYNC = "semi-synchronous stall"


WEIGHTS = {
    FaultKind.KILL_ENGINE: 20,
    FaultKind.STOP_ENGINE: 12,
    FaultKind.PURGE_LOGS: 5,
    FaultKind.KILL_SESSIONS: 16,
    FaultKind.ZOMBIE: 8,
    FaultKind.KILL_WRITER: 6,
    FaultKind.KILL_STREAM: 8,
    FaultKind.FLUSH_LOGS: 5,
    FaultKind.KILL_SERVER: 8,
    FaultKind.RESTART_SERVER: 5,
    FaultKind.LOCK_ROWS: 5,
    FaultKind.LOCK_SHADOW_ROWS: 5,
    FaultKind.HOLD_TABLE: 6,
    FaultKind.SEMI_SYNC: 8,
}
# How often a fault waits for the beginning of each of the engine's phases.
PHASES = {
    "setup": 10,
    "copy_rows": 40,
    "apply_changeset": 8,
    "analyze_table": 4,
    "checksum": 14,
    "cut_over": 24,
}
COUNTS = (8, 24, 28, 24, 16)


@dataclasses.dataclass(frozen=True)
class Fault:
    """phase, delay_secs: so long after the engine has said that the phase begins; secs: how long a
    lock or a stall lasts; share: of the sessions that are killed."""

    kind: FaultKind
    phase: str
    delay_secs: float
    secs: float
    share: float

    def __str__(self) -> str:
        lasting = f", {self.secs:.1f} s" if self.kind in _LASTING else ""
        return f"{self.kind}, {self.delay_secs:.2f} s after {self.phase}{lasting}"


_LASTING = {
    FaultKind.LOCK_ROWS,
    FaultKind.LOCK_SHADOW_ROWS,
    FaultKind.HOLD_TABLE,
    FaultKind.SEMI_SYNC,
    FaultKind.ZOMBIE,
}


def random_faults(source: random.Random) -> Iterator[Fault]:
    for _ in range(source.choices(range(MOST_FAULTS + 1), COUNTS)[0]):
        yield Fault(
            kind=source.choices(list(WEIGHTS), list(WEIGHTS.values()))[0],
            phase=source.choices(list(PHASES), list(PHASES.values()))[0],
            # Mostly at once: the phases of a small table are short.
            delay_secs=round(_LONGEST_DELAY_SECS * source.random() ** 3, 3),
            secs=round(source.uniform(1.0, 8.0), 1),
            share=source.random(),
        )


@dataclasses.dataclass
class Hold:
    """Locks held by a session of ours, until a time of time.monotonic()."""

    connection: MySQLdb.Connection
    until: float
    stops_writer: bool

    def release(self) -> None:
        """The session may have been killed, or its server be gone."""
        with contextlib.suppress(MySQLdb.Error):
            self.connection.rollback()
        with contextlib.suppress(MySQLdb.Error):
            self.connection.close()


def engine_sessions(server: PrivateServer) -> list[int]:
    """Connections that an engine has opened, whichever run they are of."""
    return [int(row[0]) for row in server.execute(_ENGINE_SESSIONS)]


def trouble(server: PrivateServer, fault: Fault) -> str:
    """Do what only the server is needed for; returns what there is to say about it."""
    match fault.kind:
        case FaultKind.KILL_SESSIONS:
            return f"({kill_sessions(server, fault.share)})"
        case FaultKind.KILL_WRITER:
            return f"({kill_owners(server, _WRITER_LOCKS)})"
        case FaultKind.KILL_STREAM:
            return f"({kill_stream(server)})"
        case FaultKind.FLUSH_LOGS:
            server.execute("FLUSH BINARY LOGS")
        case FaultKind.KILL_SERVER:
            server.kill()
            server.start()
        case FaultKind.RESTART_SERVER:
            server.restart()
        case FaultKind.SEMI_SYNC:
            stall(server, min(_LONGEST_STALL_SECS, fault.secs))
        case _:
            raise ValueError(f"{fault.kind} is no trouble of the server alone")
    return ""


def kill_sessions(server: PrivateServer, share: float) -> int:
    """Kill a share of the engine's sessions, at least one; returns how many."""
    found = engine_sessions(server)
    # A third of the time a single one, which a run may be able to do without.
    wanted = 1 if share < 1 / 3 else max(1, round(share * len(found)))
    chosen = random.Random(share).sample(found, min(wanted, len(found)))
    return sum(_kill(server, session) for session in chosen)


def kill_owners(server: PrivateServer, locks: str) -> int:
    """Kill the sessions that hold user-level locks whose names are LIKE this."""
    found = server.execute(_OWNERS, (locks,))
    return sum(_kill(server, int(row[0])) for row in found)


def kill_stream(server: PrivateServer) -> int:
    return sum(_kill(server, int(row[0])) for row in server.execute(_DUMP_SESSIONS))


def _kill(server: PrivateServer, session: int) -> bool:
    try:
        server.execute(f"KILL {session}")
    except MySQLdb.Error:
        # It ended by itself meanwhile.
        return False
    return True


def purge_logs(server: PrivateServer) -> None:
    """Leave only the newest binary log. No engine may be reading."""
    server.execute("FLUSH BINARY LOGS")
    newest = server.execute("SHOW BINARY LOGS")[-1][0]
    server.execute(f"PURGE BINARY LOGS TO '{newest}'")


_HOLDING = {
    FaultKind.LOCK_ROWS: f"SELECT * FROM {NAME} LIMIT 50 FOR UPDATE",
    FaultKind.LOCK_SHADOW_ROWS: f"SELECT * FROM _{NAME}_new LIMIT 50 FOR UPDATE",
    FaultKind.HOLD_TABLE: f"SELECT * FROM {NAME} LIMIT 1",
}


def hold(dsn: Dsn, fault: Fault) -> Hold | None:
    """Open a transaction that holds what the fault says. None: not to be had now."""
    connection = connect(dsn, autocommit=False)
    try:
        query(connection, "SET SESSION innodb_lock_wait_timeout = 2, lock_wait_timeout = 2")
        query(connection, _HOLDING[fault.kind])
    except MySQLdb.Error:
        connection.close()
        return None
    stops_writer = fault.kind is FaultKind.LOCK_ROWS
    return Hold(connection, time.monotonic() + fault.secs, stops_writer)


def stall(server: PrivateServer, secs: float) -> None:
    """The next commit is logged, and can be seen so much later: nobody acknowledges it."""
    commits = SemiSync(server)
    with contextlib.suppress(MySQLdb.Error):
        # It stays installed on this server.
        commits.install()
    commits.end()
    commits.set_timeout(int(secs * 1000))
    commits.stall()


def end_stall(server: PrivateServer) -> None:
    with contextlib.suppress(MySQLdb.Error):
        SemiSync(server).end()
