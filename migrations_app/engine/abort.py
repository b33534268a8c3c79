"""One signal that ends every thread of a run, with the reason of whoever raised it first."""

from __future__ import annotations

import threading


class Abort:
    """Set once; every loop of the engine asks it between two steps.

    ``set`` keeps the first reason: what follows it is mostly its consequence.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._reason: BaseException | None = None

    def set(self, reason: BaseException) -> bool:
        """Raise the signal; returns whether this call was the first to do so."""
        with self._lock:
            if self._reason is not None:
                return False
            self._reason = reason
        self._event.set()
        return True

    @property
    def reason(self) -> BaseException | None:
        return self._reason

    def is_set(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise the reason if the signal is up."""
        if self._reason is not None:
            raise self._reason

    def wait(self, secs: float) -> None:
        """Sleep up to ``secs``; raises the reason as soon as the signal is up."""
        self._event.wait(secs)
        self.check()
