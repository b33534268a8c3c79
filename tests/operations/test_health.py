"""Whether it lives, whether it can work, and what Prometheus reads."""

from __future__ import annotations

import datetime as dt

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from migrations_app import heartbeat, lifecycle
from migrations_app.models import (
    Checkpoint,
    Command,
    MigrationRequest,
    Run,
    Sample,
    State,
    Target,
    Worker,
)
from tests.app.support import PASSWORD, make_request, put_in_state, wait_for
from tests.app.worker_support import Workers


def test_the_process_is_healthy_without_a_database(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def ready(client: Client) -> tuple[int, str]:
    answer = client.get("/readyz")
    return answer.status_code, str(answer.json()["checks"]["workers"])


def test_it_is_ready_while_a_worker_lives(client: Client, db: None) -> None:
    assert ready(client) == (503, "No worker lives: start manage.py worker.")
    heartbeat.beat("one:1", 4)
    assert ready(client) == (200, "ok")
    Worker.objects.update(seen_at=lifecycle.in_secs(-31))
    assert ready(client)[0] == 503
    heartbeat.beat("one:1", 4)
    assert ready(client)[0] == 200
    heartbeat.draining("one:1")
    assert ready(client)[0] == 503
    heartbeat.ended("one:1")
    assert not Worker.objects.exists()


def test_it_is_not_ready_before_its_migrations(client: Client, db: None) -> None:
    heartbeat.beat("one:1", 4)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["migrations"]) == (
        503,
        "1 to be applied: run manage.py migrate.",
    )


def test_rows_of_workers_that_vanished_are_forgotten(db: None) -> None:
    heartbeat.beat("lost:1", 4)
    Worker.objects.update(seen_at=lifecycle.in_secs(-2 * 86400))
    heartbeat.beat("new:1", 4)
    assert [worker.name for worker in Worker.objects.all()] == ["new:1"]


def test_a_real_worker_makes_it_ready_and_takes_its_row_along(
    workers: Workers, client: Client
) -> None:
    process = workers.start()
    wait_for("a live worker", lambda: ready(client)[0] == 200)
    assert Worker.objects.get().concurrency == 1
    process.terminate()
    assert process.wait(30) == 0
    assert not Worker.objects.exists()


# -- metrics


@pytest.fixture
def running(target: Target, requester: object) -> MigrationRequest:
    request = make_request(target, requester)  # type: ignore[arg-type]
    put_in_state(
        request, State.RUNNING, rows_copied=5_000, rows_per_sec=123.0, fraction=0.25,
        deltas_waiting=7, lease_expires_at=lifecycle.in_secs(20), last_heartbeat_at=Now(),
    )  # fmt: skip
    run = Run.objects.create(request=request, number=1, lease_token=1, worker="w", pid=1, volume=3)
    Checkpoint.objects.create(
        request=request, run=run, engine_id=1, binlog_name="b.1", binlog_pos=4, phase="copy_rows",
        engine_version="1", created_at=run.started_at,
        log_expires_at=timezone.now() + dt.timedelta(hours=10),
    )  # fmt: skip
    Sample.objects.create(
        run=run, phase="copy_rows", rows_copied=1, rows_per_sec=1, deltas_waiting=1,
        replica_lag_secs=3.5,
    )  # fmt: skip
    return request


def test_metrics_are_off_until_a_token_is_set(
    client: Client, db: None, settings: LazySettings
) -> None:
    settings.METRICS_TOKEN, settings.METRICS_PUBLIC = "", False
    assert client.get("/metrics").status_code == 404
    settings.METRICS_TOKEN = "a token of the scraper"
    assert client.get("/metrics").status_code == 401
    wrong = {"authorization": "Bearer a token"}
    assert client.get("/metrics", headers=wrong).status_code == 401
    right = {"authorization": "Bearer a token of the scraper"}
    assert client.get("/metrics", headers=right).status_code == 200


def scraped(client: Client) -> dict[str, float]:
    text = client.get("/metrics").content.decode()
    assert PASSWORD not in text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_what_is_under_way_is_measured(
    client: Client, running: MigrationRequest, settings: LazySettings
) -> None:
    settings.METRICS_PUBLIC = True
    Command.objects.create(request=running, kind="stop", actor=running.requester)
    heartbeat.beat("one:1", 4)
    found = scraped(client)
    of = f'{{request="{running.pk}",table="orders",target="shop"}}'
    assert found['spirit_requests{state="running",target="shop"}'] == 1
    assert found[f"spirit_rows_per_second{of}"] == 123
    assert found[f"spirit_deltas_waiting{of}"] == 7
    assert found[f"spirit_replica_lag_seconds{of}"] == 3.5
    assert found[f"spirit_checkpoint_log_hours_left{of}"] == pytest.approx(10, abs=0.1)
    assert 0 <= found[f"spirit_lease_age_seconds{of}"] < 60
    assert found["spirit_open_orders_length"] == 1
    assert found['spirit_runs{outcome="running"}'] == 1
    assert (found["spirit_workers"], found["spirit_worker_places"]) == (1, 4)


def test_a_scrape_costs_the_same_for_many_requests(
    client: Client, running: MigrationRequest, settings: LazySettings
) -> None:
    settings.METRICS_PUBLIC = True

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/metrics").status_code == 200
        return len(captured)

    few = queries()
    for _ in range(20):
        other = make_request(running.target, running.requester)
        put_in_state(other, State.RUNNING)
        Run.objects.create(request=other, number=1, lease_token=1, worker="w", pid=1, volume=3)
    assert queries() == few <= 16
