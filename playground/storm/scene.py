"""The server's tables, the people, their requests, and two workers that can be killed."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import signal
import sys
from collections.abc import Mapping

from django.contrib.auth.models import Group, User
from django.db import connection

from migrations_app import commands
from migrations_app.models import MigrationRequest, Run, Target
from playground.children import Child
from playground.server import CHECKOUT, PrivateServer

SCHEMA = "storm"
ADDED = "added"
_ROLES = {"requester": "Requesters", "approver": "Approvers", "operator": "Operators"}
_OF_EACH = 3
_WORKERS = 2
_END_SECS = 30


class Scene:
    """``close`` ends every process it started."""

    def __init__(
        self,
        server: PrivateServer,
        folder: pathlib.Path,
        environment: Mapping[str, str],
        chance: random.Random,
    ) -> None:
        self.server = server
        self.chance = chance
        self.people: list[User] = []
        self.sums: dict[str, tuple[object, ...]] = {}
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self._places = int(environment["MAX_CONCURRENT_RUNS"]) // _WORKERS + 1
        self._workers: list[Child] = []

    def build(self, requests: int) -> None:
        """One table and one draft for each request; the workers are started at the end."""
        self.server.execute(f"CREATE DATABASE {SCHEMA}")
        for role, group in _ROLES.items():
            for number in range(_OF_EACH):
                person = User.objects.create_user(f"{role}{number}", is_staff=True)
                person.groups.add(Group.objects.get(name=group))
                self.people.append(person)
        target = Target(
            name="storm",
            host=self.server.host,
            port=self.server.port,
            user="root",
            database=SCHEMA,
            max_concurrent_runs=100,
        )
        target.set_password(self.server.password)
        target.save()
        for number in range(requests):
            self._make_request(target, f"t{number:03}")
        for _ in range(_WORKERS):
            self._start_worker()

    def _make_request(self, target: Target, table: str) -> None:
        rows = self.chance.choice((100, 2_000, 20_000, 60_000))
        self.server.execute(
            f"CREATE TABLE {table} (id INT PRIMARY KEY, v INT NOT NULL, word VARCHAR(90) NOT NULL)",
            schema=SCHEMA,
        )
        self.server.execute(
            f"INSERT INTO {table} SELECT n.i * 1000 + m.i, n.i, REPEAT('x', 80) FROM "
            + " JOIN ".join(
                f"(WITH RECURSIVE s (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < "
                f"{last}) SELECT i FROM s) {alias}"
                for alias, last in (("n", max(0, rows // 1000 - 1)), ("m", min(rows, 1000) - 1))
            ),
            schema=SCHEMA,
        )
        self.sums[table] = self.sum_of(table)
        copies = self.chance.random() < 0.8
        added = f"ADD COLUMN {ADDED} INT"
        request = MigrationRequest(
            target=target,
            statement=f"ALTER TABLE {table} {added}{', MODIFY v BIGINT' if copies else ''}",
            volume=self.chance.choice((1, 1, 3, 8)),
            defer_cutover=self.chance.random() < 0.5,
            strict=self.chance.random() < 0.2,
            title=f"Change of {table}",
        )
        commands.draft(self.chance.choice(self.people[:_OF_EACH]), request)

    def sum_of(self, table: str) -> tuple[object, ...]:
        """What a table holds, apart from the column that the change adds."""
        return self.server.execute(
            f"SELECT COUNT(*), SUM(id), SUM(v), BIT_XOR(CRC32(word)) FROM {table}", schema=SCHEMA
        )[0]

    def tables(self) -> set[str]:
        return {str(row[0]) for row in self.server.execute("SHOW TABLES", schema=SCHEMA)}

    # -- workers

    def _start_worker(self) -> None:
        # On a tether, so that none outlives the storm, even one that is killed.
        self._workers.append(
            Child(
                "worker",
                [sys.executable, "manage.py", "worker", "--concurrency", str(self._places)],
                environment=self._environment,
                folder=CHECKOUT,
                log=self._folder / "workers.log",
                grace_secs=_END_SECS,
            )
        )

    def kill_a_run(self) -> bool:
        """kill -9 to a process of ours that runs a migration now."""
        pids = list(Run.objects.filter(ended_at=None).values_list("pid", flat=True))
        if not pids:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.chance.choice(pids), signal.SIGKILL)
        return True

    def replace_a_worker(self) -> None:
        """As a deployment does: SIGTERM, wait for its end, start another."""
        self._workers.pop(0).end()
        self._start_worker()

    def close(self) -> None:
        connection.close()
        for worker in self._workers:
            worker.ask_to_end()
        for worker in self._workers:
            worker.end()

    def log(self) -> str:
        """What the workers wrote."""
        return (self._folder / "workers.log").read_text(errors="replace")
