"""Who else writes to the server, and how long a chunk of the copy may take beside them.

A chunk is one transaction. When it is committed, all its rows are copied into the binary log at
once, and every other commit on the server waits for that: about a fifth of the time that the chunk
took (docs/benchmarks.md). So a long chunk is a stall for whoever writes; a short one costs the copy
next to nothing, but where the way to the server is long.
"""

from __future__ import annotations

import time

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
# So many more sessions at work than twice the usual number are a queue.
_QUEUE = 8
_QUEUE_POLL_SECS = 0.01
_STATUS = (
    "SHOW GLOBAL STATUS WHERE Variable_name IN "
    f"('Threads_running', {', '.join(repr(name) for name in _WRITES)})"
)


class Others:
    """What was seen of them so far. Used by one thread.

    are_writing: between the last two looks; true as long as nobody knows. threads_running: sessions
    at work at the last look, ours included.
    """

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        self._wrote_at = time.monotonic()
        self.writes_per_sec: float | None = None
        self.are_writing = True
        self.threads_running = 0
        self._calm_running = 0

    def look(self, session: Session) -> None:
        """Count again; from the second look on ``writes_per_sec`` is known."""
        status = {str(name): int(value) for name, value in session.query(_STATUS)}
        self.saw(time.monotonic(), sum(status[name] for name in _WRITES), status["Threads_running"])

    def saw(self, now: float, writes: int, threads_running: int) -> None:
        """The server's counters at a moment of a monotonic clock."""
        last, self._last = self._last, (now, writes)
        self.threads_running = threads_running
        calm = self._calm_running or threads_running
        self._calm_running = min(calm, threads_running)
        # Fewer than before: FLUSH STATUS, or another server process.
        if last is not None and writes >= last[1] and now > last[0]:
            made = writes - last[1]
            self.writes_per_sec = made / (now - last[0])
            self.are_writing = made >= _FEW_WRITES <= self.writes_per_sec
        if self.are_writing:
            self._wrote_at = now

    def let_pass(self, session: Session, ours: int, most_secs: float, abort: Abort) -> None:
        """Return when others do not queue, or after ``most_secs``. By any thread.

        A stall of a moment makes a queue of all that came meanwhile; beside a copy that goes on at
        full speed a server at its limit works it off too slowly. ours: sessions of this run at
        work.
        """
        if not self.are_writing:
            return
        limit = ours + 2 * self._calm_running + _QUEUE
        deadline = time.monotonic() + most_secs
        while int(session.query_one(_RUNNING)[1]) > limit and time.monotonic() < deadline:
            abort.wait(_QUEUE_POLL_SECS)

    def chunk_time_secs(self, longest_secs: float) -> float:
        """How long a chunk should take that may take ``longest_secs`` on a server of its own."""
        if self._last is not None and self._last[0] - self._wrote_at >= _ALONE_AFTER_SECS:
            return longest_secs
        return min(longest_secs, SHARED_CHUNK_SECS)
