"""``manage.py spirit``: engine and control plane at a terminal (``migrations_app.commandline``)."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from migrations_app.commandline import (
    checkpoint,
    control_orders,
    control_status,
    control_submit,
    lint,
    migrate,
    plan,
)


class Command(BaseCommand):
    help = "Change MySQL tables online: the engine alone, or requests of the control database."
    # The engine's subcommands need no control database; the others say when it is not there.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        for module in (
            migrate, plan, lint, checkpoint, control_submit, control_orders, control_status,
        ):  # fmt: skip
            module.add_to(commands)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with _sigterm_as_exit():
                code = options["run"](options)
        except KeyboardInterrupt:
            code = 128 + signal.SIGINT
        sys.exit(code)


@contextlib.contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """By SIGTERM, too, what was made for a moment is removed. A migration has a way of its own."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
