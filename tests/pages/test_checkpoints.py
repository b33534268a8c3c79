"""What the pages say of a checkpoint: until when it can be resumed, or why not."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from migrations_app import mirrors, words
from migrations_app.models import Checkpoint, MigrationRequest
from tests.app.support import put_in_state

DETAIL = "/admin/migrations_app/migrationrequest/{}/change/"
LIST = "/admin/migrations_app/checkpoint/"


def in_hours(hours: float) -> dt.datetime:
    return timezone.now() + dt.timedelta(hours=hours, minutes=1)


# the mirror, the request's state, what both pages say, what the request's page says besides
STANDINGS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "long": ({"resumable": True, "log_expires_at": 100}, "stopped", "for about 4 d", ""),
    "soon": ({"resumable": True, "log_expires_at": 5}, "stopped", "for about 5 h", "data-expiring"),
    "over": ({"resumable": True, "log_expires_at": -1}, "stopped", "not for sure", "data-expiring"),
    "running": ({"resumable": True, "log_expires_at": 5}, "running", "for about 5 h", ""),
    "gone": (
        {"resumable": False, "why_not": "The log is gone."}, "stopped", "not resumable",
        "data-unusable",
    ),
    "replaced": ({"resumable": False, "why_not": mirrors.SUPERSEDED}, "stopped", "replaced", ""),
    "unknown": ({}, "stopped", "not looked at yet", ""),
    "ended": ({"resumable": True}, "completed", "not needed", ""),
}  # fmt: skip
BANNERS = ("data-expiring", "data-unusable")


@pytest.mark.parametrize("name", STANDINGS)
def test_the_pages_say_until_when_or_why_not(
    name: str, clients: dict[str, Client], told: MigrationRequest
) -> None:
    fields, state, label, banner = STANDINGS[name]
    if "log_expires_at" in fields:
        fields = {**fields, "log_expires_at": in_hours(fields["log_expires_at"])}
    Checkpoint.objects.filter(request=told).update(**fields)
    put_in_state(told, state)  # type: ignore[arg-type]
    page = clients["operator"].get(DETAIL.format(told.pk)).content.decode()
    shown = clients["operator"].get(LIST).content.decode()
    assert label in page
    assert label in shown
    assert "run 2" in page  # which resumed from it
    for one in BANNERS:
        assert (one in page) is (one == banner), one
    if "why_not" in fields and banner:
        assert fields["why_not"] in page


def test_a_target_that_was_not_asked_is_named(
    clients: dict[str, Client], told: MigrationRequest
) -> None:
    why = f"{mirrors.NOT_ASKED} 2026-11-23 12:00 UTC: no route."
    Checkpoint.objects.filter(request=told).update(resumable=True, why_not=why)
    assert why in clients["operator"].get(DETAIL.format(told.pk)).content.decode()


def test_an_age_limit_is_no_matter_of_the_log(
    clients: dict[str, Client], told: MigrationRequest
) -> None:
    Checkpoint.objects.filter(request=told).update(resumable=True)
    put_in_state(told, "stopped", checkpoint_max_age_secs=5 * 3600)  # type: ignore[arg-type]
    page = clients["operator"].get(DETAIL.format(told.pk)).content.decode()
    assert "older than the request allows, which is 5 h" in page
    assert "or raise" not in page


def test_a_forecast_in_one_part() -> None:
    spans = {30: "less than a minute", 90: "about a minute", 600: "about 10 min", 29.9 * 3600: "about 29 h", 3 * 86400: "about 3 d"}  # fmt: skip  # noqa: E501
    assert {secs: words.about(secs) for secs in spans} == spans


def test_checkpoints_are_found_by_the_step_they_belong_to(
    clients: dict[str, Client], told: MigrationRequest
) -> None:
    found = Checkpoint.objects.get(request=told)
    Checkpoint.objects.filter(pk=found.pk).update(phase="post_checksum", binlog_name="binlog.4711")
    for step, is_there in (("checksum", True), ("copy_rows", False), ("nonsense", True)):
        shown = clients["operator"].get(LIST, {"step": step}, follow=True).content.decode()
        assert ("binlog.4711" in shown) is is_there, step
