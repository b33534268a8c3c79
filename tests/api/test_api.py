"""Tokens and scopes, every order by every role in every state, paging, and what is never said."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.signals import got_request_exception
from django.db import DatabaseError, connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.views.debug import ExceptionReporter

from migrations_app import lifecycle, offers, tokens
from migrations_app.models import ApiToken, Command, MigrationRequest, Scope, State, Target
from tests.app.support import PASSWORD, make_person, make_request, make_target, put_in_state
from tests.conftest import Schema

Ask = Callable[..., tuple[int, Any]]
EVERYTHING = Scope.values
NEEDS_TARGET = {"submit"}
ADD = "ALTER TABLE t ADD c INT"


@pytest.fixture
def people(db: None) -> dict[str, User]:
    roles = {"requester": "Requesters", "approver": "Approvers", "operator": "Operators"}
    return {name: make_person(name, role, is_staff=True) for name, role in roles.items()}


def ask(user: User, method: str, path: str, body: Any = None, **made: Any) -> tuple[int, Any]:
    """Ask as a person, with a token for everything unless ``scopes`` says otherwise."""
    _, secret = tokens.make(user, "test", made.pop("scopes", EVERYTHING), **made)
    return asked(secret, method, path, body)


def asked(secret: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    answer = Client(raise_request_exception=False).generic(
        method,
        f"/api/v1{path}",
        json.dumps(body) if body is not None else "",
        content_type="application/json",
        headers={"authorization": f"Bearer {secret}"} if secret else {},
    )
    text = answer.content.decode()
    assert PASSWORD not in text
    return answer.status_code, json.loads(text)


# -- tokens


def test_a_token_is_kept_as_a_digest_and_acts_as_its_person(people: dict[str, User]) -> None:
    token, secret = tokens.make(people["approver"], "ci", ["read"])
    assert secret not in json.dumps(list(ApiToken.objects.values()), default=str)
    assert asked(secret, "GET", "/me") == (
        200,
        {
            "username": "approver",
            "permissions": ["approve_migrationrequest", "view_migrationrequest"],
            "scopes": ["read"],
            "expires_at": None,
        },
    )
    token.refresh_from_db()
    assert token.last_used_at is not None


@pytest.mark.parametrize("how", ["none", "wrong", "revoked", "expired", "inactive"])
def test_what_is_no_valid_token_is_refused(how: str, people: dict[str, User]) -> None:
    token, secret = tokens.make(people["operator"], "ci", EVERYTHING)
    if how == "revoked":
        tokens.revoke(token)
    elif how == "expired":
        ApiToken.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    elif how == "inactive":
        User.objects.filter(pk=people["operator"].pk).update(is_active=False)
    elif how == "wrong":
        secret = f"{secret}x"
    elif how == "none":
        secret = ""
    for path in ("/me", "/requests", "/targets"):
        assert asked(secret, "GET", path)[0] == 401
    assert asked(secret, "POST", "/requests/1/orders/stop", {})[0] == 401


def test_a_login_to_the_pages_is_no_token(people: dict[str, User]) -> None:
    client = Client()
    client.force_login(people["operator"])
    assert client.get("/api/v1/requests").status_code == 401


def test_a_scope_limits_the_token_and_is_named(draft: MigrationRequest, operator: User) -> None:
    put_in_state(draft, State.APPROVED)
    path = f"/requests/{draft.pk}/orders/start"
    status, said = ask(operator, "POST", path, {}, scopes=["read", "approve"])
    assert (status, "operate" in said["detail"]) == (403, True)
    assert ask(operator, "GET", "/requests", scopes=["operate"])[0] == 403
    assert ask(operator, "POST", path, {}, scopes=["operate"])[0] == 200


def test_a_person_without_a_role_sees_nothing(db: None, draft: MigrationRequest) -> None:
    nobody = make_person("nobody")
    for path in ("/requests", f"/requests/{draft.pk}", "/targets"):
        assert ask(nobody, "GET", path)[0] == 403


# -- orders


def trace(request: MigrationRequest) -> tuple[Any, ...]:
    row = MigrationRequest.objects.get(pk=request.pk)
    return (row.state, row.version, row.volume, row.cutover_held, row.desired_state,
            Command.objects.count(), row.events.count())  # fmt: skip


@pytest.mark.parametrize("role", ["requester", "approver", "operator"])
@pytest.mark.parametrize("state", State.values)
@pytest.mark.parametrize("kind", offers.ORDERS)
def test_an_order_is_taken_exactly_where_the_rules_allow_it(
    kind: str, state: str, role: str, people: dict[str, User], target: Target
) -> None:
    request = make_request(target, people["requester"], defer_cutover=True)
    put_in_state(request, State(state))
    why_not = offers.why_not(offers.ORDERS[kind], request, people[role])
    before = trace(request)
    body = {"comment": "Because.", "volume": 5, "version": request.version}
    status, said = ask(people[role], "POST", f"/requests/{request.pk}/orders/{kind}", body)
    if why_not or kind in NEEDS_TARGET:
        assert status == 409
        assert not why_not or said["detail"] == why_not
        assert trace(request) == before
    else:
        assert status == 200, said
        assert trace(request) != before


def test_an_order_for_another_version_is_refused(draft: MigrationRequest, approver: User) -> None:
    put_in_state(draft, State.SUBMITTED, version=4)
    path = f"/requests/{draft.pk}/orders/approve"
    status, said = ask(approver, "POST", path, {"version": 3})
    assert (status, "same moment" in said["detail"]) == (409, True)
    assert ask(approver, "POST", path, {})[0] == 409
    assert ask(approver, "POST", path, {"version": 4})[0] == 200


@pytest.mark.parametrize(
    "path,body,status",
    [
        ("/requests/999999/orders/stop", {}, 404),
        ("/requests/{0}/orders/explode", {}, 404),
        ("/requests/{0}/orders/set_volume", {"volume": "loud"}, 422),
        ("/requests/{0}/orders/set_volume", {"volume": 12}, 409),
        ("/requests/{0}/orders/set_volume", {}, 409),
        ("/requests/{0}/orders/schedule", {"hours": "at night"}, 409),
        ("/requests", {"target": "shop"}, 422),
        ("/requests", {"target": "nowhere", "statement": "ALTER TABLE t ADD c INT"}, 409),
        ("/requests", {"target": "shop", "statement": "DROP TABLE t"}, 409),
        ("/requests", {"target": "shop", "statement": "ALTER TABLE t ADD c INT\x00"}, 409),
        (
            "/requests",
            {"target": "shop", "statement": "ALTER TABLE t ADD c INT", "hours": "x"},
            409,
        ),
        ("/requests", {"target": "shop", "statement": ADD, "volume": 9}, 409),
        (
            "/requests",
            {
                "target": "shop",
                "statement": "ALTER TABLE t ADD c INT",
                "start_after": "2026-11-23T22:00",
            },
            422,
        ),
        ("/requests/99999999999999999999999/orders/stop", {}, 404),
        ("/requests/{0}/orders/comment", {"comment": "\x00"}, 409),
        ("/requests/{0}/orders/stop", {"verison": 3}, 422),
        ("/requests", {"target": "shop", "statement": ADD, "defer_cutovr": True}, 422),
    ],
)
def test_what_is_wrong_is_answered_in_words(
    path: str, body: Any, status: int, draft: MigrationRequest
) -> None:
    put_in_state(draft, State.STOPPED)
    Target.objects.update(max_volume=8)
    person = make_person("both", "Requesters", "Operators")
    got, said = ask(person, "POST", path.format(draft.pk), body)
    assert (got, bool(said["detail"])) == (status, True)
    assert said["detail"] != "Not Found"


# -- requests


def test_a_change_is_asked_for_edited_and_submitted(
    people: dict[str, User], schema: Schema
) -> None:
    schema.execute("CREATE TABLE orders (id INT PRIMARY KEY, total INT, note VARCHAR(40))")
    make_target(schema.dsn)
    body = {"target": "shop", "statement": "ALTER TABLE orders DROP COLUMN note", "submit": True}
    status, said = ask(people["requester"], "POST", "/requests", body)
    assert (status, "Kept as draft #" in said["detail"]) == (409, True)
    made = MigrationRequest.objects.get()
    assert made.state == State.DRAFT
    path = f"/requests/{made.pk}"
    changes = {"version": made.version, "volume": 5, "acknowledgement": "Nobody reads it.",
               "hours": "Mon-Sun", "start_after": "2026-01-01T00:00:00Z"}  # fmt: skip
    assert ask(people["approver"], "PATCH", path, changes)[0] == 409
    status, said = ask(people["requester"], "PATCH", path, changes)
    assert (status, said["volume"], said["options"]["hours"]) == (200, 5, "Mon-Sun")
    assert said["options"]["start_after"].startswith("2026-01-01")
    assert ask(people["requester"], "PATCH", path, changes)[0] == 409  # an older version
    status, said = ask(people["requester"], "POST", f"{path}/orders/submit", {})
    assert (status, said["state"], said["is_unsafe"]) == (200, "submitted", True)
    assert said["snapshot"]["findings"][0]["rule"] == "drop-column"
    assert schema.dsn.password not in json.dumps(said)


def test_lists_are_paged_filtered_and_cost_the_same_for_many(
    people: dict[str, User], target: Target
) -> None:
    made = [make_request(target, people["requester"], table_name=f"t{n}") for n in range(30)]
    put_in_state(made[3], State.FAILED)

    def numbers(query: str) -> list[int]:
        status, rows = ask(people["operator"], "GET", f"/requests?{query}")
        assert status == 200
        return [row["id"] for row in rows]

    newest = [row.pk for row in reversed(made)]
    assert numbers("limit=10") == newest[:10]
    assert numbers(f"limit=10&before={newest[9]}") == newest[10:20]
    assert numbers("state=failed&state=running") == [made[3].pk]
    assert numbers("table=t7&target=shop&requester=requester") == [made[7].pk]
    assert numbers("target=elsewhere") == []
    for wrong in ("limit=0", "limit=1000", "state=odd"):
        assert ask(people["operator"], "GET", f"/requests?{wrong}")[0] == 422
    _, secret = tokens.make(people["operator"], "test", ["read"])
    asked(secret, "GET", "/me")
    costs = []
    for limit in (2, 30):
        with CaptureQueriesContext(connection) as captured:
            assert asked(secret, "GET", f"/requests?limit={limit}")[0] == 200
        costs.append(len(captured))
    assert costs[0] == costs[1] <= 6


def test_the_history_of_a_request_is_paged(draft: MigrationRequest, operator: User) -> None:
    for number in range(5):
        lifecycle.record(draft, "noted", f"Number {number}.", actor=operator)
    path = f"/requests/{draft.pk}/events"
    _, rows = ask(operator, "GET", f"{path}?limit=2")
    assert [row["message"] for row in rows] == ["Number 4.", "Number 3."]
    _, rows = ask(operator, "GET", f"{path}?limit=2&before={rows[-1]['id']}")
    assert [row["message"] for row in rows] == ["Number 2.", "Number 1."]
    assert rows[0]["actor"] == "olga"
    for part in ("checkpoints", "runs", "orders"):
        assert ask(operator, "GET", f"/requests/{draft.pk}/{part}") == (200, [])


def test_targets_are_told_without_their_secrets(target: Target, operator: User) -> None:
    status, rows = ask(operator, "GET", "/targets")
    assert (status, rows[0]["name"], rows[0]["address"]) == (200, "shop", "127.0.0.1:1/shop")
    assert not {"password", "stored_password", "dsn"} & set(rows[0])


def test_who_may_not_ask_is_not_told_which_targets_there_are(target: Target) -> None:
    nobody = make_person("nobody")
    answers = [
        ask(nobody, "POST", "/requests", {"target": name, "statement": ADD})
        for name in (target.name, "elsewhere")
    ]
    assert answers[0] == answers[1]
    assert answers[0][0] == 409


# -- pages


def test_the_description_is_for_people_who_are_logged_in_and_needs_no_internet(
    people: dict[str, User],
) -> None:
    client = Client()
    assert client.get("/api/v1/docs").status_code == 302
    client.force_login(people["operator"])
    page = client.get("/api/v1/docs")
    assert page.status_code == 200
    assert "//cdn" not in page.content.decode()
    description = client.get("/api/v1/openapi.json").json()
    assert "/api/v1/requests/{number}/orders/{kind}" in description["paths"]


def test_a_token_is_made_on_a_page_shown_once_and_revoked(people: dict[str, User]) -> None:
    client, url = Client(), reverse("admin:migrations_app_apitoken_add")
    client.force_login(people["requester"])
    assert client.get(url).status_code == 200
    assert "Choose what it may do" in client.post(url, {"name": "ci"}).content.decode()
    answer = client.post(url, {"name": "nightly build", "scopes": ["read", "submit"], "days": "30"})
    secret = str(answer.context["secret"])
    assert secret in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert asked(secret, "GET", "/me")[0] == 200
    token = ApiToken.objects.get()
    page = reverse("admin:migrations_app_apitoken_change", args=(token.pk,))
    listed = reverse("admin:migrations_app_apitoken_changelist")
    for address in (page, listed):
        assert secret not in client.get(address).content.decode()

    other = Client()
    other.force_login(people["operator"])
    revoke = reverse("admin:migrations_app_apitoken_revoke", args=(token.pk,))
    assert "nightly build" not in other.get(listed).content.decode()
    assert other.post(revoke).status_code == 404
    assert asked(secret, "GET", "/me")[0] == 200
    assert client.post(revoke).status_code == 302
    assert asked(secret, "GET", "/me")[0] == 401


def test_a_secret_is_in_no_report_of_an_error(
    people: dict[str, User], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, secret = tokens.make(people["operator"], "ci", EVERYTHING)

    def away(*_arguments: object) -> None:
        raise DatabaseError("the database is away")

    monkeypatch.setattr(ApiToken.objects, "select_related", away)
    reports: list[str] = []

    def report(sender: object, request: HttpRequest, **_rest: object) -> None:
        reports.append(ExceptionReporter(request, *sys.exc_info()).get_traceback_html())

    got_request_exception.connect(report)
    try:
        assert asked(secret, "GET", "/me")[0] == 503
    finally:
        got_request_exception.disconnect(report)
    assert not any(secret in text for text in reports)
