"""Waiting for a server that went away during a run."""

from __future__ import annotations

import dataclasses
import time
from typing import Protocol

from migrations_app.engine.dsn import Dsn
from migrations_app.engine.errors import RefusedError, ServerLostError
from migrations_app.engine.observer import Event, Level, Observer, Progress
from migrations_app.engine.session import connect

_TRY_EVERY_SECS = 0.5


class StopSignal(Protocol):
    """Anything like a threading.Event."""

    def is_set(self) -> bool: ...


def wait_for_server(
    dsn: Dsn, longest_secs: float, observer: Observer, last: Progress, stop: StopSignal
) -> bool:
    """Whether the server is back before the time is over; on the caller's thread.

    last: the run's last reading, which the observer goes on getting.
    """
    if longest_secs <= 0 or stop.is_set():
        return False
    observer.happened(
        Event(
            "server_lost",
            f"The connection to {dsn.host}:{dsn.port} was lost. What was copied is kept; the run "
            f"goes on by itself when the server is back within {longest_secs:.0f} s.",
            Level.WARNING,
        )
    )
    waiting = dataclasses.replace(last, throttled="the server is not there", rows_per_sec=0.0)
    deadline = time.monotonic() + longest_secs
    while time.monotonic() < deadline and not stop.is_set():
        observer.progressed(waiting)
        try:
            connect(dsn).close()
        except ServerLostError:
            time.sleep(_TRY_EVERY_SECS)
        except RefusedError:
            # It is back, but not for this account.
            return False
        else:
            return True
    return False
