"""Running a subcommand to its exit code: signals while it runs, and a quick end of the process."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, NoReturn


def exit_code_of(options: dict[str, Any]) -> int:
    """Run what the parser chose."""
    try:
        with _sigterm_as_exit():
            code: int = options["run"](options)
    except KeyboardInterrupt:
        code = 128 + signal.SIGINT
    return code


@contextlib.contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """By SIGTERM, too, what was made for a moment is removed. A migration has a way of its own."""

    def end(number: int, _frame: FrameType | None) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def leave(code: int) -> NoReturn:
    """End the process as ``sys.exit`` would, without taking the interpreter to pieces first.

    That takes a quarter of a second, in which nothing is done that the kernel does not do. What a
    program can ask for at its end is done here: exit functions (of logging, too), and output that
    is still in a buffer. A thread that still runs has its reasons; then the usual way is taken.
    """
    if threading.active_count() > 1:
        sys.exit(code)
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        # The reader is gone, or the disk is full: Python says what there is to say, and exits with
        # the code for it.
        sys.exit(code)
    os._exit(code)
