"""The parent of a private mysqld: it makes sure that the server ends when its owner does.

Run as a program by ``playground.server``, and by nothing else::

    python guardian.py OWNER_PID FOLDER remove|keep LOG COMMAND...

It reads orders from standard input, one word a line, and answers each with one line:

- ``start``: runs COMMAND, its output appended to LOG. Answer: ``started PID``.
- ``stop``: SIGTERM, and SIGKILL after STOP_TIMEOUT_SECS. Answer: ``exited CODE``.
- ``kill``: SIGKILL. Answer: ``exited CODE``.

The end of standard input means that the owner is gone, even by ``kill -9``: the kernel closes the
pipe. A process the owner has forked may hold the pipe open, so a change of our parent counts too.
Then ``remove`` kills the server and removes FOLDER; ``keep`` stops it gently and leaves FOLDER.
Should the guardian itself be killed, the kernel ends the server (PR_SET_PDEATHSIG).

Only the standard library, and nothing of this project, so that it starts in a few milliseconds.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

# A server with a full buffer pool needs a while to flush it.
STOP_TIMEOUT_SECS = 60
# How soon a changed parent, or a server that died by itself, is noticed.
POLL_INTERVAL_SECS = 0.2
PR_SET_PDEATHSIG = 1


class Guardian:
    """One server, started and ended by its owner's orders."""

    def __init__(self, command: list[str], log_path: str) -> None:
        self.command = command
        self.log_path = log_path
        self.process: subprocess.Popen[bytes] | None = None
        # Loaded here: between fork and exec, in the child, is no place to load a library.
        self._libc = ctypes.CDLL(None, use_errno=True)

    def obey(self, order: str) -> str:
        """Carry out one order; the answer is the line for the owner."""
        if order == "start":
            return f"started {self.start()}"
        if order == "stop":
            return f"exited {self.end(signal.SIGTERM)}"
        if order == "kill":
            return f"exited {self.end(signal.SIGKILL)}"
        return f"unknown order {order!r}"

    def start(self) -> int:
        """Start the server unless it runs; return its process id."""
        if self.process is None or self.process.poll() is not None:
            with open(self.log_path, "ab") as log:
                self.process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    preexec_fn=self._die_with_parent,  # noqa: PLW1509 - we have no threads
                )
        return self.process.pid

    def end(self, how: signal.Signals) -> int:
        """Signal the server, wait for it and return its exit code; 0 when none was started."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(STOP_TIMEOUT_SECS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def reap(self) -> None:
        """Collect a server that ended by itself, so that its process id goes away."""
        if self.process is not None:
            self.process.poll()

    def _die_with_parent(self) -> None:
        self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def orders(owner_pid: int, guardian: Guardian) -> Iterator[str]:
    """Yield orders until standard input ends or our parent is no longer ``owner_pid``."""
    pending = b""
    while os.getppid() == owner_pid:
        guardian.reap()
        readable, _, _ = select.select([0], [], [], POLL_INTERVAL_SECS)
        if not readable:
            continue
        data = os.read(0, 4096)
        if not data:
            return
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            yield line.decode().strip()


def main(arguments: list[str]) -> int:
    owner_pid, folder, at_the_end, log_path, *command = arguments
    # A session of our own already keeps a terminal's Ctrl-C away; a signal sent to every process of
    # a tree must not pull the server from under its owner either. SIGTERM is for us: end, tidily.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    guardian = Guardian(command, log_path)
    try:
        for order in orders(int(owner_pid), guardian):
            os.write(1, f"{guardian.obey(order)}\n".encode())
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if at_the_end == "keep":
            guardian.end(signal.SIGTERM)
        else:
            guardian.end(signal.SIGKILL)
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _leave(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    # The owner may die between an order and its answer; then the answer has no reader.
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main(sys.argv[1:]))
