"""Events as files: complete, in order, harmless to a spreadsheet, and for those who may."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, cast

import pytest
from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from django.test import Client
from django.urls import reverse

from migrations_app import exports, lifecycle
from migrations_app.models import Event, MigrationRequest
from tests.app.support import make_person


def url(form: str) -> str:
    return reverse("admin:migrations_app_event_export", args=(form,))


@pytest.fixture
def reader(operator: User) -> Client:
    operator.is_staff = True
    operator.save()
    client = Client()
    client.force_login(operator)
    return client


def body(client: Client, address: str) -> str:
    answer = cast(StreamingHttpResponse, client.get(address))
    assert answer.status_code == 200
    assert "attachment" in answer.headers["Content-Disposition"]
    return b"".join(cast(Any, answer.streaming_content)).decode()


def test_blocks_are_joined_without_a_gap(
    draft: MigrationRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "_BLOCK_ROWS", 4)
    for number in range(12):
        lifecycle.record(draft, "noted", f"Number {number}.")
    rows = json.loads("".join(exports.as_json(Event.objects.all())))
    assert [row["message"] for row in rows] == [f"Number {n}." for n in range(12)]
    lines = list(csv.DictReader(io.StringIO("".join(exports.as_csv(Event.objects.all())))))
    assert [row["message"] for row in lines] == [f"Number {n}." for n in range(12)]
    assert lines[0]["table"] == "shop.orders"


def test_no_events_are_an_empty_file(db: None) -> None:
    assert json.loads("".join(exports.as_json(Event.objects.all()))) == []
    assert "".join(exports.as_csv(Event.objects.all())).strip() == ",".join(exports.COLUMNS)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_is_never_a_formula(text: str, draft: MigrationRequest) -> None:
    lifecycle.record(draft, "commented", text, data={"a": "ü"})
    row = next(
        csv.DictReader(io.StringIO("".join(exports.as_csv(Event.objects.all())), newline=""))
    )
    assert row["message"] == f"'{text}"
    assert json.loads(row["data"]) == {"a": "ü"}
    assert json.loads("".join(exports.as_json(Event.objects.all())))[0]["message"] == text


def test_the_page_s_filters_hold_for_the_file(draft: MigrationRequest, reader: Client) -> None:
    lifecycle.record(draft, "noted", "one")
    lifecycle.record(draft, "throttled", "two")
    assert [row["message"] for row in json.loads(body(reader, url("json")))] == ["one", "two"]
    rows = json.loads(body(reader, f"{url('json')}?kind__exact=throttled"))
    assert [row["message"] for row in rows] == ["two"]
    assert "two" in body(reader, url("csv"))
    assert reader.get(url("xml")).status_code == 404
    page = reader.get(reverse("admin:migrations_app_event_changelist") + "?q=two")
    assert f"{url('csv')}?q=two" in page.content.decode()


def test_files_are_for_those_who_may_see_events(draft: MigrationRequest) -> None:
    client = Client()
    client.force_login(make_person("nobody", is_staff=True))
    assert client.get(url("csv")).status_code == 403
