"""Orders from the pages: by role, by POST, with a confirmation where one cannot go back."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from migrations_app.models import Approval, Command, MigrationRequest, State
from tests.pages.conftest import MakeRequest


def order_url(req: MigrationRequest, kind: str) -> str:
    return reverse("admin:migrations_app_migrationrequest_order", args=(req.pk, kind))


def offered(client: Client, req: MigrationRequest) -> list[str]:
    """The orders a request's page offers."""
    page = client.get(reverse("admin:migrations_app_migrationrequest_change", args=(req.pk,)))
    return [order.kind for order in page.context["orders"]]


def state_of(req: MigrationRequest) -> str:
    req = MigrationRequest.objects.get(pk=req.pk)
    return str(req.state)


def test_an_approver_approves(clients: dict[str, Client], make_request: MakeRequest) -> None:
    req = make_request(State.SUBMITTED)
    assert offered(clients["approver"], req) == ["approve", "reject", "comment"]
    said = {"comment": "Fine.", "version": str(req.version)}
    clients["approver"].post(order_url(req, "approve"), said)
    assert state_of(req) == State.APPROVED
    assert Approval.objects.get().comment == "Fine."


def test_an_approval_names_the_version_that_was_seen(
    clients: dict[str, Client], make_request: MakeRequest
) -> None:
    req = make_request(State.SUBMITTED, version=4)
    for said in ({}, {"version": ""}, {"version": "3"}, {"version": "four"}):
        answer = clients["approver"].post(order_url(req, "approve"), said)
        assert {message.level_tag for message in get_messages(answer.wsgi_request)} == {"error"}
        assert state_of(req) == State.SUBMITTED
    clients["approver"].post(order_url(req, "approve"), {"version": "4"})
    assert state_of(req) == State.APPROVED


def test_nobody_approves_their_own_request(
    clients: dict[str, Client], people: dict[str, User], make_request: MakeRequest
) -> None:
    req = make_request(State.SUBMITTED, requester=people["approver"])
    assert "approve" not in offered(clients["approver"], req)
    clients["approver"].post(order_url(req, "approve"), {"version": str(req.version)})
    assert state_of(req) == State.SUBMITTED


def test_a_rejection_needs_a_reason(clients: dict[str, Client], make_request: MakeRequest) -> None:
    req = make_request(State.SUBMITTED)
    answer = clients["approver"].post(order_url(req, "reject"), {"comment": " "})
    assert any("why" in str(said) for said in get_messages(answer.wsgi_request))
    assert state_of(req) == State.SUBMITTED


def test_an_operator_starts_and_stops(
    clients: dict[str, Client], make_request: MakeRequest
) -> None:
    req = make_request(State.APPROVED)
    clients["operator"].post(order_url(req, "start"))
    assert state_of(req) == State.QUEUED
    clients["operator"].post(order_url(req, "stop"))
    assert state_of(req) == State.STOPPED


@pytest.mark.parametrize(
    "role,kind,state",
    [
        ("requester", "approve", State.SUBMITTED),
        ("requester", "start", State.APPROVED),
        ("requester", "stop", State.RUNNING),
        ("requester", "set_volume", State.RUNNING),
        ("requester", "cut_over", State.WAITING_FOR_CUTOVER),
        ("approver", "start", State.APPROVED),
        ("approver", "cancel", State.RUNNING),
        ("operator", "approve", State.SUBMITTED),
    ],
)
def test_what_a_role_may_not_order_is_not_offered_and_refused_by_address(
    clients: dict[str, Client], make_request: MakeRequest, role: str, kind: str, state: str
) -> None:
    req = make_request(state)
    assert kind not in offered(clients[role], req)
    answer = clients[role].post(order_url(req, kind), {"confirm": "orders", "volume": "5"})
    assert answer.status_code == 403
    assert state_of(req) == state
    assert not Command.objects.exists()


def test_an_irreversible_order_needs_the_table_name(
    clients: dict[str, Client], make_request: MakeRequest
) -> None:
    req = make_request(State.WAITING_FOR_CUTOVER, defer_cutover=True)
    clients["operator"].post(order_url(req, "cut_over"), {"confirm": "order"})
    assert not Command.objects.exists()
    clients["operator"].post(order_url(req, "cut_over"), {"confirm": "orders"})
    assert Command.objects.get().kind == "cut_over"


def test_the_volume_asked_for_is_kept(
    clients: dict[str, Client], make_request: MakeRequest
) -> None:
    req = make_request(State.STOPPED)
    clients["operator"].post(order_url(req, "set_volume"), {"volume": "7"})
    req.refresh_from_db(fields=["volume"])
    assert req.volume == 7


@pytest.mark.parametrize("volume", ["", "0", "12", "loud", "-1"])
def test_a_volume_that_is_none_is_refused_in_words(
    clients: dict[str, Client], make_request: MakeRequest, volume: str
) -> None:
    req = make_request(State.STOPPED)
    answer = clients["operator"].post(order_url(req, "set_volume"), {"volume": volume})
    assert any("1" in str(said) for said in get_messages(answer.wsgi_request))
    req.refresh_from_db(fields=["volume"])
    assert req.volume == 3


def test_an_order_is_given_by_post_with_a_token_only(
    people: dict[str, User], make_request: MakeRequest
) -> None:
    req = make_request(State.APPROVED)
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(people["operator"])
    assert strict.get(order_url(req, "start")).status_code == 405
    answer = strict.post(order_url(req, "start"))
    assert answer.status_code == 403
    assert "too old" in answer.content.decode()
    assert state_of(req) == State.APPROVED


def test_an_order_that_does_not_exist_is_not_found(
    clients: dict[str, Client], make_request: MakeRequest
) -> None:
    req = make_request(State.APPROVED)
    assert clients["operator"].post(order_url(req, "explode")).status_code == 404


def test_the_queue_offers_nothing_to_set_in_motion(
    clients: dict[str, Client], admin_client: Client
) -> None:
    page = admin_client.get(reverse("admin:django_q_failure_changelist"))
    assert page.status_code == 200
    assert "Resubmit" not in page.content.decode()
    for name in ("success", "failure", "schedule"):
        address = reverse(f"admin:django_q_{name}_add")
        assert admin_client.get(address).status_code == 403
        assert clients["operator"].get(address).status_code == 403
