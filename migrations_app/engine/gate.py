"""Whether a run may swap its tables: opened and held from outside, asked by the run."""

from __future__ import annotations

import threading


class Gate:
    """A deferred run waits until it is opened; any run waits while it is held. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_open = False
        self._is_held = False

    def open(self) -> None:
        """Let the run swap. May come before it is ready to."""
        with self._lock:
            self._is_open, self._is_held = True, False

    def hold(self) -> None:
        """Keep the run from swapping until it is opened again; swaps that are made stay made."""
        with self._lock:
            self._is_open, self._is_held = False, True

    def is_open(self) -> bool:
        with self._lock:
            return self._is_open

    def is_held(self) -> bool:
        with self._lock:
            return self._is_held
