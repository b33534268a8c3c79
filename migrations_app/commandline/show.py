"""How results look to people: as wide as the terminal, 80 columns in a pipe, no boxes."""

from __future__ import annotations

import json
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.text import Text

from migrations_app.engine.lint import Finding, LintLevel

_STYLES = {
    LintLevel.REFUSE: "bold red",
    LintLevel.ACKNOWLEDGE: "bold yellow",
    LintLevel.WARN: "yellow",
    LintLevel.ADVISE: "cyan",
}
_COUNTED = {
    LintLevel.REFUSE: ("refusal", "refusals"),
    LintLevel.ACKNOWLEDGE: ("to acknowledge", "to acknowledge"),
    LintLevel.WARN: ("warning", "warnings"),
    LintLevel.ADVISE: ("piece of advice", "pieces of advice"),
}
_LABEL_CHARS = 15


def console() -> Console:
    """Writes to stdout; what it is given is never read as markup."""
    return Console(highlight=False, markup=False, emoji=False)


def write_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=2, default=str, ensure_ascii=False) + "\n")


def heading(out: Console, text: str, style: str = "bold") -> None:
    _wrapped(out, text, style=style)


def pairs(out: Console, rows: Iterable[tuple[str, str]]) -> None:
    """Labels and their texts, in two columns."""
    for label, text in rows:
        _wrapped(out, text, label, _LABEL_CHARS)


def findings(out: Console, found: list[Finding]) -> None:
    """Each finding: its level, its rule, what it says and what to do."""
    for finding in found:
        style = _STYLES[finding.level]
        out.print()
        out.print(Text.assemble((finding.level.upper(), style), "  ", (finding.rule, "bold")))
        _wrapped(out, finding.message, indent=2)
        if finding.remedy:
            _wrapped(out, finding.remedy, "→", 2, margin="  ")


def _wrapped(
    out: Console, text: str, label: str = "", indent: int = 0, *, margin: str = "", style: str = ""
) -> None:
    """A text as wide as the terminal, indented, behind a label; no spaces at the ends of lines."""
    width = max(20, out.width - len(margin) - indent)
    lines = textwrap.wrap(text, width, break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        before = label if number == 0 else ""
        parts = Text.assemble(margin, (before.ljust(indent), "dim"), (line, style))
        out.print(parts, soft_wrap=True)


def counts(found: list[Finding]) -> str:
    """``1 refusal, 2 warnings``, or ``nothing found``."""
    numbers = Counter(finding.level for finding in found)
    parts = [f"{numbers[level]} {_COUNTED[level][numbers[level] > 1]}" for level in _COUNTED
             if numbers[level]]  # fmt: skip
    return ", ".join(parts) or "nothing found"


def diff(out: Console, text: str) -> None:
    """A unified diff, one line each, never wrapped into another."""
    for line in text.splitlines():
        style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
        out.print(Text(line, style=style), soft_wrap=True)


def size_words(size: int) -> str:
    """Bytes as ``1.5 GiB``, ``12 MiB``, ``16 KiB``."""
    for unit, power in (("TiB", 4), ("GiB", 3), ("MiB", 2)):
        amount = size / 1024**power
        if amount >= 1:
            return f"{amount:.1f} {unit}" if amount < 10 else f"{amount:,.0f} {unit}"
    return f"{size / 1024:,.0f} KiB"


def secs_words(secs: float) -> str:
    """Seconds as ``2 days 3 h``, ``1 h 05 min``, ``3 min 20 s``, ``40 s``."""
    whole = round(secs)
    days, hours, minutes = whole // 86_400, whole % 86_400 // 3600, whole % 3600 // 60
    if days:
        return f"{days} {'day' if days == 1 else 'days'}" + (f" {hours} h" if hours else "")
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"
