"""How the figures look to people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from playground.bench import figures
from playground.bench.cases import Case
from playground.bench.runs import Run
from playground.latency import LatencySummary

_MIB = 1024 * 1024
_PLAIN_EXTRAS = (
    "changes_per_sec", "catch_up_secs", "changes", "changes_applied", "most_waiting",
    "swap_attempts", "stall_secs", "whole_wall_secs",
)  # fmt: skip


def line(case: Case, run: Run) -> str:
    """One run as it ends."""
    what = f"{case.letter}  round {run.round}  {run.tool}, {run.rows:,} rows: "
    if run.failure:
        return what + f"FAILED: {run.failure}"
    wall = f"{run.wall_secs:.2f} s" if run.wall_secs is not None else "no time"
    if run.problems:
        return what + f"{wall}, WRONG: {'; '.join(run.problems)}"
    return what + f"{wall}, {'verified' if run.verified else 'not verified'}"


def show(out: Console, case: Case, runs: Sequence[Run]) -> None:
    """A case's tables: times and costs; what the application felt; phases and other figures."""
    out.print()
    out.print(Text(f"({case.letter}) {case.title}", style="bold"))
    out.print(_costs(runs))
    if any(run.felt for run in runs):
        out.print(_latencies(runs))
    for (rows, tool), some in figures.by_tool(runs).items():
        for text in _details(some):
            out.print(f"{tool}, {rows:,} rows: {text}", soft_wrap=True, highlight=False)
    for text in growth(case, runs):
        out.print(text, soft_wrap=True, highlight=False)


def _costs(runs: Sequence[Run]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("tool")
    names = (
        "rows", "wall s (least–most)", "to first", "client CPU s", "server CPU s",
        "peak RSS MiB", "right",
    )  # fmt: skip
    for name in names:
        table.add_column(name, justify="right")
    groups = figures.by_tool(runs)
    first: dict[int, list[Run]] = {}
    for (rows, tool), some in groups.items():
        baseline = first.setdefault(rows, some)
        ratio = figures.ratios(some, baseline)
        rss = figures.spread(run.peak_rss_bytes for run in some)
        right = sum(run.is_right for run in some)
        table.add_row(
            tool,
            f"{rows:,}",
            _spread_words(figures.spread(run.wall_secs for run in some)),
            f"{ratio.median:.2f}" if ratio else "-",
            _median(some, lambda run: run.client_cpu_secs),
            _median(some, lambda run: run.server_cpu_secs),
            f"{rss.median / _MIB:.0f}" if rss else "-",
            Text(f"{right} of {len(some)}", style="" if right == len(some) else "bold red"),
        )
    return table


def _latencies(runs: Sequence[Run]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("application, ms: p50 / p95 / p99 / max")
    for name in ("before", "during", "at the swap", "writes/s during"):
        table.add_column(name, justify="right")
    for (_, tool), some in figures.by_tool(runs).items():
        felt = [run.felt for run in some if run.felt]
        if not felt:
            continue
        rate = figures.spread(one.rate for one in felt)
        table.add_row(
            tool,
            _latency_words([one.before for one in felt]),
            _latency_words([one.during for one in felt]),
            _latency_words([one.at_swap for one in felt]),
            f"{rate.median:,.0f}" if rate else "-",
        )
    return table


def _latency_words(some: Sequence[LatencySummary]) -> str:
    """Medians over the rounds of each percentile."""
    found = [
        figures.spread(getattr(one, name) for one in some)
        for name in ("p50_ms", "p95_ms", "p99_ms", "max_ms")
    ]
    return " / ".join(f"{one.median:,.1f}" if one.median < 10 else f"{one.median:,.0f}"
                      for one in found if one)  # fmt: skip


def _details(some: Sequence[Run]) -> list[str]:
    found = []
    phases = dict.fromkeys(name for run in some for name in run.phase_secs)
    if phases:
        medians = [(name, figures.spread(run.phase_secs.get(name) for run in some))
                   for name in phases]  # fmt: skip
        found.append(", ".join(f"{name} {one.median:.2f} s" for name, one in medians if one))
    felt = [run.felt.by_phase for run in some if run.felt]
    found += [
        f"the application in {name}, ms: {_latency_words([one[name] for one in felt])}"
        for name in phases
        if felt and all(name in one for one in felt)
    ]
    extras = [(name, figures.spread(run.extra.get(name) for run in some))
              for name in _PLAIN_EXTRAS]  # fmt: skip
    words = [f"{name.replace('_', ' ')} {_number(one.median)}" for name, one in extras if one]
    if words:
        found.append(", ".join(words))
    return found


def growth(case: Case, runs: Sequence[Run]) -> list[str]:
    """How time and memory grow with the rows, for a case of several sizes."""
    if len(case.rows) < 2:
        return []
    small, large = case.rows[0], case.rows[-1]
    groups = figures.by_tool(runs)
    found = []
    for tool in dict.fromkeys(run.tool for run in runs):
        few, many = groups.get((small, tool), []), groups.get((large, tool), [])
        for name in ("wall_secs", "peak_rss_bytes"):
            figure = figures.FIGURES[name]
            less, more = figures.spread(map(figure, few)), figures.spread(map(figure, many))
            if less and more and less.median:
                found.append(
                    f"{tool}: {large / small:g} times the rows,"
                    f" {more.median / less.median:.2f} times {name}"
                )
    return found


def as_document(
    machine: dict[str, Any], command: Sequence[str], results: Sequence[tuple[Case, Sequence[Run]]]
) -> dict[str, Any]:
    """Everything, for a JSON file."""
    return {
        "machine": machine,
        "command": list(command),
        "cases": [
            {
                "case": case.letter,
                "title": case.title,
                "change": case.shape.change,
                "rows": list(case.rows),
                "load": {"rate": case.load.rate, "rows": case.load.rows} if case.load else None,
                "summary": figures.summary(runs),
                "runs": [run.as_data() for run in runs],
            }
            for case, runs in results
        ],
    }


def _median(some: Sequence[Run], figure: Callable[[Run], float | None]) -> str:
    found = figures.spread(map(figure, some))
    return f"{found.median:.2f}" if found else "-"


def _spread_words(found: figures.Spread | None) -> str:
    if found is None:
        return "-"
    if found.count == 1:
        return f"{found.median:.2f}"
    return f"{found.median:.2f} ({found.least:.2f}–{found.most:.2f})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"
