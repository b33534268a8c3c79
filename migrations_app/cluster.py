"""One cluster of the queue as a child of ``manage.py worker``: from either side it can be ended.

What the queue does by itself, and what is done about it here:

- SIGTERM to its main process calls ``Event.set()`` inside a signal handler, which can deadlock: the
  handlers are replaced, and the main thread stops the cluster in its own time.
- Its stop waits for running tasks without bound: past a deadline the process group is killed.
- Killing its main process leaves sentinel and workers behind: each process it forks asks the
  kernel to be killed when its parent dies.

The owner's side is ``ClusterProcess``; ``serve`` is what the child does.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

from migrations_app import drain

# From the order to end until the process group is killed. The worker promises 15 s in all.
STOP_TIMEOUT_SECS = 12.0
_POLL_SECS = 0.2
_PR_SET_PDEATHSIG = 1


class ClusterProcess:
    """A running child that serves one cluster; owns the writing end of its pipe."""

    def __init__(self, name: str, worker_name: str, environment: dict[str, str]) -> None:
        """Start it. environment: what the child gets beside the worker's own variables."""
        self.name = name
        self.started_at = time.monotonic()
        reading, self._writing = os.pipe()
        variables = {
            **os.environ,
            **environment,
            "Q_CLUSTER_NAME": name,
            drain.PIPE_VARIABLE: str(reading),
            drain.NAME_VARIABLE: worker_name,
        }
        try:
            self._process = subprocess.Popen(
                [sys.executable, sys.argv[0], "worker", "--serve", name],
                env=variables,
                stdin=subprocess.DEVNULL,
                pass_fds=(reading,),
                # A group of its own: a terminal's Ctrl-C is for the worker, and what is left of
                # the child can be killed as one.
                start_new_session=True,
            )
        finally:
            os.close(reading)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def ask_to_end(self) -> None:
        """Close the pipe: runs write their checkpoints, then the cluster ends. Harmless twice."""
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1

    def wait(self, deadline: float) -> None:
        """Wait until it has ended; at the deadline (``time.monotonic``) kill what is left."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline - time.monotonic()))
        self.kill()

    def kill(self) -> None:
        """Kill whatever is left of its group."""
        self.ask_to_end()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def serve() -> int:
    """Be the cluster that Q_CLUSTER_NAME names until the worker's pipe is closed.

    Returns the exit code: 1 when the cluster ended without having been asked to.
    """
    # It reads its settings when it is imported, and forks at once.
    from django_q.cluster import Cluster  # noqa: PLC0415

    descriptor = int(os.environ[drain.PIPE_VARIABLE])
    libc = ctypes.CDLL(None, use_errno=True)
    os.register_at_fork(
        after_in_child=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) and None
    )
    cluster = Cluster()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Only the pipe counts. Not SIG_IGN, which the forked processes would inherit.
        signal.signal(number, lambda _number, _frame: None)
    cluster.start()
    while not drain.is_closed(descriptor, _POLL_SECS):
        if not cluster.sentinel.is_alive():
            _kill_group()
            return 1
    killer = threading.Timer(STOP_TIMEOUT_SECS, _kill_group)
    killer.daemon = True
    killer.start()
    cluster.stop()
    killer.cancel()
    return 0


def _kill_group() -> None:
    os.killpg(os.getpid(), signal.SIGKILL)
