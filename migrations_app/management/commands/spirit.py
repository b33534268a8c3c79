"""``manage.py spirit``: engine and control plane at a terminal (``migrations_app.commandline``)."""

from __future__ import annotations

import sys
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
    running,
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
        sys.exit(running.exit_code_of(options))
