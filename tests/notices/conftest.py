"""People with a role each, a target, a request, and a receiver of notices."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client

from migrations_app.models import MigrationRequest, State, Target
from tests.app.support import make_person, make_request, make_target
from tests.notices.support import Receiver, running_receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def people(db: None) -> dict[str, User]:
    """One person a role, and ``guest`` without any; all may log in to the admin."""
    return {
        "requester": make_person("rita", "Requesters", is_staff=True),
        "approver": make_person("axel", "Approvers", is_staff=True),
        "operator": make_person("olga", "Operators", is_staff=True),
        "guest": make_person("gina", is_staff=True),
    }


@pytest.fixture
def clients(people: dict[str, User]) -> dict[str, Client]:
    """A logged-in browser for each of them."""
    found = {role: Client() for role in people}
    for role, client in found.items():
        client.force_login(people[role])
    return found


@pytest.fixture
def target(db: None) -> Target:
    return make_target()


@pytest.fixture
def submitted(target: Target, people: dict[str, User]) -> MigrationRequest:
    """The requester's request, waiting for approval."""
    return make_request(target, people["requester"], title="A note", state=State.SUBMITTED)
