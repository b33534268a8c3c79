"""Who else writes to the server, and how long a chunk of the copy may take beside them.

A chunk is one transaction. When it is committed, all its rows are copied into the binary log at
once, and every other commit on the server waits for that: about a fifth of the time that the chunk
took (docs/benchmarks.md). So a long chunk is a stall for whoever writes; a short one costs the copy
next to nothing, but where the way to the server is long.
"""

from __future__ import annotations

import collections
import time
from collections.abc import Callable

from migrations_app.engine.abort import Abort
from migrations_app.engine.session import Session

SHARED_CHUNK_SECS = 0.1
# Fewer writes than that, between two looks or a second, are no application: monitoring writes a
# heartbeat a second, and a run that begins makes a few of its own.
_FEW_WRITES = 10
# Longer than the minute between two runs of a job: its next writes must not meet long chunks.
_ALONE_AFTER_SECS = 90.0
# Counters that need no privilege, and that our own statements (INSERT … SELECT, REPLACE … SELECT)
# do not touch. A DELETE of ours follows one of theirs.
_WRITES = (
    *("Com_insert", "Com_replace", "Com_load", "Com_update", "Com_update_multi"),
    *("Com_delete", "Com_delete_multi"),
)
_RUNNING = "SHOW GLOBAL STATUS LIKE 'Threads_running'"
# So many more sessions of others at work than twice the usual number are a queue. Usual is the
# least of a minute: a queue comes and goes, a busy day stays.
_QUEUE = 12
_USUAL_LOOKS = 60
_QUEUE_POLL_SECS = 0.01
_STATUS = (
    "SHOW GLOBAL STATUS WHERE Variable_name IN "
    f"('Threads_running', {', '.join(repr(name) for name in _WRITES)})"
)


class Others:
    """What was seen of them so far. Used by one thread.

    ours: how many sessions of this run are at work, but for the one that asks. are_writing: between
    the last two looks; true as long as nobody knows. running: sessions of others at work at the
    last look.
    """

    def __init__(self, ours: Callable[[], int]) -> None:
        self._ours = ours
        self._last: tuple[float, int] | None = None
        self._wrote_at = time.monotonic()
        self.writes_per_sec: float | None = None
        self.are_writing = True
        self.running = 0
        self._running: collections.deque[int] = collections.deque(maxlen=_USUAL_LOOKS)
        self._usual_running = 0

    def look(self, session: Session) -> None:
        """Count again; from the second look on ``writes_per_sec`` is known."""
        status = {str(name): int(value) for name, value in session.query(_STATUS)}
        writes = sum(status[name] for name in _WRITES)
        self.saw(time.monotonic(), writes, self._of_others(status["Threads_running"]))

    def _of_others(self, threads_running: int) -> int:
        return max(0, threads_running - self._ours() - 1)

    def saw(self, now: float, writes: int, running: int) -> None:
        """What others did, at a moment of a monotonic clock."""
        last, self._last = self._last, (now, writes)
        self.running = running
        self._running.append(running)
        self._usual_running = min(self._running)
        # Fewer than before: FLUSH STATUS, or another server process.
        if last is not None and writes >= last[1] and now > last[0]:
            made = writes - last[1]
            self.writes_per_sec = made / (now - last[0])
            self.are_writing = made >= _FEW_WRITES <= self.writes_per_sec
        if self.are_writing:
            self._wrote_at = now

    def let_pass(self, session: Session, most_secs: float, abort: Abort) -> float:
        """Wait until others do not queue, or ``most_secs``; returns the seconds. By any thread.

        A stall of a moment makes a queue of all that came meanwhile; beside a copy that goes on at
        full speed a server at its limit works it off too slowly.
        """
        waited_secs = 0.0
        if not self.are_writing:
            return waited_secs
        limit = 2 * self._usual_running + _QUEUE
        began = time.monotonic()
        while self._now(session) > limit and waited_secs < most_secs:
            abort.wait(_QUEUE_POLL_SECS)
            waited_secs = time.monotonic() - began
        return waited_secs

    def _now(self, session: Session) -> int:
        return self._of_others(int(session.query_one(_RUNNING)[1]))

    def chunk_time_secs(self, longest_secs: float) -> float:
        """How long a chunk should take that may take ``longest_secs`` on a server of its own."""
        if self._last is not None and self._last[0] - self._wrote_at >= _ALONE_AFTER_SECS:
            return longest_secs
        return min(longest_secs, SHARED_CHUNK_SECS)
