"""The engine's subcommands of ``manage.py spirit``, without Django.

They need a MySQL server and nothing of the web application: neither its keys nor a database of its
own. To load the application takes longer than to change a small table, and half of the memory.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import pathlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

import environ

from migrations_app.commandline import checkpoint, lint, migrate, plan

_MODULES = (migrate, plan, lint, checkpoint)
_ENV_FILE = pathlib.Path(__file__).resolve().parents[2] / ".env"


def main(arguments: list[str]) -> NoReturn:
    """Run a subcommand and end the process with its exit code."""
    environ.Env.read_env(_ENV_FILE)
    logging.basicConfig(
        level=os.environ.get("LOG_LEVEL", "INFO"),
        format="{asctime} {levelname} {name}: {message}",
        style="{",
    )
    try:
        code = run(arguments)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    _end(code)


def run(arguments: list[str]) -> int:
    """Run a subcommand; returns its exit code. Raises SystemExit for bad usage."""
    parser = argparse.ArgumentParser(prog="manage.py spirit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in _MODULES:
        module.add_to(commands)
    options = vars(parser.parse_args(arguments))
    with sigterm_as_exit():
        code: int = options["run"](options)
    return code


@contextlib.contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """By SIGTERM, too, what was made for a moment is removed. A migration has a way of its own."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(code: int) -> NoReturn:
    """End at once: a run has closed all it had, and to take the interpreter down in order takes
    longer than to swap two tables."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # whoever read it is gone
            code = code or 1
    os._exit(code)
