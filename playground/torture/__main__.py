"""``script/torture``: rounds until the time is up, a report, and 0 or 1."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from types import FrameType

from playground.errors import ServerError
from playground.server import PrivateServer
from playground.torture import report
from playground.torture.plan import choose
from playground.torture.rounds import run_round

_DEFAULT_MINUTES = 10.0
_SERVER_OPTIONS = {"innodb-buffer-pool-size": "256M"}
_INTERRUPTED = 130


def main(arguments: list[str]) -> int:
    given = _options(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    seed = int(time.time()) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    summary = report.Summary()
    interrupted = False
    try:
        _rounds(seed, given, summary)
    except KeyboardInterrupt:
        interrupted = True
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    print(summary.as_json() if given.json else summary.text(), flush=True)
    if summary.failed_seeds:
        return 1
    return _INTERRUPTED if interrupted else 0


def _rounds(seed: int, given: argparse.Namespace, summary: report.Summary) -> None:
    """One server of each kind lives through all rounds."""
    ends_at = time.monotonic() + given.minutes * 60
    with (
        PrivateServer(options=_SERVER_OPTIONS) as with_gtid,
        PrivateServer(gtid=False, options=_SERVER_OPTIONS) as without_gtid,
    ):
        number = 0
        while number < given.rounds if given.rounds else time.monotonic() < ends_at:
            plan = choose(seed + number)
            number += 1
            if given.show:
                print("\n".join(plan.lines()), flush=True)
            result = run_round(plan, with_gtid if plan.gtid else without_gtid)
            summary.add(result)
            print(report.line(number, result), flush=True)
            if given.show:
                print("\n".join(result.history), flush=True)
            if result.failure:
                print(report.failure(result), flush=True)
                if given.fail_fast:
                    return


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/torture",
        description="Random tables, changes, writers and faults, until a row is lost."
        " Exit code 0: every row was right; 1: a round failed.",
    )
    parser.add_argument("--minutes", type=float, default=_DEFAULT_MINUTES, help="default: 10")
    parser.add_argument("--rounds", type=int, default=0, help="so many rounds, whatever the time")
    parser.add_argument("--seed", type=int, help="the first round's; each next round's is one more")
    parser.add_argument("--fail-fast", action="store_true", help="end with the first failed round")
    parser.add_argument("--show", action="store_true", help="tell every round's choices and story")
    parser.add_argument("--json", action="store_true", help="the summary as one JSON line")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
