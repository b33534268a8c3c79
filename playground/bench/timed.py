"""A command under the stopwatch, the server's CPU, and the figures they give."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from playground.errors import ServerError
from playground.server import CHECKOUT

_STOPWATCH = pathlib.Path(__file__).with_name("stopwatch.py")
_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")
_TOLD_CHARS = 800
_START_SECS = 20.0
_END_SECS = 30.0


@dataclasses.dataclass(frozen=True)
class Usage:
    """What a program used in its life. peak_rss_bytes: None where there was no program; code: its
    exit code, negative for a signal; started_at: seconds since the epoch."""

    wall_secs: float
    user_secs: float = 0.0
    system_secs: float = 0.0
    peak_rss_bytes: int | None = None
    code: int = 0
    started_at: float = 0.0

    @property
    def cpu_secs(self) -> float:
        return self.user_secs + self.system_secs

    @property
    def ended_at(self) -> float:
        return self.started_at + self.wall_secs


class TimedProcess:
    """A program under the stopwatch; killed when the block is left before it has ended.

    lines: what it wrote to standard output; grows while it lives.
    """

    def __init__(
        self, command: Sequence[str | pathlib.Path], environment: Mapping[str, str] | None = None
    ) -> None:
        self.lines: list[str] = []
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by ``close``
        mine, its = os.pipe()
        self._report = os.fdopen(mine, "r")
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", _STOPWATCH, str(its), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                cwd=CHECKOUT,
                env={**os.environ, **(environment or {})},
                text=True,
                pass_fds=[its],
            )
        finally:
            os.close(its)
        self._reader = threading.Thread(target=self._read, name="bench-reader")
        self._reader.start()
        begun = self._next_report(_START_SECS)
        self._pid = int(begun["pid"]) if begun else 0
        self.started_at = float(begun["started_at"]) if begun else time.time()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def _next_report(self, timeout_secs: float) -> dict[str, Any] | None:
        """The stopwatch's next line; None when the time is over or it has died."""
        readable, _, _ = select.select([self._report], [], [], timeout_secs)
        line = self._report.readline() if readable else ""
        return json.loads(line) if line else None

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def ask_to_stop(self) -> None:
        """SIGTERM to the program."""
        self._signal(signal.SIGTERM)

    def wait(self, timeout_secs: float) -> Usage | None:
        """What it used; None when it had not ended in time, and was killed."""
        found = self._next_report(timeout_secs)
        if found is None:
            self._signal(signal.SIGKILL)
            return None
        return Usage(**found, started_at=self.started_at)

    def drain(self) -> None:
        """Once it has ended: return when all it wrote is in ``lines``."""
        self._reader.join(_END_SECS)

    def close(self) -> None:
        """Kill it if it still lives, and give everything back. Calling it twice is harmless."""
        if self.lives:
            # It ends by itself right after its report, and by that of the program's death.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.5)
        if self.lives:
            self._signal(signal.SIGKILL)
            try:
                self._process.wait(_END_SECS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._report.close()
        self._errors.close()

    def last_words(self) -> str:
        """The end of what it wrote, for a report of its failure; before ``close``."""
        self._errors.seek(0)
        said = self._errors.read().strip()[-_TOLD_CHARS:]
        return said or "\n".join(self.lines[-5:])[-_TOLD_CHARS:]

    def _signal(self, number: int) -> None:
        if self._pid and self.lives:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, number)


def server_cpu_secs(pid: int | None) -> float:
    """User and system CPU seconds a process has used so far. Raises ServerError without one."""
    if pid is None:
        raise ServerError("The server of the bench does not run.")
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    # The name before it, in parentheses, may hold spaces.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SEC
