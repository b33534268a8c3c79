"""Keeps a program on a leash: it ends when whoever started it does, even by ``kill -9``.

Run as a program by ``playground.stack``, and by nothing else::

    python tether.py GRACE_SECS COMMAND...

The end of standard input means that the owner is gone, or wants the program to end: the kernel
closes the pipe. Then COMMAND gets SIGTERM, and its whole process group SIGKILL if anything of it is
left after GRACE_SECS. Should the tether itself be killed, the kernel sends COMMAND the SIGTERM.
The exit code is COMMAND's own. Only the standard library, and nothing of this project.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
POLL_INTERVAL_SECS = 0.1


def main(arguments: list[str]) -> int:
    grace_secs, command = float(arguments[0]), arguments[1:]
    owner = os.getppid()
    libc = ctypes.CDLL(None, use_errno=True)

    def die_with_tether() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        # A group of its own: a terminal's Ctrl-C is for the owner, who then ends us in order.
        start_new_session=True,
        preexec_fn=die_with_tether,  # noqa: PLW1509 - we have no threads
        pass_fds=[int(name) for name in os.environ.get("TETHER_PASS_FDS", "").split()],
    )
    # From here on only the end of standard input counts: both signals are sent to whole groups.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while process.poll() is None and os.getppid() == owner:
        readable, _, _ = select.select([0], [], [], POLL_INTERVAL_SECS)
        if readable and not os.read(0, 1024):
            break
    return end(process, grace_secs)


def end(process: subprocess.Popen[bytes], grace_secs: float) -> int:
    """SIGTERM to the program alone, which tells its children; SIGKILL to all that stay."""
    if process.poll() is None:
        process.terminate()
    deadline = time.monotonic() + grace_secs
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_INTERVAL_SECS / 5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
