"""The demo's control database: people with their roles, the target, and a look at a request.

Django is set up here, in the demo's own process, for the environment it was given; everything else
the demo does goes through the web pages, as a person would.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
from collections.abc import Mapping
from typing import Any

import django
from django.apps import apps
from django.core.management import call_command
from django.db import connection

ROLES = {"requester": "Requesters", "approver": "Approvers", "operator": "Operators"}
TARGET_NAME = "Web shop"


@dataclasses.dataclass(frozen=True)
class Account:
    """A person of the demo."""

    name: str
    password: str


@dataclasses.dataclass(frozen=True)
class Reading:
    """What the control database says about a request at one moment."""

    state: str
    phase: str
    fraction: float
    rows_copied: int
    message: str


def set_up(environment: Mapping[str, str]) -> None:
    """Set Django up in this process and create the control database's tables."""
    os.environ.update(environment)
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)


def _model(name: str) -> Any:
    """A model, as ``application.Model``; they can be had only once Django is set up."""
    return apps.get_model(name)


def create_accounts() -> dict[str, Account]:
    """One person for each role, with a password of its own; by role."""
    people, groups = _model("auth.User"), _model("auth.Group")
    accounts = {}
    for name, group in ROLES.items():
        account = Account(name, secrets.token_hex(4))
        user = people.objects.create_user(name, password=account.password, is_staff=True)
        user.groups.add(groups.objects.get(name=group))
        accounts[name] = account
    return accounts


def create_administrator() -> Account:
    """Who adds people and gives them roles."""
    account = Account("administrator", secrets.token_hex(4))
    _model("auth.User").objects.create_superuser(account.name, password=account.password)
    return account


def create_target(*, host: str, port: int, user: str, password: str, schema: str) -> None:
    """The target that requests are sent to."""
    target = _model("migrations_app.Target")(
        name=TARGET_NAME, host=host, port=port, user=user, database=schema
    )
    target.set_password(password)
    target.save()


def newest_request() -> int:
    """The number of the request that was made last. Raises LookupError when there is none."""
    found = _model("migrations_app.MigrationRequest").objects.order_by("-pk").first()
    if found is None:
        raise LookupError("There is no request.")
    return int(found.pk)


def read(request_id: int) -> Reading:
    """Where a request stands."""
    found = _model("migrations_app.MigrationRequest").objects.get(pk=request_id)
    return Reading(
        state=str(found.state),
        phase=str(found.phase),
        fraction=float(found.fraction),
        rows_copied=int(found.rows_copied),
        message=str(found.message),
    )


def last_checkpoint(request_id: int) -> dict[str, Any]:
    """The newest checkpoint of a request: its ``id`` on the target, ``position``, ``rows_copied``.

    Raises LookupError when there is none.
    """
    found = (
        _model("migrations_app.Checkpoint")
        .objects.filter(request_id=request_id)
        .order_by("pk")
        .last()
    )
    if found is None:
        raise LookupError(f"Request #{request_id} has no checkpoint.")
    return {
        "id": found.engine_id,
        "position": str(found.position),
        "rows_copied": found.rows_copied,
    }


def events(request_id: int, kind: str) -> list[dict[str, Any]]:
    """The events of a kind, oldest first: their ``message`` and ``data``."""
    found = (
        _model("migrations_app.Event")
        .objects.filter(request_id=request_id, kind=kind)
        .order_by("pk")
    )
    return [{"message": event.message, "data": event.data} for event in found]


def close() -> None:
    """Close this process's connection to the control database."""
    connection.close()
