"""Texts, numbers and dates that cannot be stored are answered with what is wrong, never by 500."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from migrations_app.models import MigrationRequest, State, Target
from tests.api.test_api import ADD, ask
from tests.app.support import make_person, put_in_state

HUGE = 10**30
SURROGATE = "a \ud800 b"


@pytest.mark.parametrize(
    "body",
    [
        {"reason": SURROGATE},
        {"target": SURROGATE},
        {"acknowledgement": SURROGATE},
        {"hours": SURROGATE},
        {"statement": f"ALTER TABLE t COMMENT '{SURROGATE}'"},
        {"title": SURROGATE},
        {"defer_indexes": SURROGATE},
        {"target": "shop\x00"},
        {SURROGATE: "x"},
        {"start_after": "9999-12-31T23:59:59-12:00"},
        {"start_after": "9999-12-31T23:59:59Z"},
        {"start_after": "0001-01-01T00:00:00+12:00"},
        {"start_after": 10**18},
        {"start_after": "1" * 5000},
        {"checkpoint_max_age_secs": HUGE},
        {"checkpoint_max_age_secs": 2**63},
        {"volume": HUGE},
    ],
)
def test_a_request_that_cannot_be_stored(body: dict[str, Any], target: Target) -> None:
    asked = {"target": "shop", "statement": ADD, **body}
    with override_settings(TIME_ZONE="Asia/Tokyo"), timezone.override("Asia/Tokyo"):
        status, said = ask(make_person("both", "Requesters"), "POST", "/requests", asked)
    assert (status in (409, 422), bool(said["detail"])) == (True, True), (status, said)
    assert not MigrationRequest.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        {"reason": SURROGATE},
        {"statement": f"{ADD} COMMENT '{SURROGATE}'"},
        {"start_after": "9999-12-31T23:59:59-12:00"},
        {"checkpoint_max_age_secs": HUGE},
        {"version": HUGE},
    ],
)
def test_a_change_that_cannot_be_stored(body: dict[str, Any], draft: MigrationRequest) -> None:
    changes = {"version": draft.version, **body}
    status, said = ask(draft.requester, "PATCH", f"/requests/{draft.pk}", changes)
    assert (status in (409, 422), bool(said["detail"])) == (True, True), (status, said)


@pytest.mark.parametrize(
    "kind,body",
    [
        ("comment", {"comment": SURROGATE}),
        ("schedule", {"hours": SURROGATE}),
        ("schedule", {"start_after": "9999-12-31T23:59:59-12:00"}),
        ("schedule", {"start_after": "0001-01-01T00:00:00+12:00"}),
        ("set_volume", {"volume": HUGE}),
        ("stop", {"version": HUGE}),
        ("stop", {"version": -HUGE}),
    ],
)
def test_an_order_that_cannot_be_stored(
    kind: str, body: dict[str, Any], draft: MigrationRequest
) -> None:
    put_in_state(draft, State.QUEUED)
    person = make_person("olaf", "Operators")
    status, said = ask(person, "POST", f"/requests/{draft.pk}/orders/{kind}", body)
    assert (status in (409, 422), bool(said["detail"])) == (True, True), (status, said)


@pytest.mark.parametrize("number", [HUGE, -HUGE, 2**63, "9" * 5000, "²"])
@pytest.mark.parametrize("part", ["", "/events", "/runs", "/checkpoints", "/orders"])
def test_a_request_of_a_number_too_large(part: str, number: object, db: None) -> None:
    status, said = ask(make_person("olaf", "Operators"), "GET", f"/requests/{number}{part}")
    assert (status in (404, 422), bool(said["detail"])) == (True, True), (status, said)


@pytest.mark.parametrize("number", [HUGE, -HUGE, 2**63, "9" * 5000])
@pytest.mark.parametrize("part", ["", "/events", "/runs", "/checkpoints", "/orders"])
def test_a_page_before_a_number_too_large(
    part: str, number: object, draft: MigrationRequest
) -> None:
    path = f"/requests/{draft.pk}{part}" if part else "/requests"
    status, _ = ask(make_person("olaf", "Operators"), "GET", f"{path}?before={number}")
    assert status in (200, 422)


@pytest.mark.parametrize("name", ["target", "table", "requester"])
def test_a_filter_that_no_name_can_match(name: str, draft: MigrationRequest) -> None:
    person = make_person("olaf", "Operators")
    assert ask(person, "GET", f"/requests?{name}=%00")[0] == 422
    assert ask(person, "GET", f"/requests?{name}=%ED%A0%80")[0] == 200
