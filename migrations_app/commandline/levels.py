"""The option ``--level`` of ``lint`` and ``plan``; apart, since ``migrate`` loads no rules."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from migrations_app.engine.lint import LintLevel, parse_levels


def add_levels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--level", action="append", default=[], type=_level, metavar="RULE=LEVEL",
        help=f"another level for a rule ({', '.join(LintLevel)}); may be given more than once. "
        "What a run would refuse in any case cannot be lowered.",
    )  # fmt: skip


def levels_of(arguments: Mapping[str, Any]) -> dict[str, LintLevel]:
    """The chosen levels. Raises RefusedError naming every mistake."""
    return parse_levels(dict(arguments["level"]))


def _level(text: str) -> tuple[str, str]:
    name, separator, level = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not like drop-column=warn")
    return name.strip(), level.strip()
