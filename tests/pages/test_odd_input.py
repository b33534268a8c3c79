"""Numbers, dates and texts that no database can hold are answered in words, never by a crash."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.messages import get_messages
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from migrations_app.models import MigrationRequest, State
from tests.pages.conftest import STATEMENT, MakeRequest
from tests.pages.test_orders import order_url

HUGE = 10**30
ENDLESS = "9" * 5000
LISTS = sorted(
    f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry
)
QUERIES = {
    "checkpoint": ("request", "run", "request__target__id__exact", "created_at__year"),
    "command": ("request", "actor", "request__target__id__exact", "asked_at__gte"),
    "event": ("request", "run", "request__target__id__exact", "created_at__day"),
    "migrationrequest": ("target__id__exact", "requester__id__exact", "id__in", "volume"),
    "run": ("request", "resumed_from", "number"),
    "noticedelivery": ("event__request__target__id__exact", "channel"),
}
ODD = (str(HUGE), str(-HUGE), ENDLESS, "²", "1e400", "0", "9999-12-31 23:59:59-12:00")


@pytest.fixture
def client_of_all(admin_client: Client) -> Client:
    admin_client.raise_request_exception = False
    return admin_client


@pytest.mark.parametrize("listed", LISTS)
def test_a_list_is_asked_for_by_what_cannot_be(client_of_all: Client, listed: str) -> None:
    address = reverse(f"admin:{listed}_changelist")
    names = ("id", "pk__in", "p", "o", *QUERIES.get(listed.removeprefix("migrations_app_"), ()))
    for name in names:
        for value in ODD:
            answer = client_of_all.get(address, {name: value})
            assert answer.status_code in (200, 302), f"?{name}={value[:40]}"


@pytest.mark.parametrize("listed", LISTS)
def test_a_page_of_a_number_too_large_is_not_found(client_of_all: Client, listed: str) -> None:
    list_address = reverse(f"admin:{listed}_changelist")
    for number in (str(HUGE), ENDLESS, "²"):
        for part in ("", "change/", "edit/", "live/", "test/"):
            answer = client_of_all.get(f"{list_address}{number}/{part}", follow=True)
            assert answer.status_code in (200, 403, 404, 405), f"{number[:40]}/{part}"


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_download_by_a_number_too_large(client_of_all: Client, form: str) -> None:
    address = reverse("admin:migrations_app_event_export", args=(form,))
    assert client_of_all.get(address, {"request": HUGE}).status_code == 404


@pytest.mark.parametrize("number", [HUGE, ENDLESS, "²"])
def test_a_new_request_like_one_that_cannot_be(clients: dict[str, Client], number: object) -> None:
    clients["requester"].raise_request_exception = False
    address = reverse("admin:migrations_app_migrationrequest_add")
    answer = clients["requester"].get(address, {"like": str(number)})
    assert answer.status_code in (200, 404)


@pytest.mark.parametrize("number", [HUGE, ENDLESS, "²"])
@pytest.mark.parametrize("field", ["volume", "version"])
def test_an_order_with_a_number_too_large(
    clients: dict[str, Client], make_request: MakeRequest, field: str, number: object
) -> None:
    clients["operator"].raise_request_exception = False
    req = make_request(State.STOPPED)
    said = {"volume": "5", field: str(number)}
    answer = clients["operator"].post(order_url(req, "set_volume"), said)
    assert answer.status_code == 302
    assert [message.level_tag for message in get_messages(answer.wsgi_request)] == ["error"]
    req.refresh_from_db(fields=["volume"])
    assert req.volume == 3


@pytest.mark.parametrize("number", [HUGE, ENDLESS, "²"])
def test_an_edit_of_a_version_too_large(
    clients: dict[str, Client], make_request: MakeRequest, number: object
) -> None:
    clients["requester"].raise_request_exception = False
    req = make_request(State.DRAFT)
    address = reverse("admin:migrations_app_migrationrequest_edit", args=(req.pk,))
    posted = {"target": req.target_id, "statement": STATEMENT, "volume": 3, "title": "Another",
              "checkpoint_max_age_hours": 5, "defer_indexes": "auto", "action": "draft",
              "version": str(number)}  # fmt: skip
    assert clients["requester"].post(address, posted).status_code == 422
    assert MigrationRequest.objects.get().title == req.title


DATES = ["9999-12-31T23:59", "0001-01-01T00:00", "9999-12-31T23:59:59-12:00", "2099-01-01T00:00"]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
@pytest.mark.parametrize("date", DATES)
def test_a_schedule_far_away_is_refused_in_words(
    clients: dict[str, Client], make_request: MakeRequest, zone: str, date: str
) -> None:
    clients["operator"].raise_request_exception = False
    req = make_request(State.APPROVED)
    with override_settings(TIME_ZONE=zone), timezone.override(zone):
        answer = clients["operator"].post(order_url(req, "schedule"), {"start_after": date})
        assert answer.status_code == 302
        assert [message.level_tag for message in get_messages(answer.wsgi_request)] == ["error"]
        page = reverse("admin:migrations_app_migrationrequest_change", args=(req.pk,))
        assert clients["operator"].get(page).status_code == 200
    req.refresh_from_db()
    assert req.start_after is None


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Los_Angeles"])
@pytest.mark.parametrize("date", DATES)
def test_a_request_for_a_time_far_away_is_refused_beside_its_field(
    clients: dict[str, Client], make_request: MakeRequest, zone: str, date: str
) -> None:
    clients["requester"].raise_request_exception = False
    req = make_request(State.DRAFT)
    address = reverse("admin:migrations_app_migrationrequest_edit", args=(req.pk,))
    posted = {"target": req.target_id, "statement": STATEMENT, "volume": 3, "start_after": date,
              "checkpoint_max_age_hours": 5, "defer_indexes": "auto"}  # fmt: skip
    with override_settings(TIME_ZONE=zone), timezone.override(zone):
        answer = clients["requester"].post(address, posted)
        assert answer.status_code == 422
        assert answer.context["form"].errors["start_after"]
    req.refresh_from_db()
    assert req.start_after is None
