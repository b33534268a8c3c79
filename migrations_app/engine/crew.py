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
        self._threads = [
            threading.Thread(target=self._run, name=f"{name}-{number}") for number in range(size)
        ]

    def start(self) -> None:
        for thread in self._threads:
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
