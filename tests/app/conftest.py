"""People with one role each, and a target."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connections

from migrations_app.models import MigrationRequest, Target
from spirit_admin.settings import database
from tests.app.support import make_person, make_request, make_target
from tests.app.worker_support import Workers


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


@pytest.fixture
def workers(tmp_path: pathlib.Path, transactional_db: None) -> Iterator[Workers]:
    """The test's own connection is one to the workers' database while the test lasts."""
    crew = Workers(tmp_path)
    before = connections["default"]
    own = connections.create_connection("default")
    own.settings_dict = {
        **before.settings_dict,
        **database(crew.environment["DATABASE_URL"]),
        "TEST": before.settings_dict["TEST"],
    }
    connections["default"] = own
    try:
        call_command("migrate", verbosity=0)
        yield crew
    finally:
        crew.end()
        own.close()
        connections["default"] = before
