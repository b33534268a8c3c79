"""Runs one command and says what it used: time, CPU and memory of its whole life.

Run as a program by ``timed``, and by nothing else::

    python stopwatch.py DESCRIPTOR COMMAND...

Two JSON lines go to the file descriptor: ``{"pid", "started_at"}`` (seconds since the epoch) when
COMMAND runs, and ``{"wall_secs", "user_secs", "system_secs", "peak_rss_bytes", "code"}`` when it
has ended. A process of its own, and a small one: until a child executes its program, Linux counts
its parent's memory as the child's peak. COMMAND is killed when the stopwatch dies, and the
stopwatch when its owner does. Only the standard library, and nothing of this project.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    report = int(arguments[0])
    libc = ctypes.CDLL(None, use_errno=True)

    def die_with_parent() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

    die_with_parent()
    started_at, began = time.time(), time.monotonic()
    process = subprocess.Popen(
        arguments[1:],
        stdin=subprocess.DEVNULL,
        # A terminal's Ctrl-C is for the owner, who then ends us.
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - we have no threads
    )
    _say(report, {"pid": process.pid, "started_at": started_at})
    _, status, used = os.wait4(process.pid, 0)
    _say(
        report,
        {
            "wall_secs": time.monotonic() - began,
            "user_secs": used.ru_utime,
            "system_secs": used.ru_stime,
            "peak_rss_bytes": used.ru_maxrss * 1024,
            "code": os.waitstatus_to_exitcode(status),
        },
    )
    return 0


def _say(report: int, data: dict[str, float]) -> None:
    os.write(report, (json.dumps(data) + "\n").encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
