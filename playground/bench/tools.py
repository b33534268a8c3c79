"""Who makes the change: the server itself, ours, and the peers that are installed."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from typing import Protocol

import MySQLdb

from migrations_app.engine.dsn import Dsn
from playground.bench.timed import TimedProcess, Usage
from playground.connections import connected, query, quote
from playground.server import CHECKOUT

NATIVE = "native"
OURS = "ours"
_LOOK_SECS = 0.2


@dataclasses.dataclass(frozen=True)
class Job:
    """A change to make. change: the ALTER's clauses; is_loaded: an application writes meanwhile;
    limit_secs: when to give up; folder: for what a tool leaves on disk."""

    dsn: str
    table: str
    change: str
    is_loaded: bool
    volume: int
    limit_secs: float
    folder: pathlib.Path

    @property
    def at(self) -> Dsn:
        return Dsn.parse(self.dsn)

    @property
    def statement(self) -> str:
        return f"ALTER TABLE {quote(self.table)} {self.change}"


@dataclasses.dataclass(frozen=True)
class Done:
    """How it went. usage: None when it was given up; lines: what it wrote to standard output;
    failure: why the change was not made, "" when it was."""

    usage: Usage | None
    lines: Sequence[str] = ()
    failure: str = ""


class Tool(Protocol):
    """Makes changes. Failures are told, not raised."""

    @property
    def name(self) -> str: ...

    def make(self, job: Job) -> Done: ...


class Native:
    """The server's own copying ALTER, on one connection."""

    name = NATIVE

    def make(self, job: Job) -> Done:
        return run_sql(job.dsn, f"{job.statement}, ALGORITHM=COPY", job.limit_secs)


def run_sql(dsn: str, sql: str, limit_secs: float) -> Done:
    """One statement and its time. On a thread of its own, so that Ctrl-C is heard: the driver
    waits for the server inside C."""
    found: list[Done] = []

    def run() -> None:
        started_at, began = time.time(), time.monotonic()
        try:
            with connected(dsn) as connection:
                began = time.monotonic()
                query(connection, sql)
        except MySQLdb.Error as error:
            found.append(Done(None, failure=str(error)))
        else:
            found.append(Done(Usage(time.monotonic() - began, started_at=started_at)))

    # A daemon: the end of the server, not of this thread, ends a statement that is given up.
    thread = threading.Thread(target=run, name="bench-statement", daemon=True)
    thread.start()
    deadline = time.monotonic() + limit_secs
    while thread.is_alive() and time.monotonic() < deadline:
        thread.join(_LOOK_SECS)
    return found[0] if found else Done(None, failure=_gave_up(limit_secs))


class Ours:
    """``manage.py spirit migrate``, a process of its own."""

    name = OURS

    def make(self, job: Job) -> Done:
        with self.process(job) as process:
            return finish(process, job.limit_secs)

    def process(self, job: Job, *options: str) -> TimedProcess:
        """The program, started. options: more of ``spirit migrate``'s own."""
        command: list[str | pathlib.Path] = [
            *(sys.executable, CHECKOUT / "manage.py", "spirit", "migrate", "--json"),
            *("--statement", job.statement, "--volume", str(job.volume), *options),
        ]
        return TimedProcess(command, {"SPIRIT_DSN": job.dsn})


def finish(process: TimedProcess, limit_secs: float, wanted_code: int = 0) -> Done:
    """Wait for a program's end and tell how it went."""
    usage = process.wait(limit_secs)
    if usage is None:
        return Done(None, list(process.lines), _gave_up(limit_secs))
    process.drain()
    lines = list(process.lines)
    if usage.code != wanted_code:
        return Done(usage, lines, f"exit code {usage.code}: {process.last_words()}")
    return Done(usage, lines)


def _gave_up(limit_secs: float) -> str:
    return f"not done within {limit_secs:.0f} s, and given up"


class PtOsc:
    """pt-online-schema-change (triggers)."""

    name = "pt-osc"

    def __init__(self, program: str) -> None:
        self.program = program

    def make(self, job: Job) -> Done:
        at = job.at
        command = [
            *(self.program, "--execute", "--alter", job.change, "--recursion-method", "none"),
            *("--charset", "utf8mb4", *self._explain_format(job)),
            f"h={at.host},P={at.port},u={at.user},p={at.password},D={at.database},t={job.table}",
        ]
        with TimedProcess(command) as process:
            return finish(process, job.limit_secs)

    def _explain_format(self, job: Job) -> list[str]:
        """It parses EXPLAIN. Where that is a tree by default it would estimate no rows, and copy
        the table in one statement."""
        with connected(job.dsn) as connection:
            found = query(connection, "SHOW VARIABLES LIKE 'explain_format'")
        return ["--set-vars", "explain_format='TRADITIONAL'"] if found else []


class GhOst:
    """gh-ost (binary log, rows applied one by one)."""

    name = "gh-ost"

    def __init__(self, program: str) -> None:
        self.program = program

    def make(self, job: Job) -> Done:
        at = job.at
        # As fast as it goes: its defaults (1,000 rows, 10 changes) are slower in both cases.
        pace = ("5000", "100") if job.is_loaded else ("10000", "10")
        command = [
            *(self.program, "--execute", "--allow-on-master", "--assume-rbr", "--ok-to-drop-table"),
            *("--host", at.host, "--port", str(at.port), "--user", at.user),
            *("--password", at.password, "--database", at.database, "--table", job.table),
            *("--alter", job.change, "--chunk-size", pace[0], "--dml-batch-size", pace[1]),
            *("--serve-socket-file", str(job.folder / "gh-ost.sock")),
        ]
        with TimedProcess(command) as process:
            return finish(process, job.limit_secs)


class Spirit:
    """Spirit (Go; rows pass through the client)."""

    name = "spirit"

    def __init__(self, program: str) -> None:
        self.program = program

    def make(self, job: Job) -> Done:
        at = job.at
        command = [
            *(self.program, "migrate", "--host", f"{at.host}:{at.port}"),
            *("--username", at.user, "--password", at.password, "--database", at.database),
            *("--table", job.table, "--alter", job.change),
        ]
        with TimedProcess(command) as process:
            return finish(process, job.limit_secs)


def find_tools() -> tuple[list[Tool], list[str]]:
    """The tools there are, and a line for each peer that is not."""
    tools: list[Tool] = [Native(), Ours()]
    missing = []
    for make, name, variable in (
        (PtOsc, "pt-online-schema-change", "PT_OSC"),
        (GhOst, "gh-ost", "GHOST"),
        (Spirit, "spirit", "SPIRIT"),
    ):
        program = shutil.which(os.environ.get(variable) or name)
        if program:
            tools.append(make(program))
        else:
            missing.append(f"Left out: {name} is not on the PATH, nor named by {variable}.")
    return tools, missing
