"""``manage.py worker``: the processes that run migrations, their supervisor, and their orderly end.

It starts the clusters ``control`` and ``runner`` as children, looks every few seconds after runs
that lost their worker, and restarts a cluster that has died or no longer executes tasks.

On SIGTERM or SIGINT every run writes a checkpoint and ends as interrupted; the command exits within
15 seconds and leaves no process behind. Signal only this process, not its group (systemd:
``KillMode=mixed``; supervisor: ``stopasgroup=false``).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import DatabaseError, close_old_connections, connections

from migrations_app import cluster, heartbeat, liveness, supervisor
from migrations_app.cluster import ClusterProcess

logger = logging.getLogger(__name__)

_LOOK_EVERY_SECS = 0.5
# A cluster that dies at once, again and again, is not restarted faster than this.
_RESTART_PAUSE_SECS = 5.0
# After the clusters' own deadline; the whole must stay within 15 s.
_END_TIMEOUT_SECS = cluster.STOP_TIMEOUT_SECS + 1.0


class Command(BaseCommand):
    help = "Runs migrations: the clusters `control` and `runner`, and their supervisor."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--concurrency",
            type=int,
            metavar="N",
            help="how many migrations may run here at once (default: RUNNER_CONCURRENCY)",
        )
        parser.add_argument("--serve", choices=["control", "runner"], help="used by this command")

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["serve"]:
            raise SystemExit(cluster.serve())
        concurrency = options["concurrency"] or settings.RUNNER_CONCURRENCY
        if concurrency < 1:
            raise SystemExit("--concurrency must be 1 or more.")
        Worker(concurrency).run()


class Worker:
    """Owns the clusters' processes. concurrency: runs at once, here."""

    def __init__(self, concurrency: int) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._concurrency = concurrency
        self._asked_to_end = threading.Event()
        self._clusters: dict[str, ClusterProcess] = {}
        self._watch = liveness.Watch(self.name, concurrency)

    def run(self) -> None:
        """Until a signal; everything that was started has ended when it returns."""
        before = {number: signal.signal(number, self._ask) for number in _SIGNALS}
        try:
            supervisor.ensure_schedule()
            heartbeat.beat(self.name, self._concurrency)
            for name in ("control", "runner"):
                self._start(name)
            logger.info("Worker %s: up to %s migrations at once.", self.name, self._concurrency)
            self._look_after()
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self._asked_to_end.set()

    def _start(self, name: str) -> None:
        variables: Mapping[str, str] = {"RUNNER_CONCURRENCY": str(self._concurrency)}
        self._clusters[name] = ClusterProcess(name, self.name, dict(variables))

    def _look_after(self) -> None:
        next_look = 0.0
        # A short wait in a loop: a handler may run while the main thread holds the event's lock.
        while not self._asked_to_end.is_set():
            time.sleep(_LOOK_EVERY_SECS)
            for name, process in list(self._clusters.items()):
                if process.has_ended:
                    self._restart(name, "it ended by itself")
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + settings.SUPERVISE_EVERY_SECS
                self._supervise()

    def _supervise(self) -> None:
        try:
            close_old_connections()
            heartbeat.beat(self.name, self._concurrency)
            supervisor.supervise()
            for name, reason in self._watch.stuck_clusters():
                self._restart(name, reason)
        except DatabaseError:
            logger.exception("The control database could not be asked; trying again.")
            connections.close_all()

    def _restart(self, name: str, reason: str) -> None:
        logger.error("Restarting the cluster %s: %s.", name, reason)
        heartbeat.restarted(self.name)
        process = self._clusters[name]
        process.ask_to_end()
        process.wait(time.monotonic() + _END_TIMEOUT_SECS)
        while (
            time.monotonic() < process.started_at + _RESTART_PAUSE_SECS
            and not self._asked_to_end.is_set()
        ):
            time.sleep(_LOOK_EVERY_SECS)
        if not self._asked_to_end.is_set():
            self._start(name)
            self._watch.restarted(name)

    def _end(self) -> None:
        deadline = time.monotonic() + _END_TIMEOUT_SECS
        for process in self._clusters.values():
            process.ask_to_end()
        self._note(heartbeat.draining)
        for process in self._clusters.values():
            process.wait(deadline)
        self._note(heartbeat.ended)

    def _note(self, what: Callable[[str], None]) -> None:
        """Say something of this worker; its end does not depend on it."""
        try:
            what(self.name)
        except DatabaseError as error:
            logger.warning("The control database could not be told: %s", error)


_SIGNALS = (signal.SIGTERM, signal.SIGINT)
