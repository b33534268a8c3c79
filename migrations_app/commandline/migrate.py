"""``spirit migrate``: the engine alone, without requests, approvals or workers.

Exit codes: 0 done; 1 failed; 2 bad usage or refused by a check; 3 stopped with a checkpoint
(SIGINT, SIGTERM); 4 strict mode refused; 5 transient, run it again.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Protocol

from migrations_app.commandline.arguments import (
    add_defer_indexes,
    add_dsn,
    add_max_age,
    add_statement,
    add_strict,
    complain,
    dsn_of,
    positive,
    secs,
)
from migrations_app.engine import (
    DEFAULT_VOLUME,
    MAX_VOLUME,
    MIN_VOLUME,
    MOST_THREADS,
    DeferIndexes,
    Dsn,
    EngineError,
    Migration,
    Observer,
    Options,
    Outcome,
)


def add_to(commands: Any) -> None:
    """Add the subcommand to a parser's subcommands."""
    parser = commands.add_parser(
        "migrate",
        help="run one schema change until it is done",
        description="Run an ALTER TABLE (CREATE INDEX, DROP INDEX) online, or several with "
        "semicolons between them, which are swapped in together. Interrupt it with Ctrl-C: it "
        "writes a checkpoint, and the same command goes on from there.",
        epilog="Exit codes: 0 done; 1 failed; 2 bad usage or refused by a check; 3 stopped with a "
        "checkpoint; 4 strict mode refused; 5 transient, run it again.",
    )
    parser.set_defaults(run=run)
    add_dsn(parser)
    add_statement(parser)
    parser.add_argument(
        "--volume",
        type=_volume,
        default=DEFAULT_VOLUME,
        metavar=f"{MIN_VOLUME}..{MAX_VOLUME}",
        help="how hard to work: threads, chunk time and lock wait (default: %(default)s)",
    )
    parser.add_argument(
        "--threads",
        type=_threads,
        metavar=f"1..{MOST_THREADS}",
        help="copier threads, instead of the volume's; stays so",
    )
    parser.add_argument(
        "--autoscale", action=argparse.BooleanOptionalAction, default=True,
        help="let threads and the time of a chunk follow what the server says, within "
        "the volume's bounds (default: yes)",
    )  # fmt: skip
    parser.add_argument(
        "--target-chunk-time",
        type=secs,
        metavar="SECONDS",
        help="how long one chunk should take, instead of the volume's; stays so",
    )
    parser.add_argument(
        "--lock-wait-timeout",
        type=positive,
        metavar="SECONDS",
        help="how long the swap may wait for its lock",
    )
    _add_behaviour(parser)
    _add_checkpoints(parser)
    _add_limits(parser)
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout")


def _add_behaviour(parser: argparse.ArgumentParser) -> None:
    add_strict(parser)
    parser.add_argument(
        "--defer-cutover",
        action="store_true",
        help="copy and verify, then wait until the table _spirit_sentinel is dropped",
    )
    parser.add_argument("--skip-drop", action="store_true", help="keep the old table")
    add_defer_indexes(parser)


def _add_checkpoints(parser: argparse.ArgumentParser) -> None:
    add_max_age(parser)
    parser.add_argument(
        "--checkpoint-interval", type=secs, default=50.0, metavar="SECONDS",
        help="time between two checkpoints (default: 50)",
    )  # fmt: skip


def _add_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--replica-dsn", action="append", default=[], metavar="DSN",
        help="pause the copy while this replica lags; may be given more than once",
    )  # fmt: skip
    parser.add_argument(
        "--replica-max-lag", type=secs, default=120.0, metavar="SECONDS",
        help="the lag that pauses the copy (default: 120)",
    )  # fmt: skip
    parser.add_argument(
        "--max-load", action="append", default=[], type=_load, metavar="VARIABLE=N",
        help="pause the copy while a status variable is above N, e.g. Threads_running=50",
    )  # fmt: skip


def run(arguments: dict[str, Any]) -> int:
    try:
        dsn = dsn_of(arguments)
        options = _options(arguments)
    except EngineError as error:
        return complain(error)
    with contextlib.ExitStack() as stack:
        observer = _observer(stack, as_json=arguments["json"])
        stop = stack.enter_context(_stop_on_signals())
        # Events and the outcome say what happened; the log would say it twice.
        logging.getLogger("migrations_app.engine").setLevel(logging.ERROR)
        outcome = Migration(dsn, arguments["statement"], options, observer).run(stop)
    observer.ended(outcome)
    return outcome.exit_code


class _Ending(Observer, Protocol):
    def ended(self, outcome: Outcome) -> None: ...


def _observer(stack: contextlib.ExitStack, *, as_json: bool) -> _Ending:
    """Only what is asked for is loaded: programs wait for no progress bar."""
    if as_json:
        from migrations_app.jsonlines import JsonObserver  # noqa: PLC0415

        return JsonObserver()
    from migrations_app.terminal import BarObserver  # noqa: PLC0415

    return stack.enter_context(BarObserver())


def _options(arguments: dict[str, Any]) -> Options:
    for text in arguments["replica_dsn"]:
        Dsn.parse(text)
    return Options(
        volume=arguments["volume"],
        threads=arguments["threads"],
        target_chunk_time_secs=arguments["target_chunk_time"],
        lock_wait_timeout_secs=arguments["lock_wait_timeout"],
        strict=arguments["strict"],
        defer_cutover=arguments["defer_cutover"],
        checkpoint_max_age_secs=arguments["checkpoint_max_age"],
        checkpoint_interval_secs=arguments["checkpoint_interval"],
        replica_dsns=tuple(arguments["replica_dsn"]),
        replica_max_lag_secs=arguments["replica_max_lag"],
        max_load=tuple(arguments["max_load"]),
        defer_indexes=DeferIndexes(arguments["defer_indexes"]),
        autoscale=arguments["autoscale"],
        skip_drop=arguments["skip_drop"],
    )


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM ask the run to write a checkpoint and end."""
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _volume(text: str) -> int:
    number = positive(text)
    if not MIN_VOLUME <= number <= MAX_VOLUME:
        raise argparse.ArgumentTypeError(f"must be between {MIN_VOLUME} and {MAX_VOLUME}")
    return number


def _threads(text: str) -> int:
    number = positive(text)
    if number > MOST_THREADS:
        raise argparse.ArgumentTypeError(f"must be {MOST_THREADS} or less")
    return number


def _load(text: str) -> tuple[str, int]:
    name, separator, limit = text.partition("=")
    if not separator or not name.replace("_", "").isalnum() or not limit.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not like Threads_running=50")
    return name, int(limit)
