"""The demo's child processes: started on a tether, so that none outlives the demo."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

TETHER = pathlib.Path(__file__).with_name("tether.py")
TAIL_LINES = 25


class ChildError(Exception):
    """A child process ended although it should not have; the message ends with its log."""


class Child:
    """One program that runs until it is ended, and writes to a log file.

    grace_secs: how long it may take to end in order before it is killed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | pathlib.Path],
        *,
        environment: Mapping[str, str],
        folder: pathlib.Path,
        log: pathlib.Path,
        grace_secs: float,
        listener: socket.socket | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.grace_secs = grace_secs
        descriptors = (listener.fileno(),) if listener is not None else ()
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", TETHER, str(grace_secs), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                cwd=folder,
                env={**environment, "TETHER_PASS_FDS": " ".join(map(str, descriptors))},
                pass_fds=descriptors,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def check(self) -> None:
        """Raise ChildError when the program has ended by itself."""
        code = self._process.poll()
        if code is not None:
            raise ChildError(
                f"The {self.name} ended by itself (exit code {code}). The end of its log,"
                f" {self.log}:\n{self.log_tail()}"
            )

    def pids(self) -> list[int]:
        """Of the program and everything it has started; Linux only."""
        parents: dict[int, int] = {}
        for folder in pathlib.Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                parents[int(folder.name)] = int(fields[1])
        found = [self._process.pid]
        for pid in found:
            found += [child for child, parent in parents.items() if parent == pid]
        return found

    def ask_to_end(self) -> None:
        """Have it end, without waiting for that."""
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def end(self) -> None:
        """End it and wait. Calling it twice is harmless."""
        self.ask_to_end()
        # The tether kills what does not end in time, so this wait is bounded.
        self._process.wait()

    def log_tail(self) -> str:
        try:
            text = self.log.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-TAIL_LINES:])


def listen_locally(port: int = 0) -> socket.socket:
    """A listening socket on 127.0.0.1 to hand to a web server, so that its port cannot be lost."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(64)
    except OSError:
        listener.close()
        raise
    return listener
