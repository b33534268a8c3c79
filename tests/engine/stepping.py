"""Holding parts of the engine still, so that a race happens when a test wants it to.

Nothing is replaced: a part waits at a gate before it does what it always does.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest

from migrations_app.engine.abort import Abort
from migrations_app.engine.applier import Applier
from migrations_app.engine.deltas import DeltaBuffer
from migrations_app.engine.throttle import Throttle
from tests.engine.support import wait_until


class ChunkGate:
    """Lets a given number of chunks through, then holds every copier thread."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, chunks: int = 0) -> None:
        self._left = chunks
        self._lock = threading.Lock()
        self._open = threading.Event()
        self.held = threading.Event()

        def wait(_throttle: Throttle, abort: Abort) -> None:
            with self._lock:
                if self._left > 0:
                    self._left -= 1
                    return
            self.held.set()
            while not self._open.wait(0.01):
                abort.check()

        monkeypatch.setattr(Throttle, "wait", wait)

    def open(self) -> None:
        self._open.set()


class ApplierGate:
    """Holds the applier before its next cycle."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open = threading.Event()
        cycle = Applier._cycle

        def held(applier: Applier, session: Any) -> None:
            while not self._open.wait(0.01):
                applier._work.abort.check()
            cycle(applier, session)

        monkeypatch.setattr(Applier, "_cycle", held)

    def open(self) -> None:
        self._open.set()


class DeltaWatch:
    """Counts the keys that the reader has delivered, and the applier's finished cycles."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[tuple[Any, ...]] = []
        self.cycles = 0
        add = DeltaBuffer.add
        cycle = Applier._cycle

        def watched_add(buffer: DeltaBuffer, keys: Any, deleted: bool) -> None:
            keys = list(keys)
            add(buffer, keys, deleted)
            self.keys += keys

        def watched_cycle(applier: Applier, session: Any) -> None:
            cycle(applier, session)
            self.cycles += 1

        monkeypatch.setattr(DeltaBuffer, "add", watched_add)
        monkeypatch.setattr(Applier, "_cycle", watched_cycle)

    def wait_for_key(self, *key: Any) -> None:
        wait_until(lambda: key in self.keys, f"the event of key {key}")

    def wait_for_cycles(self, count: int) -> None:
        """Until the applier has gone through its deltas ``count`` more times."""
        wanted = self.cycles + count
        wait_until(lambda: self.cycles >= wanted, f"{count} cycles of the applier")
