"""Pages and answers with many rows behind them: ``script/crowd`` fills a control database and asks.

Server time is what the application takes for an answer, in this process, without a network; the
first answer of a page, which loads templates, is not counted.
"""

from __future__ import annotations

import argparse
import importlib
import pathlib
import statistics
import sys
import tempfile
import time
from typing import Any

from django.db import connection
from django.test.utils import CaptureQueriesContext
from rich.console import Console
from rich.table import Table

from playground import control

LIMIT_MS = 300.0
_ROUNDS = 7

# The tables that grow, filled on the database: %(n)s rows, spread over all requests.
_NUMBERS = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})"
_FILLS = {
    "runs": (
        "INSERT INTO migrations_app_run (request_id, number, lease_token, worker, pid, volume, "
        "method, started_at, outcome, message, rows_at_start, rows_at_end) "
        + _NUMBERS
        + " SELECT 1 + i % {requests}, i, 1, 'w', 1, 3, 'copy', CURRENT_TIMESTAMP, 'stopped', '', "
        "0, i FROM n"
    ),
    "checkpoints": (
        "INSERT INTO migrations_app_checkpoint (request_id, run_id, engine_id, copier_watermark, "
        "checksum_watermark, binlog_name, binlog_pos, gtid_set, phase, deferred_indexes, "
        "cutover_intent, rows_copied, engine_version, created_at, received_at, why_not, "
        "oldest_log, newest_log) "
        + _NUMBERS
        + " SELECT 1 + i % {requests}, 1 + i % {runs}, i, '', '', 'binlog.000042', i, '', "
        "'copy_rows', '', 0, i, '1', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, '', '', '' FROM n"
    ),
    "events": (
        "INSERT INTO migrations_app_event (request_id, run_id, kind, level, message, data, "
        "created_at) "
        + _NUMBERS
        + " SELECT 1 + i % {requests}, 1 + i % {runs}, CASE i % 5 WHEN 0 THEN 'throttled' WHEN 1 "
        "THEN 'stopped' ELSE 'resumed' END, 'info', 'Something happened.', '{{}}', "
        "CURRENT_TIMESTAMP FROM n"
    ),
    "samples": (
        "INSERT INTO migrations_app_sample (run_id, taken_at, phase, rows_copied, rows_checked, "
        "rows_per_sec, deltas_waiting, chunk_time_secs) "
        + _NUMBERS
        + " SELECT 1 + i % {runs}, CURRENT_TIMESTAMP, 'copy_rows', i, 0, 1000, 0, 0.5 FROM n"
    ),
}


def fill(sizes: dict[str, int]) -> None:
    """So many requests, runs, checkpoints, events and samples; a superuser called ``root``."""
    models = importlib.import_module("migrations_app.models")
    people = importlib.import_module("django.contrib.auth.models").User.objects
    root = people.create_superuser("root")
    targets = [
        models.Target(name=f"target {n}", host="127.0.0.1", port=1, user="u", database="shop")
        for n in range(20)
    ]
    models.Target.objects.bulk_create(targets)
    states = models.State.values
    models.MigrationRequest.objects.bulk_create(
        [
            models.MigrationRequest(
                target=targets[n % len(targets)],
                statement=f"ALTER TABLE t{n} ADD COLUMN note VARCHAR(40)",
                schema_name="shop",
                table_name=f"t{n}",
                title=f"A note for t{n}",
                requester=root,
                # Most have ended, as after years of use.
                state=states[n % len(states)] if n % 10 == 0 else models.State.COMPLETED,
            )
            for n in range(sizes["requests"])
        ],
        batch_size=500,
    )
    with connection.cursor() as cursor:
        for name, sql in _FILLS.items():
            cursor.execute(sql.format(rows=sizes[name], **sizes))
        cursor.execute("ANALYZE")


def measure() -> list[tuple[str, int, float, float]]:
    """Each address: its queries, and the median and longest server time in milliseconds."""
    root = importlib.import_module("django.contrib.auth.models").User.objects.get()
    _, secret = importlib.import_module("migrations_app.tokens").make(root, "crowd", ["read"])
    client = importlib.import_module("django.test").Client(
        headers={"authorization": f"Bearer {secret}"}
    )
    client.force_login(root)
    found = []
    for address in _addresses():
        client.get(address)
        times, queries = [], 0
        for _ in range(_ROUNDS):
            with CaptureQueriesContext(connection) as captured:
                began = time.perf_counter()
                answer = client.get(address)
                times.append((time.perf_counter() - began) * 1000)
            queries = len(captured)
            if answer.status_code not in (200, 286):
                raise SystemExit(f"{address} answered {answer.status_code}.")
        found.append((address, queries, statistics.median(times), max(times)))
    return found


def _addresses() -> list[str]:
    models = importlib.import_module("migrations_app.models")
    running = models.MigrationRequest.objects.filter(state="running").first()
    admin = "/admin/migrations_app"
    middle_page = models.MigrationRequest.objects.count() // 250
    return [
        "/admin/",
        f"{admin}/migrationrequest/",
        f"{admin}/migrationrequest/?p={middle_page}",
        f"{admin}/migrationrequest/?q=note",
        f"{admin}/migrationrequest/{running.pk}/change/",
        f"{admin}/migrationrequest/{running.pk}/live/",
        f"{admin}/event/",
        f"{admin}/event/?request__id__exact={running.pk}",
        f"{admin}/checkpoint/",
        f"{admin}/run/",
        f"{admin}/command/",
        f"{admin}/target/",
        *_api_addresses(running.pk),
    ]


def _api_addresses(number: int) -> list[str]:
    api = "/api/v1/requests"
    return [
        f"{api}?limit=200",
        f"{api}?state=running&before=5000",
        f"{api}/{number}",
        f"{api}/{number}/events?limit=200",
        f"{api}/{number}/checkpoints?limit=200",
        "/metrics",
    ]


def main(arguments: list[str]) -> int:
    given = _options(arguments)
    sizes = {
        "requests": given.requests,
        "runs": given.requests * 2,
        "checkpoints": given.checkpoints,
        "events": given.events,
        "samples": given.checkpoints,
    }
    with tempfile.TemporaryDirectory(prefix="spirit-crowd-") as folder:
        control.set_up(
            {
                "DJANGO_SETTINGS_MODULE": "spirit_admin.settings",
                "VAR_DIR": folder,
                "DATABASE_URL": f"sqlite:///{pathlib.Path(folder) / 'control.sqlite3'}",
                "GENERATE_KEYS": "on",
                "ALLOWED_HOSTS": "testserver",
                "LOG_LEVEL": "ERROR",
                "METRICS_PUBLIC": "on",
            }
        )
        fill(sizes)
        found = measure()
        control.close()
    _print(sizes, found)
    return 1 if any(median > LIMIT_MS for _, _, median, _ in found) else 0


def _print(sizes: dict[str, int], found: list[tuple[str, int, float, float]]) -> None:
    table = Table(title=", ".join(f"{number:,} {name}" for name, number in sizes.items()))
    for heading in ("Address", "Queries", "Median ms", "Longest ms"):
        is_address = heading == "Address"
        table.add_column(heading, justify="left" if is_address else "right", overflow="fold")
    for address, queries, median, longest in found:
        style = "red" if median > LIMIT_MS else ""
        table.add_row(address, str(queries), f"{median:.0f}", f"{longest:.0f}", style=style)
    Console().print(table)


def _options(arguments: list[str]) -> Any:
    parser = argparse.ArgumentParser(
        prog="script/crowd",
        description="How long pages and answers take with many rows. Exit code 0: each within"
        f" {LIMIT_MS:.0f} ms of server time.",
    )
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--checkpoints", type=int, default=500_000)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
