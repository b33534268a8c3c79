"""Medians, spreads and ratios of runs, and where they were measured."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from playground.bench.runs import Run
from playground.server import CHECKOUT, PrivateServer

Figure = Callable[[Run], float | None]

# Processes at work, of others, for each core.
_BUSY = 0.75


@dataclasses.dataclass(frozen=True)
class Spread:
    """Of one figure over the rounds."""

    median: float
    least: float
    most: float
    count: int


def spread(values: Iterable[float | None]) -> Spread | None:
    """None when there is no value."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return Spread(statistics.median(known), min(known), max(known), len(known))


# Names as in the JSON; seconds, bytes and milliseconds as they say.
FIGURES: dict[str, Figure] = {
    "wall_secs": lambda run: run.wall_secs,
    "client_cpu_secs": lambda run: run.client_cpu_secs,
    "server_cpu_secs": lambda run: run.server_cpu_secs,
    "peak_rss_bytes": lambda run: run.peak_rss_bytes,
    "before_p95_ms": lambda run: run.felt.before.p95_ms if run.felt else None,
    "during_p50_ms": lambda run: run.felt.during.p50_ms if run.felt else None,
    "during_p95_ms": lambda run: run.felt.during.p95_ms if run.felt else None,
    "during_p99_ms": lambda run: run.felt.during.p99_ms if run.felt else None,
    "during_max_ms": lambda run: run.felt.during.max_ms if run.felt else None,
    "swap_max_ms": lambda run: run.felt.at_swap.max_ms if run.felt else None,
}


def ratios(runs: Sequence[Run], baseline: Sequence[Run]) -> Spread | None:
    """Wall times to the baseline's of the same round."""
    by_round = {run.round: run.wall_secs for run in baseline if run.wall_secs}
    return spread(
        run.wall_secs / by_round[run.round]
        for run in runs
        if run.wall_secs is not None and run.round in by_round
    )


def by_tool(runs: Iterable[Run]) -> dict[tuple[int, str], list[Run]]:
    """Runs by rows and tool, in the order in which they first came."""
    found: dict[tuple[int, str], list[Run]] = {}
    for run in runs:
        found.setdefault((run.rows, run.tool), []).append(run)
    return found


def summary(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """For JSON: every figure's spread, by rows and tool; the first tool is the baseline."""
    groups = by_tool(runs)
    baselines: dict[int, list[Run]] = {}
    for (rows, _), some in groups.items():
        baselines.setdefault(rows, some)
    found = []
    for (rows, tool), some in groups.items():
        spreads = {name: spread(map(figure, some)) for name, figure in FIGURES.items()}
        spreads["to_baseline"] = ratios(some, baselines[rows])
        for name in sorted({name for run in some for name in run.extra}):
            spreads[name] = spread(run.extra.get(name) for run in some)
        for name in dict.fromkeys(name for run in some for name in run.phase_secs):
            spreads[f"phase {name}"] = spread(run.phase_secs.get(name) for run in some)
        found.append(
            {
                "rows": rows,
                "tool": tool,
                "right": sum(run.is_right for run in some),
                "runs": len(some),
                "figures": {name: dataclasses.asdict(one) for name, one in spreads.items() if one},
            }
        )
    return found


def machine(server: PrivateServer) -> dict[str, Any]:
    """Where the figures were measured. load_average: of the minute before, by everybody."""
    names = (
        "version", "version_comment", "innodb_buffer_pool_size", "innodb_redo_log_capacity",
        "sync_binlog", "innodb_flush_log_at_trx_commit", "binlog_row_image", "gtid_mode",
    )  # fmt: skip
    listed = ", ".join(f"'{name}'" for name in names)
    variables = server.execute(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({listed})")
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": memory_bytes(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "mysql": {str(name): str(value) for name, value in variables},
        "commit": _commit(),
    }


def how_busy(machine: dict[str, Any]) -> str:
    """A warning where others keep the cores at work, else ""."""
    load, cores = machine["load_average"], machine["cores"]
    if load < _BUSY * cores:
        return ""
    return (
        f"This machine is busy: {load:.1f} processes at work in the last minute, on {cores} cores. "
        f"What is measured now takes longer, and differs from round to round."
    )


def memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _processor() -> str:
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return ""
    lines = (line.partition(":") for line in text.splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == "model name"), "")


def _commit() -> str:
    """The checkout's commit, with a plus when files differ from it; "" outside of one."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
