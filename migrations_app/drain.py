"""Telling every run of a worker to write its checkpoint and end: a pipe that is closed.

``manage.py worker`` holds the only writing end; each process below it inherits the reading end.
Nothing is ever written: the end of the pipe is the signal. The kernel closes it too when the worker
is killed with ``kill -9``, so that its runs never outlive it by much.
"""

from __future__ import annotations

import os
import select

PIPE_VARIABLE = "SPIRIT_WORKER_PIPE"
NAME_VARIABLE = "SPIRIT_WORKER_NAME"


def is_raised() -> bool:
    """Whether this process is to end its run. Never raised outside of ``manage.py worker``."""
    descriptor = os.environ.get(PIPE_VARIABLE)
    return descriptor is not None and is_closed(int(descriptor))


def is_closed(descriptor: int, wait_secs: float = 0.0) -> bool:
    """Whether the writing end is gone; waits up to ``wait_secs`` for it."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(wait_secs * 1000))
