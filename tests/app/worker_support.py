"""Real worker processes on a control database of their own."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User

from migrations_app import commands
from migrations_app.models import MigrationRequest, State
from tests.app.support import make_person, make_request, make_target, wait_for
from tests.conftest import Schema

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
STATEMENT = "ALTER TABLE orders ADD COLUMN note VARCHAR(40), MODIFY total BIGINT NOT NULL"


class Workers:
    """A control database in a file and the worker processes on it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.environment = {
            **os.environ,
            "VAR_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder / 'control.sqlite3'}",
            "SECRET_KEY": settings.SECRET_KEY,
            "FIELD_ENCRYPTION_KEYS": ",".join(settings.FIELD_ENCRYPTION_KEYS),
            "DJANGO_SETTINGS_MODULE": "spirit_admin.settings",
            "LEASE_SECS": "10",
            "SUPERVISE_EVERY_SECS": "2",
        }

    def start(
        self, script: pathlib.Path | str = "manage.py", **variables: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker. script: what is run instead of manage.py; variables: for this one."""
        with open(self.folder / "worker.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(script), "worker", "--concurrency", "1"],
                cwd=CHECKOUT,
                env={**self.environment, **variables},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def log(self) -> str:
        return (self.folder / "worker.log").read_text(errors="replace")

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            process.wait(30)


def operator() -> User:
    return User.objects.get(username="olga")


def current(request: MigrationRequest) -> MigrationRequest:
    request.refresh_from_db()
    return request


def wait_for_copy(request: MigrationRequest) -> None:
    wait_for(
        "a checkpoint in mid-copy",
        lambda: (
            current(request).state == State.RUNNING
            and request.checkpoints.filter(rows_copied__gt=0).exists()
        ),
        60,
    )


def kinds(request: MigrationRequest) -> list[str]:
    return list(request.events.order_by("id").values_list("kind", flat=True))


def processes_of(folder: pathlib.Path) -> list[int]:
    """Live processes that belong to a control database, by their environment."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                variables = (entry / "environ").read_bytes()
                state = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if f"VAR_DIR={folder}".encode() in variables and state != "Z":
                found.append(int(entry.name))
    return found


def make_orders(schema: Schema, rows: int) -> None:
    """The table that the workers change: 0 to rows - 1 in ``total``."""
    schema.execute(
        "CREATE TABLE orders (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, total INT NOT NULL, "
        "word VARCHAR(200) NOT NULL, KEY total (total))"
    )
    schema.execute(
        "INSERT INTO orders (total, word) WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 "
        "FROM n WHERE i < 999) SELECT a.i * 1000 + b.i, REPEAT('x', 150) FROM n a JOIN n b "
        f"WHERE a.i < {rows // 1000}"
    )


def start_request(schema: Schema, **fields: Any) -> MigrationRequest:
    """A request about that table, submitted, approved and ordered to start by three people."""
    request = make_request(
        make_target(schema.dsn),
        make_person("rita", "Requesters"),
        **{"statement": STATEMENT, "volume": 1, **fields},
    )
    commands.submit(request.requester, request)
    commands.approve(make_person("axel", "Approvers"), request)
    commands.start(make_person("olga", "Operators"), request)
    return request


def wait_for_state(request: MigrationRequest, state: State, timeout_secs: float = 90) -> None:
    wait_for(state.label, lambda: current(request).state == state, timeout_secs)


def assert_swapped(schema: Schema, rows: int) -> None:
    """The change is made, no row is lost, and nothing is left beside the table."""
    assert schema.execute("SELECT COUNT(*), MIN(total), MAX(total) FROM orders") == [
        (rows, 0, rows - 1)
    ]
    columns = schema.execute("SHOW COLUMNS FROM orders")
    assert [column[0] for column in columns] == ["id", "total", "word", "note"]
    assert {name for (name,) in schema.execute("SHOW TABLES")} == {"orders"}
