"""The demo: Spirit Admin at work on a web shop, with everything it needs, on this machine alone.

``script/demo`` leaves it running for a person to click through; ``script/demo --once`` has the
migration done without a person and proves the result. Both end everything they started.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
import types
from collections.abc import Iterator

import MySQLdb
from rich.console import Console
from rich.table import Table

from playground.children import ChildError
from playground.control import TARGET_NAME
from playground.errors import ServerError
from playground.shop import DEFAULT_ORDERS
from playground.stack import Stack
from playground.story import STATEMENT, Result, Story, StoryError
from playground.visitor import PageError
from playground.writer import WriterReport
from playground.writersession import WriterError

ONCE_RATE = 500.0
# With a person who looks around, the application writes for an hour, gently.
STAY_RATE = 50.0
STAY_SECS = 3600.0
MOST_CHANGES = 300_000
ONCE_SECS = 1800.0
POLL_INTERVAL_SECS = 0.5
LINE_WIDTH = 120
# Below this share of the wished rate the report says that the machine was too busy.
KEPT_PACE = 0.9
# A median above this, likewise: no change makes every request wait.
BEHIND_MS = 1_000

FAILURES = (
    ChildError,
    MySQLdb.Error,
    OSError,
    PageError,
    ServerError,
    StoryError,
    TimeoutError,
    WriterError,
)


class EndedBySignal(BaseException):
    """SIGINT, SIGTERM or SIGHUP came: everything is ended on the way out."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Teller:
    """Says what happens, each line with the seconds since the beginning."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._began_at = time.monotonic()

    def say(self, text: str) -> None:
        secs = time.monotonic() - self._began_at
        first, *more = text.splitlines()
        self.console.print(f"[dim]{secs:5.1f} s[/dim]  {first}", highlight=False)
        for line in more:
            self.console.print(f"         [cyan]{line}[/cyan]", highlight=False)


def main(arguments: list[str]) -> int:
    given = _options(arguments)
    # In a file or a pipe there is no width to keep to.
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else LINE_WIDTH)
    teller = Teller(console)
    stack = Stack(
        orders=given.orders,
        rate=given.rate or (ONCE_RATE if given.once else STAY_RATE),
        max_secs=ONCE_SECS if given.once else STAY_SECS,
        max_changes=MOST_CHANGES,
        port=given.port,
        keep=given.keep,
        say=teller.say,
    )
    try:
        with _signals_as_exceptions(), stack:
            if given.once:
                _report(console, stack, Story(stack, teller.say).tell())
            else:
                _invite(console, stack)
                _stay(teller, stack)
    except EndedBySignal as ended:
        console.print("Everything is stopped.")
        return 0 if not given.once and ended.number == signal.SIGINT else 128 + ended.number
    except FAILURES as error:
        console.print(f"[bold red]The demo failed.[/bold red] {type(error).__name__}:")
        console.print(str(error), markup=False, highlight=False)
        return 1
    if given.keep:
        console.print(f"Kept: {stack.folder}")
    return 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/demo", description="Spirit Admin on a private MySQL with a web shop's data."
    )
    parser.add_argument("--once", action="store_true", help="without a person: prove it and end")
    parser.add_argument(
        "--orders",
        type=_at_least(1000),
        default=DEFAULT_ORDERS,
        help=f"orders in the shop (default {DEFAULT_ORDERS:,})",
    )
    parser.add_argument(
        "--rate",
        type=_at_least(1),
        help=f"rows the live application writes a second"
        f" (default {ONCE_RATE:g} with --once, else {STAY_RATE:g})",
    )
    parser.add_argument("--port", type=int, default=0, help="of the web server (default: free one)")
    parser.add_argument(
        "--keep", action="store_true", help="leave the databases and logs in var/demo at the end"
    )
    return parser.parse_args(arguments)


class _at_least:  # noqa: N801 - argparse shows the name of the type
    """An integer with a smallest value, as argparse wants a type."""

    def __init__(self, smallest: int) -> None:
        self.smallest = smallest

    def __call__(self, text: str) -> int:
        try:
            number = int(text.replace("_", "").replace(",", ""))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if number < self.smallest:
            raise argparse.ArgumentTypeError(f"{number} is less than {self.smallest}")
        return number


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """The first signal ends the demo in order; further ones do not disturb that."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number: int, frame: types.FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise EndedBySignal(number)

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stay(teller: Teller, stack: Stack) -> None:
    """Run until a signal comes, or a part of the demo ends by itself."""
    was_writing = True
    while True:
        try:
            stack.check()
        except WriterError as error:
            if was_writing:
                teller.say(f"The live application has ended: {error}")
            was_writing = False
        if was_writing and not stack.writer.is_writing:
            was_writing = False
            teller.say("The live application has reached its bound and writes no more.")
        time.sleep(POLL_INTERVAL_SECS)


def _invite(console: Console, stack: Stack) -> None:
    """Where to go, who to be, and what to click."""
    console.print(f"\n[bold]Spirit Admin runs at[/bold] [bold cyan]{stack.address}[/bold cyan]\n")
    people = Table(box=None, pad_edge=False, padding=(0, 3))
    for heading in ("user", "password", "may"):
        people.add_column(heading, header_style="dim")
    for role, may in (
        ("requester", "submit changes"),
        ("approver", "approve or reject them"),
        ("operator", "start, stop, set the volume, cut over; add targets"),
    ):
        account = stack.accounts[role]
        people.add_row(account.name, f"[bold]{account.password}[/bold]", may)
    console.print(people)
    console.print("\n[bold]What to click[/bold] (a private window for each user is the easiest)")
    steps = [
        f"As requester: “Submit a change”, target “{TARGET_NAME}”, and this statement:",
        "As approver: open the request, “Approve”.",
        "As operator: “Start”. Watch it copy; “Stop” it halfway, “Start” it again: it resumes.",
        "Try the volume, or [bold]kill -9[/bold] a process of the worker: it finds its way back.",
    ]
    for number, step in enumerate(steps, 1):
        console.print(f"  {number}. {step}", highlight=False)
        if number == 1:
            for line in STATEMENT.splitlines():
                console.print(f"       [cyan]{line}[/cyan]", highlight=False)
    console.print(
        f"\nMeanwhile a live application writes {stack.rate:g} rows a second to orders"
        f" ({stack.orders:,} rows)."
        f"\n[dim]MySQL, to look at: {stack.server.root_dsn('shop')}[/dim]"
        "\nCtrl-C ends everything.\n",
        highlight=False,
    )


def _report(console: Console, stack: Stack, result: Result) -> None:
    """The proof, on one screen."""
    compared, writer = result.comparison, result.writer
    resumed = result.resumed
    kinds = ", ".join(f"{count:,} {kind}s" for kind, count in sorted(writer.by_kind.items()))
    retried = sum(writer.retries.values())
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    rows = [
        ("Rows in orders", f"{compared.rows:,}"),
        ("Time", f"{result.secs:.1f} s from the first start to the swap, with a stop on the way"),
        (
            "Resumed from",
            f"checkpoint {resumed.get('checkpoint_id')} at {resumed.get('position')}",
        ),
        (
            "Not copied again",
            f"{resumed.get('rows_copied', 0):,} rows that were copied before the stop",
        ),
        ("Written meanwhile", f"{_pace(stack, writer)}: {kinds}"),
        ("The application waited", _waited(writer)),
        ("Errors it saw", f"{retried} (each tried again)" if retried else "0"),
        (
            "Compared",
            f"{compared.touched:,} keys with the application's ledger, the rest with the old table",
        ),
        ("Differences", f"[bold green]{len(compared.differences)}[/bold green]"),
    ]
    if result.stall_secs is not None:
        rows.insert(5, ("Cut-over", f"orders was locked for {result.stall_secs * 1000:.0f} ms"))
    for name, text in rows:
        table.add_row(name, text)
    console.print()
    console.print(table)
    console.print()


def _waited(writer: WriterReport) -> str:
    told = f"{writer.latency}"
    if writer.latency.p50_ms < BEHIND_MS:
        return told
    return f"{told} (this machine was too busy to keep up: each counts from when it was due)"


def _pace(stack: Stack, writer: WriterReport) -> str:
    """How much the application wrote, and whether the machine let it write as much as it wished."""
    pace = writer.writes / max(writer.secs, 0.001)
    told = f"{writer.writes:,} rows in {writer.secs:.0f} s"
    if pace >= KEPT_PACE * stack.rate:
        return told
    return (
        f"{told} (this machine was too busy for {stack.rate:g} a second: it waited, and"
        f" wrote {pace:.0f})"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
