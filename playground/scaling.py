"""How many runs one control database bears: real reports of runs that have no table behind them.

Each simulated run does to the control database what a real one does: it takes the lease, reports
once a second (with the look at its orders that belongs to a report), keeps a reading every 5 s and
a checkpoint every 50 s. A report must come within the lease; how late the slowest ones are is what
tells how many runs are too many. Meanwhile the supervisor looks, and readers poll their pages.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime as dt
import importlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table

from playground import control
from playground.server import CHECKOUT, PrivateServer

# A worker machine's processes share these; more threads in one would wait for each other.
_RUNS_A_PROCESS = 25
_REPORT_SECS = 1.0
_CHECKPOINT_EVERY = 50
_LEASE_SECS = 30.0
_READERS = 10
_POLL_SECS = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """What so many runs did. Times in milliseconds; late_ms: behind a report's due time."""

    runs: int
    reports: int
    wanted: int
    median_ms: float
    p99_ms: float
    most_ms: float
    late_ms: float
    cpu_ms: float
    polls_p99_ms: float
    database_cpu: float | None
    lost: int


def main(arguments: list[str]) -> int:
    given = _options(arguments)
    if given.drive:
        first, last = given.drive
        return _drive(first, last, given.secs)
    told = Console(stderr=True, soft_wrap=True)
    loads = []
    for runs in given.runs:
        with (
            tempfile.TemporaryDirectory(prefix="spirit-scaling-") as folder,
            _database(given.database, pathlib.Path(folder)) as (environment, pid),
        ):
            loads.append(_measure(environment, pid, runs, given.secs))
        told.print(f"{runs} runs: {dataclasses.asdict(loads[-1])}", highlight=False)
    if given.json:
        print(json.dumps([dataclasses.asdict(load) for load in loads], indent=2))
    else:
        _show(Console(soft_wrap=True), given.database, loads)
    return 1 if any(load.lost for load in loads) else 0


@contextlib.contextmanager
def _database(kind: str, folder: pathlib.Path) -> Iterator[tuple[dict[str, str], int | None]]:
    """A control database's environment, and the process of its server if it has one."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "spirit_admin.settings",
        "VAR_DIR": str(folder),
        "GENERATE_KEYS": "on",
        "LOG_LEVEL": "WARNING",
        "ALLOWED_HOSTS": "*",
    }
    if kind == "sqlite":
        yield {**environment, "DATABASE_URL": f"sqlite:///{folder / 'control.sqlite3'}"}, None
        return
    # A run holds one connection, and so does a page's thread.
    with PrivateServer(options={"max-connections": "2000"}) as server:
        server.execute("CREATE DATABASE control")
        url = server.root_dsn("control")
        yield {**environment, "DATABASE_URL": url}, server.pid


def _measure(environment: dict[str, str], pid: int | None, runs: int, secs: float) -> Load:
    """In processes of their own: this one's Django knows one database only."""
    made = _python(["--drive", "-1", str(runs)], environment)
    assert made.wait() == 0
    spans = [
        (first, min(first + _RUNS_A_PROCESS, runs)) for first in range(0, runs, _RUNS_A_PROCESS)
    ]
    before = _cpu_secs(pid)
    children = [
        _python(["--secs", str(secs), "--drive", str(first), str(last)], environment)
        for first, last in [*spans, (-2, _READERS)]
    ]
    outputs = [child.communicate()[0] for child in children]
    cpu = None if pid is None else (_cpu_secs(pid) - before) / secs
    if any(child.returncode for child in children):
        raise SystemExit("A part of the simulation failed; see above.")
    *found, polls = [json.loads(output) for output in outputs]
    times = [took for one in found for took in one["times"]]
    return Load(
        runs=runs,
        reports=len(times),
        wanted=int(runs * secs / _REPORT_SECS),
        median_ms=round(1000 * statistics.median(times), 1),
        p99_ms=round(1000 * _quantile(times, 0.99), 1),
        most_ms=round(1000 * max(times), 1),
        late_ms=round(1000 * max(one["late"] for one in found), 1),
        cpu_ms=round(1000 * sum(one["cpu"] for one in found) / len(times), 2),
        polls_p99_ms=round(1000 * _quantile(polls["times"], 0.99), 1),
        database_cpu=None if cpu is None else round(cpu, 3),
        lost=sum(one["lost"] for one in found),
    )


def _python(arguments: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "playground.scaling", *arguments],
        cwd=CHECKOUT, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _drive(first: int, last: int, secs: float) -> int:
    """A child: it makes the rows (first = -1), polls pages (-2), or reports for some runs."""
    control.set_up({})
    if first == -1:
        _make(last)
    elif first == -2:
        print(json.dumps(_poll(last, secs)))
    else:
        print(json.dumps(_report(first, last, secs)))
    return 0


def _make(runs: int) -> None:
    models = importlib.import_module("migrations_app.models")
    accounts = control.create_accounts()
    control.create_target(host="127.0.0.1", port=1, user="u", password="p", schema="shop")
    target = models.Target.objects.get()
    requester = importlib.import_module("django.contrib.auth.models").User.objects.get(
        username=accounts["requester"].name
    )
    models.MigrationRequest.objects.bulk_create(
        [
            models.MigrationRequest(
                target=target, requester=requester, schema_name="shop", table_name=f"t{n}",
                statement=f"ALTER TABLE t{n} FORCE", state="queued", desired_state="run",
            )
            for n in range(runs)
        ]
    )  # fmt: skip


class _Run:
    """One simulated run: its observer, and when its next report is due."""

    def __init__(self, request_id: int) -> None:
        lifecycle = importlib.import_module("migrations_app.lifecycle")
        observer = importlib.import_module("migrations_app.runobserver")
        models = importlib.import_module("migrations_app.models")
        request = lifecycle.take_lease(request_id, f"simulated:{os.getpid()}", _LEASE_SECS)
        row = models.Run.objects.create(
            request=request, number=1, lease_token=request.lease_token, worker="simulated",
            pid=os.getpid(), volume=3,
        )  # fmt: skip
        self._observer = observer.RunObserver(request, row, request.lease_token, observer.RunStop())
        self._count = 0

    def report(self) -> None:
        engine = importlib.import_module("migrations_app.engine")
        self._count += 1
        self._observer.progressed(
            engine.Progress(
                engine.Phase.COPY_ROWS, rows_copied=self._count * 50_000, rows_total=10_000_000,
                fraction=min(1.0, self._count / 200), rows_per_sec=50_000.0, eta_secs=100.0,
                position=f"binlog.000042:{self._count}",
            )
        )  # fmt: skip
        if self._count % _CHECKPOINT_EVERY == 1:
            self._observer.checkpoint_written(
                engine.CheckpointRow(
                    id=self._count, copier_watermark="{}", checksum_watermark="",
                    binlog_name="binlog.000042", binlog_pos=self._count, statement="",
                    gtid_set="", phase="copy_rows", deferred_indexes="", cutover_intent=False,
                    rows_copied=self._count, table_name="t", engine_version="1",
                    created_at=dt.datetime.now(dt.UTC),
                )
            )  # fmt: skip


def _report(first: int, last: int, secs: float) -> dict[str, Any]:
    """Each run in a thread of its own, as each is in a process of its own in a worker."""
    models = importlib.import_module("migrations_app.models")
    lost_error = importlib.import_module("migrations_app.lifecycle").LeaseLostError
    pks = list(models.MigrationRequest.objects.order_by("pk").values_list("pk", flat=True))
    times: list[float] = []
    lates: list[float] = [0.0]
    lost: list[int] = []
    begin = time.monotonic() + 3.0

    def drive(number: int) -> None:
        run = _Run(pks[number])
        # Spread over the second, as runs are that began at any moment.
        due = begin + (number % 97) / 97
        while due < begin + secs:
            time.sleep(max(0.0, due - time.monotonic()))
            began = time.monotonic()
            try:
                run.report()
            except lost_error:
                lost.append(number)
                return
            ended = time.monotonic()
            times.append(ended - began)
            lates.append(ended - due)
            due = max(due + _REPORT_SECS, ended)
        control.close()

    threads = [threading.Thread(target=drive, args=(number,)) for number in range(first, last)]
    cpu = time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cpu = time.process_time() - cpu
    return {"times": times, "late": max(lates), "cpu": cpu, "lost": len(lost)}


def _poll(readers: int, secs: float) -> dict[str, Any]:
    """Readers' open pages, and the supervisor's look every 10 s."""
    client = importlib.import_module("django.test").Client()
    user = importlib.import_module("django.contrib.auth.models").User.objects.get(
        username="operator"
    )
    supervisor = importlib.import_module("migrations_app.supervisor")
    client.force_login(user)
    times, keys = [], [""] * readers
    end, look_at = time.monotonic() + 3.0 + secs, time.monotonic() + 10.0
    while time.monotonic() < end:
        began = time.monotonic()
        for reader in range(readers):
            address = f"/admin/migrations_app/migrationrequest/{reader + 1}/live/"
            asked = time.monotonic()
            answer = client.get(address, headers={"X-Live-Key": keys[reader]})
            times.append(time.monotonic() - asked)
            keys[reader] = answer.headers.get("X-Live-Key", "")
        if time.monotonic() > look_at:
            supervisor.supervise()
            look_at += 10.0
        time.sleep(max(0.0, began + _POLL_SECS - time.monotonic()))
    return {"times": times}


def _quantile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def _cpu_secs(pid: int | None) -> float:
    if pid is None:
        return 0.0
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _show(console: Console, database: str, loads: list[Load]) -> None:
    table = Table(title=f"Reports of runs to one control database ({database})", box=None)
    headings = (
        "runs", "reports", "of", "median ms", "p99 ms", "most ms", "latest ms", "CPU ms each",
        "poll p99 ms", "database CPU", "leases lost",
    )  # fmt: skip
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for load in loads:
        table.add_row(*(str(value) for value in dataclasses.astuple(load)))
    console.print(table)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m playground.scaling",
        description="How many runs one control database bears: reports of simulated runs. Exit"
        " code 1: a run lost its lease.",
    )
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 50, 100, 200])
    parser.add_argument("--secs", type=float, default=30.0, help="for each number of runs")
    parser.add_argument("--database", choices=("sqlite", "mysql"), default="sqlite")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--drive", type=int, nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
