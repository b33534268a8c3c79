"""Choosing the levels of rules, and showing all rules."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from migrations_app.engine.errors import RefusedError
from migrations_app.engine.lint.levels import LintLevel
from migrations_app.engine.lint.rules import RULES

_BY_NAME = {rule.name: rule for rule in RULES}


def parse_levels(chosen: Mapping[str, str]) -> dict[str, LintLevel]:
    """Levels that a person has chosen, rule → level. Raises RefusedError naming all mistakes."""
    levels: dict[str, LintLevel] = {}
    problems = []
    for name, text in chosen.items():
        rule = _BY_NAME.get(name)
        if rule is None:
            close = difflib.get_close_matches(name, _BY_NAME, 1)
            hint = f"did you mean {close[0]}?" if close else "docs/lint.md lists them."
            problems.append(f"There is no rule {name!r}: {hint}")
        elif text not in list(LintLevel):
            problems.append(f"{text!r} is no level for {name}: use one of {', '.join(LintLevel)}.")
        elif rule.fixed and text != rule.level:
            problems.append(
                f"The level of {name} cannot be lowered: a run refuses such a change in any case."
            )
        else:
            levels[name] = LintLevel(text)
    if problems:
        raise RefusedError(problems)
    return levels


def as_markdown() -> str:
    """The rules as a table for docs/lint.md."""
    lines = ["| rule | level | what it is about |", "|---|---|---|"]
    lines += [
        f"| `{rule.name}` | {rule.level}{', fixed' if rule.fixed else ''} | {rule.description} |"
        for rule in RULES
    ]
    return "\n".join(lines) + "\n"
