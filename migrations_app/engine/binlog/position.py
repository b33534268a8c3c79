"""A place in the binary log."""

from __future__ import annotations

import dataclasses
import functools
import re

_NUMBER = re.compile(r"(\d+)$")


@functools.lru_cache(maxsize=64)
def file_number(file: str) -> int:
    """The number at the end of a binary log file's name; 0 if there is none.

    Numbers, not names, give the order: ``binlog.1000000`` comes after ``binlog.999999``.
    """
    match = _NUMBER.search(file)
    return int(match.group()) if match else 0


@dataclasses.dataclass(frozen=True, slots=True)
class Position:
    """Right behind a transaction (or between two): where reading can begin.

    file, offset: a binary log file and a byte offset in it. gtid_set: every transaction before
    this place, and those the server already had; "" when GTIDs are off.
    """

    file: str
    offset: int
    gtid_set: str = ""

    def reached(self, file: str, offset: int) -> bool:
        """Whether this position is at or behind the given place."""
        if self.file == file:
            return self.offset >= offset
        return (file_number(self.file), self.offset) >= (file_number(file), offset)

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"
