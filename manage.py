#!/usr/bin/env python
"""The command line of the project."""

from __future__ import annotations

import os
import sys


def main() -> None:
    from migrations_app.commandline import alone

    words = sys.argv[2:] or ["--help"]
    if sys.argv[1:2] == ["spirit"] and words[0] in alone.COMMANDS:
        # They need a MySQL server and nothing of the web application: not even Django.
        alone.main(words)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "spirit_admin.settings")
    if sys.argv[1:2] == ["spirit"] and words[0] in ("--help", "-h"):
        # No keys are needed to show it.
        os.environ.setdefault("SPIRIT_ENGINE_ONLY", "on")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
