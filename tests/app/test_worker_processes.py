"""``manage.py worker`` as real processes: killed, told to end, and taken over from."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections

from migrations_app import commands
from migrations_app.models import Command, MigrationRequest, Run, State, Target
from spirit_admin.settings import database
from tests.app.support import make_person, make_request, make_target, wait_for
from tests.conftest import Schema

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
ROWS = 400_000
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
        }

    def start(self) -> subprocess.Popen[bytes]:
        with open(self.folder / "worker.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "worker", "--concurrency", "1"],
                cwd=CHECKOUT,
                env=self.environment,
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


@pytest.fixture
def workers(tmp_path: pathlib.Path, transactional_db: None) -> Iterator[Workers]:
    """The test's own connection is one to the workers' database while the test lasts."""
    crew = Workers(tmp_path)
    before = connections["default"]
    own = connections.create_connection("default")
    own.settings_dict = {
        **before.settings_dict,
        **database(crew.environment["DATABASE_URL"]),
        "TEST": before.settings_dict["TEST"],
    }
    connections["default"] = own
    try:
        call_command("migrate", verbosity=0)
        yield crew
    finally:
        crew.end()
        own.close()
        connections["default"] = before


@pytest.fixture
def request_row(workers: Workers, schema: Schema) -> MigrationRequest:
    """A request that copies for some seconds, approved and ordered to start."""
    schema.execute(
        "CREATE TABLE orders (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, total INT NOT NULL, "
        "word VARCHAR(200) NOT NULL)"
    )
    schema.execute(
        "INSERT INTO orders (total, word) WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 "
        "FROM n WHERE i < 999) SELECT a.i * 1000 + b.i, REPEAT('x', 150) FROM n a JOIN n b "
        f"WHERE a.i < {ROWS // 1000}"
    )
    request = make_request(
        make_target(schema.dsn),
        make_person("rita", "Requesters"),
        statement=STATEMENT,
        volume=1,
    )
    commands.submit(request.requester, request)
    commands.approve(make_person("axel", "Approvers"), request)
    commands.start(make_person("olga", "Operators"), request)
    return request


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


def assert_swapped(schema: Schema) -> None:
    assert schema.execute("SELECT COUNT(*), MIN(total), MAX(total) FROM orders") == [
        (ROWS, 0, ROWS - 1)
    ]
    columns = schema.execute("SHOW COLUMNS FROM orders")
    assert [column[0] for column in columns] == ["id", "total", "word", "note"]
    assert {name for (name,) in schema.execute("SHOW TABLES")} == {"orders"}


def test_sigterm_in_mid_copy_interrupts_and_a_new_worker_resumes(
    workers: Workers, request_row: MigrationRequest, schema: Schema
) -> None:
    first = workers.start()
    wait_for_copy(request_row)
    first.send_signal(signal.SIGTERM)
    assert first.wait(15) == 0, workers.log()
    assert current(request_row).state == State.INTERRUPTED, workers.log()
    assert processes_of(workers.folder) == []
    copied = Run.objects.get().rows_at_end
    assert copied > 0

    workers.start()
    wait_for("completed", lambda: current(request_row).state == State.COMPLETED, 90)
    second = request_row.runs.first()
    assert second is not None
    assert second.resumed_from is not None
    assert second.resumed_from.rows_copied == copied
    assert "interrupted" in kinds(request_row)
    assert "resumed" in kinds(request_row)
    assert_swapped(schema)


def test_a_runner_killed_in_mid_copy_is_resumed_by_itself(
    workers: Workers, request_row: MigrationRequest, schema: Schema
) -> None:
    workers.start()
    wait_for_copy(request_row)
    os.kill(request_row.runs.get().pid, signal.SIGKILL)
    wait_for("a second run", lambda: request_row.runs.count() == 2, 120)
    wait_for("completed", lambda: current(request_row).state == State.COMPLETED, 90)
    assert [kind for kind in kinds(request_row) if kind in ("runner_lost", "resumed")] == [
        "runner_lost",
        "resumed",
    ]
    assert request_row.runs.last().outcome == Run.LOST  # type: ignore[union-attr]
    assert_swapped(schema)


def test_a_killed_worker_leaves_no_process_and_its_run_ends_with_a_checkpoint(
    workers: Workers, request_row: MigrationRequest, schema: Schema
) -> None:
    worker = workers.start()
    wait_for_copy(request_row)
    worker.kill()
    worker.wait()
    wait_for("no process is left", lambda: not processes_of(workers.folder), 20)
    assert current(request_row).state == State.INTERRUPTED, workers.log()


def test_a_killed_cluster_leaves_no_process_and_is_started_again(
    workers: Workers, request_row: MigrationRequest, schema: Schema
) -> None:
    workers.start()
    wait_for_copy(request_row)
    runner_pid = request_row.runs.get().pid
    os.kill(parent_of(parent_of(runner_pid)), signal.SIGKILL)
    wait_for("the runner is gone", lambda: runner_pid not in processes_of(workers.folder), 20)
    wait_for("completed", lambda: current(request_row).state == State.COMPLETED, 150)
    assert_swapped(schema)


def parent_of(pid: int) -> int:
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    return int(stat.rsplit(")", 1)[1].split()[1])


def test_stop_volume_and_start_are_obeyed_by_a_run(
    workers: Workers, request_row: MigrationRequest, schema: Schema
) -> None:
    """From the second run on, the copy is paused until the stop, so that it does not end first."""
    workers.start()
    wait_for_copy(request_row)
    Target.objects.update(max_threads_running=0)
    seen = set()

    def changed() -> bool:
        seen.add(current(request_row).state)
        return bool(request_row.runs.count() == 2 and request_row.running_volume == 2)

    order = commands.set_volume(operator(), current(request_row), 2)
    wait_for("a run with the new volume", changed, 30)
    assert seen == {State.RUNNING}
    assert Command.objects.get(pk=order.pk).obeyed_at is not None
    commands.stop(operator(), current(request_row))
    wait_for("stopped", lambda: current(request_row).state == State.STOPPED, 30)
    Target.objects.update(max_threads_running=None)
    assert "checkpoint" in request_row.message
    commands.set_volume(operator(), current(request_row), 8)
    commands.start(operator(), current(request_row))
    wait_for("completed", lambda: current(request_row).state == State.COMPLETED, 90)
    assert list(request_row.runs.order_by("number").values_list("volume", flat=True)) == [1, 2, 8]
    assert not request_row.commands.filter(obeyed_at=None).exists()
    assert_swapped(schema)


def test_no_secret_reaches_log_events_or_queue(
    workers: Workers, request_row: MigrationRequest, schema: Schema
) -> None:
    worker = workers.start()
    wait_for_copy(request_row)
    worker.send_signal(signal.SIGTERM)
    worker.wait(15)
    secret = schema.dsn.password
    assert secret
    stored = (workers.folder / "control.sqlite3").read_bytes()
    wal = workers.folder / "control.sqlite3-wal"
    stored += wal.read_bytes() if wal.exists() else b""
    assert secret.encode() not in stored
    assert secret not in workers.log()
