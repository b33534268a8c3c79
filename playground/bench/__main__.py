"""``script/bench``: the cases in rounds, their tables, and 0 or 1."""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

from rich.console import Console

from migrations_app.engine import DEFAULT_VOLUME, MAX_VOLUME, MIN_VOLUME
from playground.bench import figures, report, special
from playground.bench.cases import CASES, Case, Way
from playground.bench.ground import Ground
from playground.bench.runs import Choices, Run, measure
from playground.bench.tools import NATIVE, OURS, Tool, find_tools
from playground.errors import ServerError
from playground.server import PrivateServer

_DEFAULT_ROUNDS = 5
_INTERRUPTED = 130
_WIDE = 140
_MIB = 1024 * 1024
# A base table, the table and its copy, and room for what is read besides.
_TABLES_IN_MEMORY = 3.5
_LEAST_POOL_BYTES = 256 * _MIB
_MOST_OF_MEMORY = 0.4
_LARGE_BYTES = 100 * _MIB


def main(arguments: list[str]) -> int:
    given = _options(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    cases = [CASES[letter].scaled(given.rows) if given.rows else CASES[letter]
             for letter in given.case]  # fmt: skip
    results = Results()
    # A file's lines are as long as the tables need.
    out = Console() if sys.stdout.isatty() else Console(width=_WIDE)
    try:
        _measure_all(given, cases, results, out)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if given.json:
            command = ["script/bench", *arguments]
            document = report.as_document(results.machine, command, results.cases)
            given.json.write_text(json.dumps(document, indent=1) + "\n")
    wrong = [run for _, runs in results.cases for run in runs if counts_as_wrong(run)]
    out.print()
    out.print("Every table was right." if not wrong else f"{len(wrong)} runs were not right.")
    return 1 if wrong else 0


@dataclasses.dataclass
class Results:
    """What was measured so far, and where: of a bench that was interrupted, too."""

    machine: dict[str, Any] = dataclasses.field(default_factory=dict)
    cases: list[tuple[Case, list[Run]]] = dataclasses.field(default_factory=list)


def counts_as_wrong(run: Run) -> bool:
    """A wrong row, whoever made it; or a run of ours or the server's that did not get through. A
    peer that gives up is told, and is not our failure."""
    if run.problems:
        return True
    return bool(run.failure) and (run.tool == NATIVE or run.tool.startswith(OURS))


def _measure_all(
    given: argparse.Namespace,
    cases: Sequence[Case],
    results: Results,
    out: Console,
) -> None:
    """Every case on one server."""
    tools, missing = find_tools()
    for text in missing:
        out.print(text, highlight=False)
    tools = [tool for tool in tools if not given.tools or tool.name in given.tools]
    with (
        tempfile.TemporaryDirectory(prefix="spirit-bench-") as folder,
        PrivateServer(options=server_options(cases) | dict(given.set)) as server,
        Ground(server, given.seed) as ground,
    ):
        results.machine = figures.machine(server)
        if warning := figures.how_busy(results.machine):
            out.print(warning, highlight=False)
        choices = Choices(given.volume, given.limit, pathlib.Path(folder), given.seed)
        for number, case in enumerate(cases):
            runs: list[Run] = []
            results.cases.append((case, runs))
            for run in measure_case(ground, case, tools, given.rounds, choices):
                runs.append(run)
                out.print(report.line(case, run), highlight=False, markup=False, soft_wrap=True)
            report.show(out, case, runs)
            _give_back(ground, case, cases[number + 1 :])


def measure_case(
    ground: Ground, case: Case, tools: Sequence[Tool], rounds: int, choices: Choices
) -> Iterator[Run]:
    """All runs of a case; in each round every tool has its turn. What only ours does is left out
    where it is not among the tools."""
    if case.way is not Way.WHOLE and OURS not in [tool.name for tool in tools]:
        return
    for rows in case.rows:
        for number in range(1, rounds + 1):
            if case.way is Way.CATCH_UP:
                yield special.measure_catch_up(ground, case, rows, number, choices)
            elif case.way is Way.CHECKSUM:
                yield from special.measure_checksums(ground, case, rows, number, choices)
            else:
                for tool in tools:
                    yield measure(ground, case, tool, rows, number, choices)


def _give_back(ground: Ground, case: Case, later: Sequence[Case]) -> None:
    """Drop the case's base tables that no later case needs."""
    ground.clear()
    needed = {(other.shape.name, rows) for other in later for rows in other.rows}
    for rows in case.rows:
        if (case.shape.name, rows) not in needed:
            ground.drop_base(case.shape, rows)


def server_options(cases: Sequence[Case]) -> dict[str, str | int | None]:
    """The server's default durability, and memory for the largest table."""
    largest = max(max(case.rows) * case.shape.row_bytes for case in cases)
    most = int(figures.memory_bytes() * _MOST_OF_MEMORY)
    pool = max(_LEAST_POOL_BYTES, min(most, int(largest * _TABLES_IN_MEMORY)))
    return {
        "innodb-buffer-pool-size": f"{pool // _MIB}M",
        "loose-innodb-redo-log-capacity": "1G" if largest > _LARGE_BYTES else "128M",
        "sync-binlog": 1,
        "innodb-flush-log-at-trx-commit": 1,
        # Twice the connections of the heaviest case, and a peer's.
        "max-connections": 200,
    }


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _options(arguments: list[str]) -> argparse.Namespace:
    letters = "; ".join(f"{case.letter}: {case.title}" for case in CASES.values())
    parser = argparse.ArgumentParser(
        prog="script/bench",
        description="How long a change takes, what it costs and what the application feels of it:"
        " ours beside the server's own ALTER and the peers that are installed. Exit code 0: every"
        " table was right; 1: one was not, or a run of ours or the server's failed.",
        epilog=f"Cases: {letters}.",
    )
    parser.add_argument(
        "--case", type=_cases, default=list(CASES), help="e.g. a,b,h (default: all)"
    )
    parser.add_argument(
        "--rows", type=_positive, help="of a case's largest table, instead of its own (never of h)"
    )
    parser.add_argument("--rounds", type=_positive, default=_DEFAULT_ROUNDS, help="default: 5")
    parser.add_argument(
        "--tools", type=_names, help=f"e.g. {NATIVE},{OURS} (default: all there are)"
    )
    parser.add_argument(
        "--json", type=pathlib.Path, metavar="FILE", help="every figure of every run"
    )
    parser.add_argument(
        "--volume", type=int, choices=range(MIN_VOLUME, MAX_VOLUME + 1), default=DEFAULT_VOLUME,
        metavar=f"{MIN_VOLUME}..{MAX_VOLUME}", help="how hard ours works (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=float, default=1800.0, metavar="SECONDS",
        help="give a run up after so long (default: %(default).0f)",
    )  # fmt: skip
    parser.add_argument(
        "--set", type=_setting, action="append", default=[], metavar="NAME=VALUE",
        help="a setting of the server, e.g. innodb-log-writer-threads=ON; may be given again",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=1, help="equal ones make equal tables")
    return parser.parse_args(arguments)


def _cases(text: str) -> list[str]:
    letters = list(dict.fromkeys(_names(text)))
    unknown = [letter for letter in letters if letter not in CASES]
    if unknown or not letters:
        raise argparse.ArgumentTypeError(f"{text!r}: the cases are {', '.join(CASES)}")
    return letters


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _positive(text: str) -> int:
    number = int(text) if text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return number


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
