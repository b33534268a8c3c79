"""Turning counters into what people want to know: how fast, how far, how long still."""

from __future__ import annotations

import collections
import time

_OVER_SECS = 15.0
# A rate of the first moments says nothing about the rest.
_ESTIMATE_AFTER_SECS = 3.0


class Meter:
    """The rate of a growing counter over the last seconds. Used by one thread."""

    def __init__(self) -> None:
        self._readings: collections.deque[tuple[float, int]] = collections.deque()

    def restart(self) -> None:
        self._readings.clear()

    def read(self, count: int, now: float | None = None) -> float:
        """Note the counter; returns its growth per second."""
        now = time.monotonic() if now is None else now
        self._readings.append((now, count))
        while len(self._readings) > 2 and now - self._readings[1][0] > _OVER_SECS:
            self._readings.popleft()
        first_at, first = self._readings[0]
        return (count - first) / (now - first_at) if now > first_at else 0.0

    def eta_secs(self, rate: float, left: int) -> float | None:
        """Seconds until ``left`` more are counted, None while that cannot be told."""
        if left <= 0:
            return 0.0
        if len(self._readings) < 2 or rate <= 0:
            return None
        if self._readings[-1][0] - self._readings[0][0] < _ESTIMATE_AFTER_SECS:
            return None
        return left / rate


def fraction(done: int, total: int) -> float:
    """0.0 to 1.0; the total is an estimate and may be passed."""
    if total <= 0:
        return 0.0
    return min(1.0, done / total)
