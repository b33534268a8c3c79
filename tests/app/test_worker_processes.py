"""``manage.py worker`` as real processes: killed, told to end, and taken over from."""

from __future__ import annotations

import os
import pathlib
import signal

import pytest

from migrations_app import commands
from migrations_app.models import Command, MigrationRequest, Run, State, Target
from tests.app.support import wait_for
from tests.app.worker_support import (
    Workers,
    assert_swapped,
    current,
    kinds,
    make_orders,
    operator,
    processes_of,
    start_request,
    wait_for_copy,
)
from tests.conftest import Schema

ROWS = 400_000


@pytest.fixture
def request_row(workers: Workers, schema: Schema) -> MigrationRequest:
    """A request that copies for some seconds, approved and ordered to start."""
    make_orders(schema, ROWS)
    return start_request(schema)


def test_sigterm_in_mid_copy_interrupts_and_a_new_worker_resumes(
    workers: Workers, request_row: MigrationRequest, schema: Schema
) -> None:
    first = workers.start()
    wait_for_copy(request_row)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0, workers.log()
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
    assert_swapped(schema, ROWS)


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
    assert_swapped(schema, ROWS)


def test_a_killed_worker_leaves_no_process_and_its_run_ends_with_a_checkpoint(
    workers: Workers, request_row: MigrationRequest, schema: Schema
) -> None:
    worker = workers.start()
    wait_for_copy(request_row)
    worker.kill()
    worker.wait()
    wait_for("no process is left", lambda: not processes_of(workers.folder), 60)
    assert current(request_row).state == State.INTERRUPTED, workers.log()


def test_a_killed_cluster_leaves_no_process_and_is_started_again(
    workers: Workers, request_row: MigrationRequest, schema: Schema
) -> None:
    workers.start()
    wait_for_copy(request_row)
    runner_pid = request_row.runs.get().pid
    os.kill(parent_of(parent_of(runner_pid)), signal.SIGKILL)
    wait_for("the runner is gone", lambda: runner_pid not in processes_of(workers.folder), 60)
    wait_for("completed", lambda: current(request_row).state == State.COMPLETED, 150)
    assert_swapped(schema, ROWS)


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
    wait_for("a run with the new volume", changed, 60)
    assert seen == {State.RUNNING}
    assert Command.objects.get(pk=order.pk).obeyed_at is not None
    wait_for("the copy is held back", lambda: bool(current(request_row).throttled), 60)
    commands.stop(operator(), current(request_row))
    wait_for("stopped", lambda: current(request_row).state == State.STOPPED, 60)
    Target.objects.update(max_threads_running=None)
    assert "checkpoint" in request_row.message
    commands.set_volume(operator(), current(request_row), 8)
    commands.start(operator(), current(request_row))
    wait_for("completed", lambda: current(request_row).state == State.COMPLETED, 90)
    assert list(request_row.runs.order_by("number").values_list("volume", flat=True)) == [1, 2, 8]
    assert not request_row.commands.filter(obeyed_at=None).exists()
    assert_swapped(schema, ROWS)


def test_no_secret_reaches_log_events_or_queue(
    workers: Workers, request_row: MigrationRequest, schema: Schema
) -> None:
    worker = workers.start()
    wait_for_copy(request_row)
    worker.send_signal(signal.SIGTERM)
    worker.wait(60)
    secret = schema.dsn.password
    assert secret
    stored = (workers.folder / "control.sqlite3").read_bytes()
    wal = workers.folder / "control.sqlite3-wal"
    stored += wal.read_bytes() if wal.exists() else b""
    assert secret.encode() not in stored
    assert secret not in workers.log()
