"""Targets: a password goes in and never comes out, and a connection test speaks in words."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from migrations_app.engine.lint import LintLevel
from migrations_app.models import Event, MigrationRequest, State, Target
from tests.conftest import Schema
from tests.pages.conftest import SECRET, MakeRequest


def typed(**changes: Any) -> dict[str, Any]:
    """A target's form filled in."""
    return {
        "name": "Shop", "host": "127.0.0.1", "port": "1", "user": "app", "database": "shop",
        "tls_mode": "preferred", "required_approvals": "1", "max_volume": "11",
        "time_zone": "UTC", "max_concurrent_runs": "2", "replica_max_lag_secs": "120", **changes,
    }  # fmt: skip


def url(name: str, *args: object) -> str:
    return reverse(f"admin:migrations_app_target_{name}", args=args)


def test_an_operator_adds_a_target_with_a_password(clients: dict[str, Client]) -> None:
    answer = clients["operator"].post(url("add"), typed(password=SECRET))
    assert answer.status_code == 302
    target = Target.objects.get()
    assert target.dsn().password == SECRET
    assert SECRET not in target.stored_password


def test_an_empty_password_keeps_the_stored_one(clients: dict[str, Client], target: Target) -> None:
    clients["operator"].post(url("change", target.pk), typed(name="Mart", password=""))
    target = Target.objects.get()
    assert target.name == "Mart"
    assert target.dsn().password == SECRET
    assert target.replica_dsns


def test_a_stored_password_is_not_sent_to_another_server(
    clients: dict[str, Client], target: Target
) -> None:
    elsewhere = typed(host="rogue.example", password="")
    answer = clients["operator"].post(url("change", target.pk), elsewhere)
    assert "Enter the password again" in answer.content.decode()
    assert Target.objects.get().host == target.host


def test_a_password_may_only_refer_to_variables_meant_for_it(clients: dict[str, Client]) -> None:
    answer = clients["operator"].post(url("add"), typed(password="env:SECRET_KEY"))
    assert "begin with SPIRIT_SECRET_" in answer.content.decode()
    assert not Target.objects.exists()


def test_stored_replicas_can_be_forgotten(clients: dict[str, Client], target: Target) -> None:
    clients["operator"].post(url("change", target.pk), typed(forget_replicas="on"))
    assert not Target.objects.get().replica_dsns


def test_a_password_is_not_shown_again_after_an_error(clients: dict[str, Client]) -> None:
    answer = clients["operator"].post(url("add"), typed(port="0", password=SECRET))
    assert answer.status_code == 200
    assert SECRET not in answer.content.decode()


def test_a_bad_replica_is_named_by_its_line(clients: dict[str, Client]) -> None:
    answer = clients["operator"].post(url("add"), typed(replicas="postgres://x:y@z/w"))
    assert "Line 1" in answer.content.decode()


def test_lint_levels_are_typed_a_line_each_and_shown_again(
    clients: dict[str, Client], target: Target
) -> None:
    lines = "drop-column = refuse\n\n  Small-Table=off  "
    answer = clients["operator"].post(url("change", target.pk), typed(lint_levels=lines))
    assert answer.status_code == 302
    target = Target.objects.get()
    assert target.lint_levels_typed() == {
        "drop-column": LintLevel.REFUSE,
        "small-table": LintLevel.OFF,
    }
    page = clients["operator"].get(url("change", target.pk)).content.decode()
    assert "drop-column = refuse\nsmall-table = off" in page
    clients["operator"].post(url("change", target.pk), typed(lint_levels=""))
    assert Target.objects.get().lint_levels == {}


def test_mistakes_in_lint_levels_are_named_by_their_lines(
    clients: dict[str, Client], target: Target
) -> None:
    lines = "drop-column refuse\ntriggers = warn\ndrop-colum = off\nzero-date = loud"
    lines += "\ninstant = off\ninstant = warn"
    answer = clients["operator"].post(url("change", target.pk), typed(lint_levels=lines))
    text = html.unescape(answer.content.decode())
    assert "Line 1: 'drop-column refuse' is not like" in text
    assert "Line 2: The level of triggers cannot be lowered" in text
    assert "Line 3: There is no rule 'drop-colum': did you mean drop-column?" in text
    assert "Line 4: 'loud' is no level for zero-date" in text
    assert "Line 6: instant was given a level already" in text
    assert "Line 5" not in text
    assert lines in text
    assert Target.objects.get().lint_levels == {}


def test_a_rule_that_is_gone_is_no_obstacle(target: Target) -> None:
    target.lint_levels = {"rule-of-old": "warn", "instant": "off"}
    assert target.lint_levels_typed() == {"instant": LintLevel.OFF}
    with pytest.raises(ValidationError, match="rule-of-old"):
        target.full_clean()


def test_only_operators_change_or_test_a_target(clients: dict[str, Client], target: Target) -> None:
    for role in ("requester", "approver"):
        assert clients[role].post(url("test", target.pk)).status_code == 403
        assert clients[role].post(url("change", target.pk), typed()).status_code == 403


def test_a_server_that_is_down_is_said_in_words(clients: dict[str, Client], target: Target) -> None:
    text = clients["operator"].post(url("test", target.pk)).content.decode()
    assert "No connection to 127.0.0.1:1/shop" in text
    assert SECRET not in text


def test_a_good_connection_and_a_wrong_password_are_told_apart(
    clients: dict[str, Client], target: Target, schema: Schema
) -> None:
    dsn = schema.dsn
    target.port, target.user, target.database = dsn.port, dsn.user, dsn.database
    target.save()
    text = clients["operator"].post(url("test", target.pk)).content.decode()
    assert 'data-report="bad"' in text
    target.set_password(dsn.password)
    target.save()
    text = clients["operator"].post(url("test", target.pk)).content.decode()
    assert 'data-report="good"' in text


def test_a_target_is_not_moved_under_requests_that_were_approved_for_it(
    clients: dict[str, Client], make_request: MakeRequest, target: Target
) -> None:
    req = make_request(State.APPROVED)
    moved = typed(database="elsewhere", password=SECRET)
    answer = clients["operator"].post(url("change", target.pk), moved)
    assert "have been approved or begun" in answer.content.decode()
    assert Target.objects.get().database == "shop"
    MigrationRequest.objects.filter(pk=req.pk).update(state=State.CANCELLED)
    assert clients["operator"].post(url("change", target.pk), moved).status_code == 302
    assert Target.objects.get().database == "elsewhere"


def test_who_changed_a_policy_stays_on_record_without_its_values(
    clients: dict[str, Client], target: Target
) -> None:
    changed = typed(required_approvals="3", password="another secret", name=target.name)
    clients["operator"].post(url("change", target.pk), changed)
    event = Event.objects.get(kind="target_changed")
    assert event.actor is not None
    assert event.actor.username == "operator"
    assert "required_approvals" in event.message
    assert "another secret" not in event.message + str(event.data)
    page = clients["operator"].get(reverse("admin:migrations_app_event_changelist"))
    assert "changed the target" in page.content.decode()
