"""Rows that tests begin with, and waiting for what a test claims."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import Group, User

from migrations_app.engine import Dsn
from migrations_app.models import MigrationRequest, State, Target

PASSWORD = "hunter2-of-the-shop"
STATEMENT = "ALTER TABLE orders ADD COLUMN note VARCHAR(40)"


def make_person(name: str, *roles: str, **fields: Any) -> User:
    """An account with these roles."""
    person = User.objects.create(username=name, **fields)
    person.groups.set(Group.objects.filter(name__in=roles))
    return person


def make_target(dsn: Dsn | None = None, **fields: Any) -> Target:
    """A target at a server; without one, at an address where nobody listens."""
    target = Target(
        name=fields.pop("name", "shop"),
        host=dsn.host if dsn else "127.0.0.1",
        port=dsn.port if dsn else 1,
        user=dsn.user if dsn else "shop",
        database=dsn.database if dsn else "shop",
        **fields,
    )
    target.set_password(dsn.password if dsn else PASSWORD)
    target.save()
    return target


def make_request(target: Target, requester: User, **fields: Any) -> MigrationRequest:
    """A request, a draft unless ``state`` says otherwise."""
    values = {"statement": STATEMENT, "schema_name": target.database, "table_name": "orders"}
    return MigrationRequest.objects.create(
        target=target, requester=requester, **{**values, **fields}
    )


def put_in_state(request: MigrationRequest, state: State, **fields: Any) -> None:
    """Put a request where a test begins, past the lifecycle."""
    MigrationRequest.objects.filter(pk=request.pk).update(state=state, **fields)
    request.refresh_from_db()


def wait_for(what: str, condition: Callable[[], Any], timeout_secs: float = 60.0) -> Any:
    """The first true answer of a condition. Fails when there is none in time."""
    deadline = time.monotonic() + timeout_secs
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"Not within {timeout_secs:.0f} s: {what}")
