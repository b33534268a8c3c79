"""One attempt: the engine in a child process, what it says, and its end."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

from playground.server import CHECKOUT

_KEPT_LINES = 400
_MANY = ("progress", "checkpoint")
_TRACE_CHARS = 6_000


class Attempt:
    """A run of the engine. lines: its last JSON lines; phases: all it has entered; both grow while
    it lives. trace: the end of what it wrote to standard error, once closed."""

    def __init__(self, dsn: str, statement: str, options: Mapping[str, Any]) -> None:
        self.lines: list[dict[str, Any]] = []
        self.phases: list[str] = []
        self.trace = ""
        self.suspended = False
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by ``close``
        self._process = subprocess.Popen(
            [sys.executable, "-m", "playground.torture.engine_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=CHECKOUT,
            text=True,
        )
        assert self._process.stdin is not None
        given = {"dsn": dsn, "statement": statement, "options": dict(options)}
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                # A line may be cut off by a kill.
                said = json.loads(line)
                self.lines.append(said)
                if said["type"] == "phase":
                    self.phases.append(said["phase"])
                del self.lines[:-_KEPT_LINES]

    @property
    def lives(self) -> bool:
        return self._process.poll() is None

    def ask_to_stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self._process.kill()

    def suspend(self) -> None:
        """SIGSTOP: it stands still, with its connections open, until it is woken or closed."""
        self.suspended = True
        self._process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.suspended = False
        self._process.send_signal(signal.SIGCONT)

    def wait(self, timeout_secs: float) -> bool:
        """Whether it ends by itself in time."""
        try:
            self._process.wait(timeout_secs)
        except subprocess.TimeoutExpired:
            return False
        return True

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [said for said in self.lines if said.get("kind") == kind]

    def last_lines(self, count: int) -> list[dict[str, Any]]:
        """The last lines; of the readings and checkpoints, of which there are many, the last."""
        newest = {said["type"]: said for said in self.lines if said["type"] in _MANY}
        told = [
            said for said in self.lines if said["type"] not in _MANY or said is newest[said["type"]]
        ]
        return told[-count:]

    @property
    def message(self) -> str:
        """What the outcome said; "" when it was killed."""
        return next((s["message"] for s in reversed(self.lines) if s["type"] == "outcome"), "")

    def close(self) -> int:
        """End it if it still lives, and return its exit code (negative: the signal)."""
        if self.lives:
            self.kill()
        code = self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        if not self._errors.closed:
            self._errors.seek(0)
            self.trace = self._errors.read()[-_TRACE_CHARS:]
            self._errors.close()
        return code
