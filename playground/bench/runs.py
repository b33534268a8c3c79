"""One measured run of a case: a fresh table, the change, the figures, and whether every row is
right."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

from playground.bench import phases, verify
from playground.bench.cases import Case
from playground.bench.ground import TABLE, Ground
from playground.bench.load import Application, Felt
from playground.bench.timed import Usage, server_cpu_secs
from playground.bench.tools import OURS, Done, Job, Tool
from playground.writersession import WriterError

Hook = Callable[[str], None]
"""Called with the DSN after the change and before the verification; for tests."""


@dataclasses.dataclass(frozen=True)
class Run:
    """The figures of one run. wall_secs and what follows: None where there is none.

    phase_secs: of a run of ours; felt: under load; extra: figures of one case only; failure: why
    there is no figure; problems: what the verification found; verified: whether it was made.
    """

    tool: str
    rows: int
    round: int
    wall_secs: float | None = None
    client_cpu_secs: float | None = None
    server_cpu_secs: float | None = None
    peak_rss_bytes: int | None = None
    phase_secs: dict[str, float] = dataclasses.field(default_factory=dict)
    felt: Felt | None = None
    extra: dict[str, float] = dataclasses.field(default_factory=dict)
    failure: str = ""
    problems: list[str] = dataclasses.field(default_factory=list)
    verified: bool = False

    @property
    def is_right(self) -> bool:
        return self.verified and not self.problems and not self.failure

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Choices:
    """What holds for every run. limit_secs: when a run is given up."""

    volume: int
    limit_secs: float
    folder: pathlib.Path
    seed: int = 1
    before_verification: Hook | None = None

    def job(self, ground: Ground, case: Case) -> Job:
        return Job(
            dsn=ground.dsn,
            table=TABLE,
            change=case.shape.change,
            is_loaded=case.load is not None,
            volume=self.volume,
            limit_secs=self.limit_secs,
            folder=self.folder,
        )

    def interfere(self, dsn: str) -> None:
        if self.before_verification is not None:
            self.before_verification(dsn)


def measure(
    ground: Ground, case: Case, tool: Tool, rows: int, number: int, choices: Choices
) -> Run:
    """One whole change by one tool, beside the application when the case has one."""
    ground.fresh(case.shape, rows)
    application = (
        Application(ground.dsn, TABLE, case.load, choices.seed + number) if case.load else None
    )
    run = Run(tool.name, rows, number)
    try:
        with application or contextlib.nullcontext():
            if application is not None:
                application.begin()
            before_secs = server_cpu_secs(ground.server.pid)
            done = tool.make(choices.job(ground, case))
            server_secs = server_cpu_secs(ground.server.pid) - before_secs
            if application is not None:
                application.end()
    except WriterError as error:
        return dataclasses.replace(run, failure=f"the application had to give up: {error}")
    felt = application.felt() if application is not None else None
    run = dataclasses.replace(run, server_cpu_secs=server_secs, felt=felt)
    if done.failure or done.usage is None:
        return dataclasses.replace(run, failure=done.failure)
    run = with_usage(run, done.usage)
    if tool.name == OURS:
        run = told_by_ours(run, done, done.usage)
        if application is not None:
            run = felt_by_phase(run, done, application)
    choices.interfere(ground.dsn)
    problems = verified(ground, case, rows, application)
    if tool.name == OURS:
        problems += [f"left behind: {name}" for name in ground.tables() if name != TABLE]
    return dataclasses.replace(run, problems=run.problems + problems, verified=True)


def with_usage(run: Run, usage: Usage) -> Run:
    """The run with what its program used."""
    return dataclasses.replace(
        run,
        wall_secs=usage.wall_secs,
        client_cpu_secs=usage.cpu_secs,
        peak_rss_bytes=usage.peak_rss_bytes,
    )


def told_by_ours(run: Run, done: Done, usage: Usage) -> Run:
    """The run with what ours said: phases, backlog, the swap."""
    told = phases.read(done.lines)
    extra = {
        "most_waiting": float(told.most_waiting),
        "swap_attempts": float(told.attempts),
        "changes_applied": float(max((r.applied for r in told.readings), default=0)),
    }
    if told.stall_secs is not None:
        extra["stall_secs"] = told.stall_secs
    problems = [] if told.method == "copy" else [f"made by {told.method or 'nothing'}, not a copy"]
    return dataclasses.replace(
        run,
        phase_secs=told.phase_secs(usage.started_at, usage.ended_at),
        extra=run.extra | extra,
        problems=run.problems + problems,
    )


def felt_by_phase(run: Run, done: Done, application: Application) -> Run:
    """The run with what the application felt in each of its phases."""
    assert run.felt is not None
    assert done.usage is not None
    spans = phases.read(done.lines).spans(done.usage.started_at, done.usage.ended_at)
    felt = {name: application.felt_between(since, until) for name, since, until in spans}
    by_phase = {name: summary for name, summary in felt.items() if summary.count}
    return dataclasses.replace(run, felt=dataclasses.replace(run.felt, by_phase=by_phase))


def verified(ground: Ground, case: Case, rows: int, application: Application | None) -> list[str]:
    """What is wrong with the table after its change."""
    base = ground.base(case.shape, rows)
    problems = verify.problems_of_definition(ground.dsn, TABLE, base, case.shape)
    if application is None:
        wanted = ground.fingerprint(case.shape, rows)
        return problems + verify.problems_of_content(ground.dsn, TABLE, case.shape, wanted)
    return problems + verify.problems_with_books(ground.dsn, application.writer, base)
