"""Whole numbers as they come in addresses and forms."""

from __future__ import annotations

# Every such number can be stored, and be read by int(), which refuses endless ones.
_MOST_DIGITS = 18


def whole_number(text: str) -> int | None:
    """The number that a text is, and None when it is none that could be meant."""
    is_one = text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS
    return int(text) if is_one else None
