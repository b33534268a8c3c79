"""Every order in every state by every role, by its address: the page does what the rules say."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from migrations_app import offers
from migrations_app.models import Command, Event, MigrationRequest, State
from tests.pages.conftest import MakeRequest
from tests.pages.test_orders import offered, order_url

POSTED: dict[str, str] = {"comment": "Because.", "volume": "5", "confirm": "orders"}
# The target is asked, and none listens: given, and refused for that.
NEEDS_TARGET = {"submit"}


def trace(request: MigrationRequest) -> tuple[Any, ...]:
    """What an order leaves behind."""
    row = MigrationRequest.objects.get(pk=request.pk)
    return (
        row.state, row.version, row.volume, row.cutover_held, row.desired_state,
        Command.objects.count(), Event.objects.count(),
    )  # fmt: skip


@pytest.mark.parametrize("role", ["requester", "approver", "operator"])
@pytest.mark.parametrize("state", State.values)
@pytest.mark.parametrize("kind", offers.ORDERS)
def test_a_page_offers_and_accepts_what_the_rules_allow_and_nothing_else(
    kind: str,
    state: str,
    role: str,
    clients: dict[str, Client],
    people: dict[str, User],
    make_request: MakeRequest,
) -> None:
    request = make_request(State(state), defer_cutover=True)
    why_not = offers.why_not(offers.ORDERS[kind], request, people[role])
    assert (kind in offered(clients[role], request)) is (not why_not and kind != "set_volume")
    before = trace(request)
    seen = {"version": str(request.version)}
    answer = clients[role].post(order_url(request, kind), POSTED | seen)
    assert answer.status_code in (302, 403)
    if why_not or kind in NEEDS_TARGET:
        assert trace(request) == before
    else:
        assert answer.status_code == 302
        assert trace(request) != before
