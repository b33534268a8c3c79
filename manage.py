#!/usr/bin/env python
"""The command line of the project."""

from __future__ import annotations

import os
import sys

# They need a MySQL server and nothing of the web application.
ENGINE_COMMANDS = ("migrate", "plan", "lint", "checkpoint")


def main() -> None:
    command = (sys.argv[2:3] or ["--help"])[0] if sys.argv[1:2] == ["spirit"] else ""
    if command in ENGINE_COMMANDS:
        from migrations_app.commandline import engine

        engine.main(sys.argv[2:])
    if command in ("--help", "-h"):
        # It lists the engine's commands too, for which no keys are needed.
        os.environ.setdefault("SPIRIT_ENGINE_ONLY", "on")
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spirit_admin.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
