"""The engine's subcommands without the web application.

To set up Django with all that the pages need takes a second and half of the memory, for commands
that use nothing of it. What they do share with the application is here: ``.env``, the logging, the
time zone.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import NoReturn

from migrations_app.commandline import running

COMMANDS = ("migrate", "plan", "lint", "checkpoint")
_DOT_ENV = pathlib.Path(__file__).resolve().parents[2] / ".env"


def main(words: Sequence[str]) -> NoReturn:
    """Run ``spirit`` with these words, of which the first is one of COMMANDS; ends the process."""
    _read_settings()
    _begin_log()
    parser = argparse.ArgumentParser(prog="manage.py spirit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    importlib.import_module(f"migrations_app.commandline.{words[0]}").add_to(commands)
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        parser.error("an argument has bytes that are no UTF-8")
    options = vars(parser.parse_args(words))
    try:
        code = running.exit_code_of(options)
    except SystemExit as asked:
        if not isinstance(asked.code, int):
            raise
        code = asked.code
    running.leave(code)


def _read_settings() -> None:
    if _DOT_ENV.exists():
        # Only then: it takes a while to load.
        environ = importlib.import_module("environ")
        environ.Env.read_env(_DOT_ENV)
    os.environ["TZ"] = os.environ.get("TIME_ZONE", "UTC")
    time.tzset()


def _begin_log() -> None:
    level = os.environ.get("LOG_LEVEL", "INFO")
    if level not in logging.getLevelNamesMapping():
        sys.exit(f"LOG_LEVEL is {level!r}, which is none of logging's levels.")
    logging.basicConfig(level=level, format="{asctime} {levelname} {name}: {message}", style="{")
