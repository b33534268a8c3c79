"""Three people with a role each, a target with a secret, and a request in any state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from migrations_app.models import Checkpoint, Event, MigrationRequest, Run, State, Target

SECRET = "correct horse battery staple"
STATEMENT = "ALTER TABLE orders ADD COLUMN note VARCHAR(200) NULL"
ROLES = {"requester": "Requesters", "approver": "Approvers", "operator": "Operators"}

MakeRequest = Callable[..., MigrationRequest]


@pytest.fixture
def people(db: None) -> dict[str, User]:
    """One person a role, all of whom may log in to the admin."""
    found = {}
    for name, group in ROLES.items():
        user = User.objects.create(username=name, is_staff=True)
        user.groups.add(Group.objects.get(name=group))
        found[name] = user
    return found


@pytest.fixture
def clients(people: dict[str, User]) -> dict[str, Client]:
    """A logged-in browser for each of them."""
    found = {}
    for name, user in people.items():
        found[name] = Client()
        found[name].force_login(user)
    return found


@pytest.fixture
def target(db: None) -> Target:
    """A target on a port where nothing listens."""
    found = Target(name="Shop", host="127.0.0.1", port=1, user="app", database="shop")
    found.set_password(SECRET)
    found.set_replica_dsns([f"mysql://app:{SECRET.replace(' ', '-')}@replica.example:3306/shop"])
    found.save()
    return found


@pytest.fixture
def make_request(people: dict[str, User], target: Target) -> MakeRequest:
    """Makes a request in any state, by the requester."""

    def make(state: str = State.SUBMITTED, **fields: Any) -> MigrationRequest:
        fields = {
            "target": target,
            "statement": STATEMENT,
            "schema_name": "shop",
            "table_name": "orders",
            "title": "A note",
            "requester": people["requester"],
            "state": state,
            **fields,
        }
        return MigrationRequest.objects.create(**fields)

    return make


@pytest.fixture
def told(make_request: MakeRequest) -> MigrationRequest:
    """A running request with a history: runs, checkpoints and events."""
    req = make_request(
        State.RUNNING, phase="copy_rows", method="copy", rows_copied=437_211, rows_total=1_000_213,
        fraction=0.437, rows_per_sec=24_311.0, eta_secs=83.0, running_volume=3,
    )  # fmt: skip
    run = Run.objects.create(request=req, number=1, lease_token=1, worker="w", pid=1, volume=3)
    checkpoint = Checkpoint.objects.create(
        request=req, run=run, engine_id=1, binlog_name="binlog.000042", binlog_pos=4567,
        phase="copy_rows", rows_copied=401_000, engine_version="1", created_at=run.started_at,
        copier_watermark='{"Key": ["id"], "UpperBound": {"Value": ["401001"], "Inclusive": false}}',
    )  # fmt: skip
    Run.objects.create(
        request=req, number=2, lease_token=2, worker="w", pid=1, volume=3, resumed_from=checkpoint
    )
    Event.objects.create(request=req, run=run, kind="started", message="Copying with 2 threads.")
    return req
