"""Arguments that several subcommands share, and how their texts are read."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from typing import Any

from migrations_app.engine import DeferIndexes, Dsn, EngineError, RefusedError, TransientError

DSN_VARIABLE = "SPIRIT_DSN"
REFUSED, TRANSIENT = 2, 5


def add_dsn(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dsn",
        default=os.environ.get(DSN_VARIABLE, ""),
        help="mysql://user:password@host:port/schema[?tls=disabled|preferred|required|verify-ca|"
        f"verify-identity&ca=FILE]. Other users of this machine can see a command line: "
        f"{DSN_VARIABLE} in the environment is read when this is left out.",
    )


def add_statement(parser: Any, *, required: bool = True) -> None:
    """parser: an argument parser, or a group of one."""
    keywords = {"required": True} if required else {}
    parser.add_argument("--statement", help='e.g. "ALTER TABLE t ADD COLUMN c INT"', **keywords)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def add_strict(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strict", action="store_true", help="refuse, rather than start afresh, when a checkpoint "
        "cannot be used",
    )  # fmt: skip


def add_max_age(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint-max-age", type=secs, default=7 * 24 * 3600.0, metavar="SECONDS",
        help="do not resume from an older checkpoint (default: 7 days)",
    )  # fmt: skip


def add_defer_indexes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--defer-indexes", choices=[choice.value for choice in DeferIndexes],
        default=DeferIndexes.AUTO.value,
        help="build secondary indexes after the copy (default: auto)",
    )  # fmt: skip


def dsn_of(arguments: Mapping[str, Any]) -> Dsn:
    """Raises RefusedError, in words for the person at the terminal."""
    if not arguments["dsn"]:
        raise RefusedError(
            f"No server was named. Set {DSN_VARIABLE} in the environment, or give --dsn: "
            f"mysql://user:password@host:3306/schema."
        )
    return Dsn.parse(arguments["dsn"])


def code_of(error: EngineError) -> int:
    """The exit code of an error that ended a look at the server."""
    return TRANSIENT if isinstance(error, TransientError) else REFUSED


def complain(error: EngineError) -> int:
    """Say an error on stderr; returns its exit code."""
    lines = error.reasons if isinstance(error, RefusedError) else [str(error)]
    for line in lines:
        sys.stderr.write(f"{line}\n")
    return code_of(error)


def positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def secs(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds") from None
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return number
