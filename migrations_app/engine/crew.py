"""A few threads that do the same work and fail together."""

from __future__ import annotations

import threading
from collections.abc import Callable

from migrations_app.engine.abort import Abort


class Crew:
    """Owns its threads from ``start`` to ``join``.

    work: run once by each thread; an exception in one of them raises the run's abort signal, so
    that the others and the caller see it.
    """

    def __init__(self, abort: Abort, name: str, size: int, work: Callable[[], None]) -> None:
        self._abort = abort
        self._work = work
        self._name = name
        self._threads = [self._thread(number) for number in range(size)]

    def _thread(self, number: int) -> threading.Thread:
        return threading.Thread(target=self._run, name=f"{self._name}-{number}")

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def add(self) -> None:
        """Start one more; by the thread that joins them."""
        thread = self._thread(len(self._threads))
        self._threads.append(thread)
        thread.start()

    @property
    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self._abort.set(error)
