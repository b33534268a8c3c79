"""How long an application waited: latencies measured from the moment a statement was due.

Measured from when it was sent, a stall would count once, however many requests piled up behind it.
"""

from __future__ import annotations

import array
import dataclasses
import math
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class LatencySummary:
    """Percentiles; ``slowest_at_secs``: when the slowest was due, from the start."""

    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    slowest_at_secs: float

    def __str__(self) -> str:
        return (
            f"p50 {self.p50_ms:.1f} ms, p95 {self.p95_ms:.1f} ms, p99 {self.p99_ms:.1f} ms,"
            f" max {self.max_ms:.0f} ms"
        )


class Latencies:
    """One thread's: when each was due (seconds from the start) and how long it took."""

    def __init__(self) -> None:
        self.due_secs = array.array("d")
        self.taken_secs = array.array("d")

    def add(self, due_secs: float, taken_secs: float) -> None:
        self.due_secs.append(due_secs)
        self.taken_secs.append(taken_secs)


def summary(
    measured: Iterable[Latencies], *, since_secs: float = 0.0, until_secs: float = math.inf
) -> LatencySummary:
    """Percentiles over several threads, of what was due within a span of time."""
    pairs = [
        (taken, due)
        for one in measured
        for due, taken in zip(one.due_secs, one.taken_secs, strict=False)
        if since_secs <= due < until_secs
    ]
    if not pairs:
        return LatencySummary(0, 0.0, 0.0, 0.0, 0.0, 0.0)
    pairs.sort()

    def at(share: float) -> float:
        return pairs[min(len(pairs) - 1, int(share * len(pairs)))][0] * 1000

    slowest_secs, slowest_at_secs = pairs[-1]
    return LatencySummary(
        len(pairs), at(0.5), at(0.95), at(0.99), slowest_secs * 1000, slowest_at_secs
    )
