"""People with one role each, and a target."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from migrations_app.models import MigrationRequest, Target
from tests.app.support import make_person, make_request, make_target


@pytest.fixture
def requester(db: None) -> User:
    return make_person("rita", "Requesters")


@pytest.fixture
def approver(db: None) -> User:
    return make_person("axel", "Approvers")


@pytest.fixture
def operator(db: None) -> User:
    return make_person("olga", "Operators")


@pytest.fixture
def target(db: None) -> Target:
    return make_target()


@pytest.fixture
def draft(target: Target, requester: User) -> MigrationRequest:
    return make_request(target, requester)
