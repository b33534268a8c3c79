"""What a checkpoint says, for people: its bounds in words instead of a watermark's JSON."""

from __future__ import annotations

import json
from typing import Any


def bounds(watermark: str) -> str:
    """A copier watermark as a sentence: ``every row with id below 1,001``.

    Returns "" when there is none yet and the text itself when it cannot be read, so that nothing
    a checkpoint holds is ever hidden.
    """
    if not watermark:
        return ""
    try:
        document = json.loads(watermark)
        columns, upper = document["Key"], document["UpperBound"]
        values = [_value(value) for value in upper["Value"]]
        word = "up to" if upper.get("Inclusive") else "below"
    except (ValueError, KeyError, TypeError):
        return watermark
    if len(columns) == 1:
        return f"every row with {columns[0]} {word} {values[0]}"
    return f"every row with ({', '.join(columns)}) {word} ({', '.join(values)})"


def _value(value: Any) -> str:
    """A key's value: whole numbers are grouped, everything else is shown as it is."""
    text = str(value)
    return f"{int(text):,}" if text.lstrip("-").isdigit() else text
