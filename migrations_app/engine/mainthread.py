"""Handing work to the thread that called ``run``, where alone the observer may be called."""

from __future__ import annotations

import concurrent.futures
import queue
from collections.abc import Callable
from typing import TypeVar

import MySQLdb

from migrations_app.engine.abort import Abort
from migrations_app.engine.errors import EngineError

T = TypeVar("T")


class MainThread:
    """An inbox of calls; the run's own thread serves it. Thread-safe."""

    def __init__(self, abort: Abort) -> None:
        self._abort = abort
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def post(self, call: Callable[[], None]) -> None:
        """Have it called soon, in order."""
        self._inbox.put(call)

    def ask(self, call: Callable[[], T]) -> T:
        """Have it called and wait for its result. Raises what it raises, or the abort's reason."""
        answer: concurrent.futures.Future[T] = concurrent.futures.Future()

        def serve() -> None:
            try:
                answer.set_result(call())
            except (EngineError, MySQLdb.Error) as error:
                # The engine's own trouble (a checkpoint that could not be written) is for who
                # asked; raised here as well, it would pass for the observer's.
                answer.set_exception(error)
            except BaseException as error:
                answer.set_exception(error)
                raise

        self._inbox.put(serve)
        while True:
            try:
                return answer.result(timeout=0.1)
            except concurrent.futures.TimeoutError:
                self._abort.check()

    @property
    def empty(self) -> bool:
        return self._inbox.empty()

    def serve(self, wait_secs: float) -> bool:
        """Make one call that is waiting, or wait for one; returns whether there was one."""
        try:
            call = self._inbox.get(timeout=wait_secs) if wait_secs > 0 else self._inbox.get_nowait()
        except queue.Empty:
            return False
        call()
        return True
