"""How much a finding weighs, and what a person may choose about that."""

from __future__ import annotations

import enum


class LintLevel(enum.StrEnum):
    """From the heaviest to none. ``refuse``: it will not run; ``acknowledge``: it runs once a
    person has said that they mean it; ``warn``: likely a mistake; ``advise``: good to know."""

    REFUSE = "refuse"
    ACKNOWLEDGE = "acknowledge"
    WARN = "warn"
    ADVISE = "advise"
    OFF = "off"

    @property
    def weight(self) -> int:
        """0 for the heaviest: findings are sorted by it."""
        return list(LintLevel).index(self)
