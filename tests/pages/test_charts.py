"""The charts of a request page, who blocks a cut-over, and what the home page says is at risk."""

from __future__ import annotations

import datetime as dt

import pytest
from django.test import Client
from django.utils import timezone

from migrations_app.admin import charts, position_chart
from migrations_app.models import Checkpoint, Event, MigrationRequest, Run, Sample, State
from tests.pages.conftest import MakeRequest
from tests.pages.test_pages import url

BEGAN = dt.datetime(2026, 3, 1, 14, 0, tzinfo=dt.UTC)


def run_of(
    req: MigrationRequest, number: int, volume: int, began_secs: int, took_secs: int, outcome: str
) -> Run:
    run = Run.objects.create(
        request=req, number=number, lease_token=number, worker="w", pid=1, volume=volume,
        ended_at=BEGAN + dt.timedelta(seconds=began_secs + took_secs), outcome=outcome,
    )  # fmt: skip
    Run.objects.filter(pk=run.pk).update(started_at=BEGAN + dt.timedelta(seconds=began_secs))
    return run


def read(run: Run, at_secs: int, **values: float | None) -> None:
    sample = Sample.objects.create(
        run=run, phase="copy_rows", rows_copied=0,
        **{"rows_per_sec": 100.0, "deltas_waiting": 0, **values},
    )  # fmt: skip
    Sample.objects.filter(pk=sample.pk).update(taken_at=BEGAN + dt.timedelta(seconds=at_secs))


def test_the_time_between_runs_takes_no_room(make_request: MakeRequest) -> None:
    req = make_request(State.STOPPED)
    first = run_of(req, 1, 8, 0, 300, "stopped")
    # A day later.
    second = run_of(req, 2, 3, 86_400, 100, "lost")
    third = run_of(req, 3, 3, 90_000, 200, "stopped")
    for run, at_secs, rate in ((first, 150, 40.0), (second, 86_450, 80.0), (third, 90_100, 20.0)):
        read(run, at_secs, rows_per_sec=rate)
    drawn = charts.context(req)
    assert drawn["charted_secs"] == 600
    assert [(mark.x, mark.words) for mark in drawn["marks"]] == [
        (300.0, "volume 8 → 3"),
        (400.0, "its worker was lost"),
    ]
    rows = next(chart for chart in drawn["charts"] if chart.name == "rows")
    # Of 600 s in 600 units; at most 100 rows/s in 100 units, from above.
    assert rows.line == "M150.0 60.0M350.0 20.0M500.0 80.0"
    assert rows.scale == "100 rows/s"
    assert "20 rows/s at the last reading, at most 80 rows/s" in rows.summary


def test_a_chart_without_readings_is_not_drawn(make_request: MakeRequest) -> None:
    req = make_request(State.STOPPED)
    run = run_of(req, 1, 3, 0, 100, "stopped")
    assert charts.context(req)["charts"] == []
    for at_secs in (10, 20, 30):
        read(run, at_secs)
    drawn = charts.context(req)["charts"]
    assert [(chart.name, bool(chart.line)) for chart in drawn] == [
        ("rows", True), ("waiting", True), ("chunk", False),
    ]  # fmt: skip
    read(run, 40, replica_lag_secs=2.5, chunk_time_secs=0.4)
    assert all(chart.line for chart in charts.context(req)["charts"])
    assert len(charts.context(req)["charts"]) == 4


def test_a_run_that_has_only_begun_has_room_for_its_charts(make_request: MakeRequest) -> None:
    req = make_request(State.RUNNING)
    assert [chart.line for chart in charts.context(req)["charts"]] == ["", "", ""]


def test_of_many_readings_some_are_drawn_and_the_newest_always(make_request: MakeRequest) -> None:
    req = make_request(State.STOPPED)
    run = run_of(req, 1, 3, 0, 10_000, "stopped")
    for at_secs in range(charts.SHOWN_READINGS * 2 + 7):
        read(run, at_secs, rows_per_sec=float(at_secs))
    chart = charts.context(req)["charts"][0]
    assert charts.SHOWN_READINGS / 2 < chart.line.count(" ") <= charts.SHOWN_READINGS * 2
    assert chart.now == "486 rows/s"


def checkpoint(req: MigrationRequest, run: Run, n: int, **values: object) -> None:
    Checkpoint.objects.create(
        **{
            "request": req, "run": run, "engine_id": n, "binlog_name": f"binlog.{n:06}",
            "binlog_pos": 4, "phase": "copy_rows", "engine_version": "1", "created_at": BEGAN,
            **values,
        }
    )  # fmt: skip


def test_positions_before_the_oldest_log_are_gone(make_request: MakeRequest) -> None:
    req = make_request(State.STOPPED)
    run = run_of(req, 1, 3, 0, 100, "stopped")
    checkpoint(req, run, 40)
    assert position_chart.read(req) is None
    checkpoint(req, run, 42)
    before = position_chart.read(req)
    assert before is not None
    assert (before.oldest_y, before.oldest_log) == (None, "")
    checkpoint(req, run, 44, oldest_log="binlog.000042", newest_log="binlog.000047")
    chart = position_chart.read(req)
    assert chart is not None
    assert [point.gone for point in chart.points] == [True, False, False]
    assert chart.oldest_y is not None
    lowest, middle, highest = (point.y for point in chart.points)
    assert lowest > chart.oldest_y >= middle > highest
    assert "1 of the positions are before it" in chart.summary
    # A server that began anew with other names has another series.
    checkpoint(req, run, 1, binlog_name="mysql-bin.000001")
    assert position_chart.read(req) is None


@pytest.mark.parametrize("state", [State.CUTTING_OVER, State.RUNNING])
def test_who_blocks_the_cut_over_is_named_while_it_is_tried(
    clients: dict[str, Client], told: MigrationRequest, state: State
) -> None:
    MigrationRequest.objects.filter(pk=told.pk).update(state=state)
    one = {"session_id": 4711, "account": "reports@h", "rows_modified": 1234, "spared": "busy"}
    Event.objects.create(
        request=told, run=told.runs.first(), kind="cutover_blocked", message="Blocked.",
        data={"attempt": 3, "next_attempt_secs": 20.0, "blockers": [one]},
    )  # fmt: skip
    page = clients["operator"].get(url("migrationrequest_change", told.pk)).content.decode()
    shown = page.partition("data-blocked")[2].partition("</section>")[0]
    assert bool(shown) is (state == State.CUTTING_OVER)
    for words in ("attempt 3 did not get through", "4711", "reports@h", "1,234", "busy"):
        assert words in shown or not shown


def test_the_home_page_says_what_is_at_risk(
    clients: dict[str, Client], make_request: MakeRequest, told: MigrationRequest
) -> None:
    now = timezone.now()
    home = clients["operator"].get("/admin/").content.decode()
    assert "At risk" not in home
    for name, values, found in (
        ("Expiring", {"resumable": True, "log_expires_at": now + dt.timedelta(hours=3.5)}, "warn"),
        ("Lost", {"resumable": False, "why_not": "The log is gone."}, "bad"),
        ("Replaced", {"resumable": False, "why_not": "A newer checkpoint counts."}, ""),
        ("Safe", {"resumable": True, "log_expires_at": now + dt.timedelta(days=30)}, ""),
    ):
        req = make_request(State.STOPPED, title=name, table_name=f"t_{name}")
        run = run_of(req, 1, 3, 0, 100, "stopped")
        checkpoint(req, run, 7, rows_copied=12_345, **values)
        if found == "warn":
            MigrationRequest.objects.filter(pk=req.pk).update(expiry_warned_at=now)
    since = now - dt.timedelta(minutes=30)
    MigrationRequest.objects.filter(pk=told.pk).update(throttled="load", throttled_since=since)
    home = clients["operator"].get("/admin/").content.decode()
    risks = home.partition('id="risks"')[2].partition("</section>")[0]
    assert "can be resumed for about 3 h more; then 12,345 copied rows are lost" in risks
    assert "cannot be resumed: a start begins again at the first row. The log is gone." in risks
    assert "Held back for 30 min" in risks
    assert ("t_Replaced" in risks, "t_Safe" in risks) == (False, False)
    assert risks.index("t_Lost") < risks.index("t_Expiring")
