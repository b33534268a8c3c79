"""Runs that are not one whole change: the catch-up after a stop, and the checksum alone."""

from __future__ import annotations

import dataclasses
import random
import time

from playground.bench import phases, verify
from playground.bench.cases import Case
from playground.bench.ground import SCHEMA, TABLE, Ground
from playground.bench.runs import Choices, Run, measure, told_by_ours, with_usage
from playground.bench.timed import TimedProcess, server_cpu_secs
from playground.bench.tools import OURS, Ours, finish, run_sql
from playground.connections import connected, query, quote
from playground.server import PrivateServer

CHECKSUM_TABLE = "CHECKSUM TABLE"
AGGREGATES = "SELECT of the aggregates"
OUR_CHECKSUM = "ours: both tables, chunk by chunk"
_OLD = f"_{TABLE}_old"
_STOPPED = 3
_LOOK_SECS = 0.05
_CHANGES_AT_ONCE = 1_000
# Of the rows that are changed while a run is stopped; the others are updated.
_DELETED_SHARE = 0.2


def measure_catch_up(ground: Ground, case: Case, rows: int, number: int, choices: Choices) -> Run:
    """Stop a run of ours midway, change rows that are copied already, and resume it.

    The figures are those of the second run; ``changes_per_sec`` counts from when it had resumed to
    when every change made before was applied (the copy goes on meanwhile). A small table is copied
    before it can be stopped: then the first run is stopped while it waits for the order to swap.
    """
    ground.fresh(case.shape, rows)
    ours, job = Ours(), choices.job(ground, case)
    run = Run(OURS, rows, number)
    with ours.process(job, "--defer-cutover", "--skip-drop") as process:
        copied = _stop_midway(process, rows, choices.limit_secs)
        done = finish(process, choices.limit_secs, wanted_code=_STOPPED)
    if done.failure:
        return dataclasses.replace(run, failure=f"the run to be stopped: {done.failure}")
    changes = min(case.changes, copied)
    change_rows(ground.dsn, changes, copied, choices.seed + number)
    end_of_log = log_position(ground.server)
    before_secs = server_cpu_secs(ground.server.pid)
    with ours.process(job, "--skip-drop") as process:
        done = finish(process, choices.limit_secs)
    if done.failure or done.usage is None:
        return dataclasses.replace(run, failure=f"the resumed run: {done.failure}")
    run = told_by_ours(with_usage(run, done.usage), done, done.usage)
    run = dataclasses.replace(
        run,
        server_cpu_secs=server_cpu_secs(ground.server.pid) - before_secs,
        extra=run.extra | catch_up_figures(phases.read(done.lines), changes, copied, end_of_log),
    )
    choices.interfere(ground.dsn)
    problems = run.problems + _problems(ground, case, rows)
    if "catch_up_secs" not in run.extra:
        problems.append("no event says that it resumed")
    return dataclasses.replace(run, problems=problems, verified=True)


def _stop_midway(process: TimedProcess, rows: int, limit_secs: float) -> int:
    """SIGTERM when half of the rows are copied, or the copy is done; returns the rows copied."""
    deadline = time.monotonic() + limit_secs
    seen = copied = 0
    while process.lives and time.monotonic() < deadline:
        new = process.lines[seen:]
        seen += len(new)
        readings = [reading for line in new if (reading := phases.reading_of(line))]
        copied = max([copied, *(reading.rows_copied for reading in readings)])
        if any('"waiting_for_cutover"' in line for line in new):
            copied = rows
        if copied >= rows // 2:
            break
        time.sleep(_LOOK_SECS)
    process.ask_to_stop()
    return min(rows, copied)


def change_rows(dsn: str, changes: int, among: int, seed: int) -> None:
    """Update and delete so many different rows, chosen at random from the first ``among``."""
    keys = random.Random(seed).sample(range(1, among + 1), changes)
    deleted = int(changes * _DELETED_SHARE)
    with connected(dsn) as connection:
        for sql, some in (
            (f"DELETE FROM {TABLE} WHERE id IN", keys[:deleted]),
            (f"UPDATE {TABLE} SET k = k + 1, pad = REVERSE(pad) WHERE id IN", keys[deleted:]),
        ):
            for first in range(0, len(some), _CHANGES_AT_ONCE):
                part = some[first : first + _CHANGES_AT_ONCE]
                query(connection, f"{sql} ({', '.join(map(str, part))})")


def log_position(server: PrivateServer) -> tuple[str, int]:
    """The end of the server's binary log, in the form of ``phases.position_of``."""
    name = str(server.execute("SHOW BINARY LOGS")[-1][0])
    [(size,)] = [row[1:2] for row in server.execute("SHOW BINARY LOGS") if row[0] == name]
    return name, int(size)


def catch_up_figures(
    told: phases.Told, changes: int, copied: int, end_of_log: tuple[str, int]
) -> dict[str, float]:
    """How fast the changes were applied; nothing when the run did not resume."""
    resumed_at = next((at for kind, at in told.events if kind == "resumed"), None)
    # The copying is over and every change is applied, at the latest.
    analyzed_at = told.entered_at("analyze_table")
    if resumed_at is None or analyzed_at is None:
        return {}
    caught_up = (
        reading.at
        for reading in told.readings
        if reading.position >= end_of_log and reading.waiting == 0
    )
    secs = max(1e-3, min([analyzed_at, *caught_up]) - resumed_at)
    return {
        "rows_copied_before": float(copied),
        "changes": float(changes),
        "catch_up_secs": secs,
        "changes_per_sec": changes / secs,
    }


def _problems(ground: Ground, case: Case, rows: int) -> list[str]:
    """The new table must hold what the old one, kept aside, holds; and that must be changed."""
    base = ground.base(case.shape, rows)
    with connected(ground.dsn) as connection:
        wanted = verify.fingerprint(connection, _OLD, case.shape)
    problems = verify.problems_of_definition(ground.dsn, TABLE, base, case.shape)
    problems += verify.problems_of_content(ground.dsn, TABLE, case.shape, wanted)
    if wanted == ground.fingerprint(case.shape, rows):
        problems.append("no row was changed while the run was stopped")
    return problems


def measure_checksums(
    ground: Ground, case: Case, rows: int, number: int, choices: Choices
) -> list[Run]:
    """The checksum phase of a run of ours, and what the server takes to read the same rows."""
    ground.fresh(case.shape, rows)
    runs = []
    for name, sql in (
        (CHECKSUM_TABLE, f"CHECKSUM TABLE {quote(f'{SCHEMA}.{TABLE}')}"),
        (AGGREGATES, verify.aggregates_sql(TABLE, case.shape)),
    ):
        before_secs = server_cpu_secs(ground.server.pid)
        done = run_sql(ground.dsn, sql, choices.limit_secs)
        server_secs = server_cpu_secs(ground.server.pid) - before_secs
        run = Run(name, rows, number, server_cpu_secs=server_secs, failure=done.failure)
        if done.usage is not None:
            # Reading changes nothing; what was read is verified with the run of ours.
            run = dataclasses.replace(run, wall_secs=done.usage.wall_secs, verified=True)
        runs.append(run)
    whole = measure(ground, case, Ours(), rows, number, choices)
    ours = dataclasses.replace(
        whole,
        tool=OUR_CHECKSUM,
        wall_secs=whole.phase_secs.get("checksum"),
        # Of the whole run, as the phases beside them.
        client_cpu_secs=None,
        server_cpu_secs=None,
        extra=whole.extra | ({"whole_wall_secs": whole.wall_secs} if whole.wall_secs else {}),
    )
    return [*runs, ours]
