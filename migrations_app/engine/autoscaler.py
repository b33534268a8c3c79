"""How many threads copy: begun with the volume's number, moved within its bounds by trial.

Nobody can tell from outside how many threads a server has room for, so that one more, or one less,
is tried and judged by what came of it: a step that brought nothing is taken back, and not tried
again soon. More are tried while the server is calm; fewer while the application's statements take
much longer than they used to, or changed keys pile up.
"""

from __future__ import annotations

import dataclasses
import enum

# One more thread is worth its load on the server when at least so much more is copied.
_WORTH_KEEPING = 1.1
# Fewer threads are kept when the application's statements take so much less time.
_WORTH_YIELDING = 0.8
# How much longer the application's writes may take before fewer threads are tried, and before no
# more are. Connections that wait for one another hide most of what their users feel.
_SLOWED, _SLOWED_SECS = 4.0, 0.005
_CALM, _CALM_SECS = 2.0, 0.001
_CROWDED = 1.5
# Others that queue already, for so much of the copy's time, have no room for more of it.
_QUEUED = 0.02
# A single calm interval may be luck; what a step costs the application is not.
_CALM_READINGS = 2
_FIRST_PAUSE_SECS = 60.0
_LONGEST_PAUSE_SECS = 900.0


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What was seen in one interval.

    at: when it ended (seconds of a monotonic clock); rows_per_sec: copied; chunks: finished;
    statement_secs: how long the application's writes took on average, None where there were too
    few; others_running: sessions at work that are not the copy's, on average; waited_share: of the
    copy's time, in which it let others pass that queued; deltas_waiting: changed keys that are not
    applied.
    """

    at: float
    rows_per_sec: float
    chunks: int
    statement_secs: float | None
    others_running: float
    waited_share: float
    deltas_waiting: int


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """A decision: so many threads from now on, and why, for people."""

    threads: int
    why: str


class Direction(enum.Enum):
    MORE = "more"
    FEWER = "fewer"


@dataclasses.dataclass(frozen=True, slots=True)
class _Trial:
    direction: Direction
    threads_before: int
    before: Reading


class _Pause:
    """How long a direction is left alone; longer after each trial that brought nothing."""

    def __init__(self) -> None:
        self._secs = _FIRST_PAUSE_SECS
        self._until = 0.0

    def failed(self, now: float) -> None:
        self._until = now + self._secs
        self._secs = min(_LONGEST_PAUSE_SECS, 2 * self._secs)

    def succeeded(self) -> None:
        self._secs = _FIRST_PAUSE_SECS

    def is_over(self, now: float) -> bool:
        return now >= self._until


class Autoscaler:
    """Decides after each interval; asks nobody, and changes nothing by itself.

    lowest, highest, threads: the bounds, and how many copy now; max_keys: how many changed keys
    may be held in memory; calm_secs: how long the application's writes take when no one copies,
    None where it is not known: then the least that was seen.
    """

    def __init__(
        self, lowest: int, highest: int, threads: int, max_keys: int, calm_secs: float | None
    ) -> None:
        self._lowest, self._highest = lowest, highest
        self.threads = threads
        self._max_keys = max_keys
        self._calm_secs = calm_secs
        self._trial: _Trial | None = None
        self._calm_readings = 0
        self._pauses = {direction: _Pause() for direction in Direction}

    def decide(self, reading: Reading) -> Step | None:
        """What follows from an interval in which the present number of threads copied."""
        if self._calm_secs is None:
            self._calm_secs = reading.statement_secs
        elif reading.statement_secs is not None:
            self._calm_secs = min(self._calm_secs, reading.statement_secs)
        self._calm_readings = self._calm_readings + 1 if self._is_calm(reading) else 0
        if (trial := self._trial) is not None:
            self._trial = None
            if fault := self._fault_of(trial, reading):
                self._pauses[trial.direction].failed(reading.at)
                return self._step(trial.threads_before, fault)
            self._pauses[trial.direction].succeeded()
        pressure = self._pressure(reading)
        if pressure:
            if self.threads > self._lowest and self._pauses[Direction.FEWER].is_over(reading.at):
                return self._try(Direction.FEWER, self.threads - 1, pressure, reading)
        elif (
            self._calm_readings >= (_CALM_READINGS if reading.statement_secs is not None else 1)
            and self.threads < self._highest
            and self._pauses[Direction.MORE].is_over(reading.at)
            # With fewer the rate says nothing.
            and reading.chunks >= 2 * self.threads
        ):
            wanted = min(self._highest, self.threads + max(1, self.threads // 4))
            return self._try(Direction.MORE, wanted, "to see whether it is faster", reading)
        return None

    def forget(self) -> None:
        """An interval of which nothing is known, or in which the copy was paused: what is being
        tried cannot be judged."""
        self._trial = None
        self._calm_readings = 0

    def _try(self, direction: Direction, threads: int, why: str, reading: Reading) -> Step:
        self._trial = _Trial(direction, self.threads, reading)
        return self._step(threads, why)

    def _step(self, threads: int, why: str) -> Step:
        self.threads = threads
        return Step(threads, why)

    def _pressure(self, reading: Reading) -> str:
        """What speaks for fewer threads, in words."""
        if reading.deltas_waiting > self._max_keys // 4:
            return f"{reading.deltas_waiting:,} changed keys wait to be applied"
        secs, calm_secs = reading.statement_secs, self._calm_secs
        if secs is None or calm_secs is None:
            return ""
        if secs <= max(_SLOWED * calm_secs, calm_secs + _SLOWED_SECS):
            return ""
        return (
            f"the application's writes take {1000 * secs:.1f} ms on average, "
            f"{1000 * calm_secs:.1f} ms when the server is calm"
        )

    def _is_calm(self, reading: Reading) -> bool:
        if reading.waited_share > _QUEUED:
            return False
        secs, calm_secs = reading.statement_secs, self._calm_secs
        if secs is None or calm_secs is None:
            return True
        return secs <= max(_CALM * calm_secs, calm_secs + _CALM_SECS)

    def _fault_of(self, trial: _Trial, reading: Reading) -> str:
        """Why a trial is taken back; "" where it was good."""
        before = trial.before
        if trial.direction is Direction.MORE:
            if pressure := self._pressure(reading):
                return pressure
            if reading.waited_share > _QUEUED:
                return f"others queued for {reading.waited_share:.0%} of the time"
            if not self._is_calm(reading):
                assert reading.statement_secs is not None
                return (
                    f"the application's writes take {1000 * reading.statement_secs:.1f} ms on "
                    f"average, longer than usual"
                )
            if reading.others_running > _CROWDED * before.others_running + 2:
                return (
                    f"{reading.others_running:.0f} sessions of others are at work, "
                    f"{before.others_running:.0f} before"
                )
            if reading.rows_per_sec < _WORTH_KEEPING * before.rows_per_sec:
                return (
                    f"it was not faster ({reading.rows_per_sec:,.0f} rows/s, "
                    f"{before.rows_per_sec:,.0f} before)"
                )
            return ""
        if reading.deltas_waiting > self._max_keys // 4:
            # The applier has more room, whatever the application feels.
            return ""
        if reading.statement_secs is None or before.statement_secs is None:
            return ""
        if reading.statement_secs > _WORTH_YIELDING * before.statement_secs:
            return (
                f"fewer threads did not help the application (its writes take "
                f"{1000 * reading.statement_secs:.1f} ms, {1000 * before.statement_secs:.1f} ms "
                f"before)"
            )
        return ""
