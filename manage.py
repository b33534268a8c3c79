#!/usr/bin/env python
"""The command line of the project."""

from __future__ import annotations

import os
import sys

# They need a MySQL server and nothing of the web application: no keys, no database of its own.
ENGINE_COMMANDS = ("migrate", "plan", "lint", "checkpoint")


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spirit_admin.settings")
    if sys.argv[1:2] == ["spirit"] and (sys.argv[2:3] or ["--help"])[0] in (
        *ENGINE_COMMANDS,
        "--help",
        "-h",
    ):
        os.environ.setdefault("SPIRIT_ENGINE_ONLY", "on")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
