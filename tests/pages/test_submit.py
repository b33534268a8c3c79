"""Writing a change: what is wrong is said beside the field, and nothing typed is lost."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from migrations_app.models import MigrationRequest, State, Target
from tests.app.support import make_target
from tests.conftest import Schema
from tests.pages.conftest import STATEMENT, MakeRequest

ADD = "admin:migrations_app_migrationrequest_add"


def typed(at: Target, **changes: Any) -> dict[str, Any]:
    """A form filled in as a person would."""
    return {
        "target": at.pk,
        "statement": STATEMENT,
        "title": "A title worth keeping",
        "reason": "Because.",
        "volume": "3",
        "defer_indexes": "auto",
        "checkpoint_max_age_hours": "168",
        **changes,
    }


@pytest.fixture
def reachable(target: Target, schema: Schema) -> Target:
    """The target, where a server answers and the table is there."""
    schema.execute("CREATE TABLE orders (id INT PRIMARY KEY)")
    dsn = schema.dsn
    target.host, target.port, target.user, target.database = (
        dsn.host, dsn.port, dsn.user, dsn.database,
    )  # fmt: skip
    target.set_password(dsn.password)
    target.save()
    return target


def test_a_change_is_submitted(clients: dict[str, Client], reachable: Target) -> None:
    answer = clients["requester"].post(reverse(ADD), typed(reachable, strict="on"))
    req = MigrationRequest.objects.get()
    assert answer.status_code == 302
    assert req.state == State.SUBMITTED
    assert req.table_name == "orders"
    assert req.strict
    assert req.requester.get_username() == "requester"


@pytest.mark.parametrize(
    "changes,said",
    [
        ({"statement": ""}, "Write the ALTER TABLE"),
        ({"statement": "SELECT 1"}, "ALTER TABLE"),
        ({"statement": "ALTER TABLE orders ADD COLUMN c INT, ALGORITHM=COPY"}, "ALGORITHM"),
        ({"target": ""}, "Choose the server"),
        ({"volume": "99"}, "11"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(
    clients: dict[str, Client], target: Target, changes: dict[str, str], said: str
) -> None:
    answer = clients["requester"].post(reverse(ADD), typed(target, **changes))
    text = answer.content.decode()
    assert answer.status_code == 422
    assert said in text
    assert "A title worth keeping" in text
    assert not MigrationRequest.objects.exists()


def test_a_server_that_is_down_is_said_in_words_and_the_draft_is_kept(
    clients: dict[str, Client], target: Target
) -> None:
    answer = clients["requester"].post(reverse(ADD), typed(target))
    text = answer.content.decode()
    draft = MigrationRequest.objects.get()
    assert draft.state == State.DRAFT
    assert f"kept as draft #{draft.pk}" in text
    assert "A title worth keeping" in text
    assert "127.0.0.1" in text


def test_a_table_that_is_not_there_is_said(clients: dict[str, Client], reachable: Target) -> None:
    form = typed(reachable, statement="ALTER TABLE nowhere ADD COLUMN c INT")
    assert "nowhere" in clients["requester"].post(reverse(ADD), form).content.decode()
    assert MigrationRequest.objects.get().state == State.DRAFT


def test_a_draft_is_kept_finished_and_submitted(
    clients: dict[str, Client], reachable: Target
) -> None:
    clients["requester"].post(reverse(ADD), typed(reachable, action="draft"))
    req = MigrationRequest.objects.get()
    assert req.state == State.DRAFT
    edit = reverse("admin:migrations_app_migrationrequest_edit", args=(req.pk,))
    assert "A title worth keeping" in clients["requester"].get(edit).content.decode()
    clients["requester"].post(edit, typed(reachable, title="Better"))
    req = MigrationRequest.objects.get()
    assert (req.title, req.state) == ("Better", State.SUBMITTED)


def test_what_is_unsafe_is_said_at_the_field_that_explains_it(
    clients: dict[str, Client], reachable: Target, schema: Schema
) -> None:
    schema.execute("ALTER TABLE orders ADD COLUMN note INT")
    form = typed(reachable, statement="ALTER TABLE orders DROP COLUMN note")
    answer = clients["requester"].post(reverse(ADD), form)
    errors = answer.context["form"].errors
    assert list(errors) == ["acknowledgement"]
    assert "Column note (int) is dropped" in str(errors["acknowledgement"])
    req = MigrationRequest.objects.get()
    assert req.state == State.DRAFT
    edit = reverse("admin:migrations_app_migrationrequest_edit", args=(req.pk,))
    clients["requester"].post(edit, {**form, "acknowledgement": "Nobody reads it."})
    req.refresh_from_db()
    assert (req.state, req.acknowledgement) == (State.SUBMITTED, "Nobody reads it.")


def test_only_its_requester_edits_a_request(
    clients: dict[str, Client], make_request: MakeRequest
) -> None:
    req = make_request(State.SUBMITTED)
    edit = reverse("admin:migrations_app_migrationrequest_edit", args=(req.pk,))
    assert clients["operator"].get(edit).status_code == 403
    assert clients["requester"].get(edit).status_code == 200


def test_only_requesters_submit(clients: dict[str, Client], target: Target) -> None:
    assert clients["operator"].get(reverse(ADD)).status_code == 403
    assert clients["operator"].post(reverse(ADD), typed(target)).status_code == 403


def test_a_similar_request_begins_with_the_old_one(
    clients: dict[str, Client], make_request: MakeRequest
) -> None:
    old = make_request(State.COMPLETED, statement="ALTER TABLE orders ADD COLUMN colour INT")
    page = clients["requester"].get(reverse(ADD), {"like": old.pk})
    assert "ADD COLUMN colour INT" in page.content.decode()


def test_what_a_statement_would_do_is_said_while_it_is_written(
    clients: dict[str, Client], schema: Schema, people: dict[str, User]
) -> None:
    schema.execute("CREATE TABLE orders (id INT PRIMARY KEY, total INT, note VARCHAR(40))")
    shop = make_target(schema.dsn)
    url = reverse("admin:migrations_app_migrationrequest_check")

    def said(statement: str, **fields: Any) -> str:
        answer = clients["requester"].post(
            url, {"statement": statement, "target": shop.pk, **fields}
        )
        assert answer.status_code == 200
        assert schema.dsn.password not in answer.content.decode()
        return html.unescape(answer.content.decode())

    assert "Write the statement" in said(" ")
    assert "Choose the target" in said("ALTER TABLE orders ADD x INT", target="")
    assert "sp-field-error" in said("ALTER TABEL orders")
    text = said("ALTER TABLE orders MODIFY total BIGINT")
    assert "Every row is copied" in text
    assert "+  `total` bigint" in text
    assert "1 of these must approve: approver" in text
    assert "No row is copied" in said("ALTER TABLE orders ADD COLUMN x INT")
    text = said("ALTER TABLE orders DROP COLUMN note")
    assert "acknowledge" in text
    assert "Say below why" in text
    assert "It would be refused" in said("ALTER TABLE orders DROP COLUMN nothing")
    assert schema.execute("SHOW TABLES") == [("orders",)]
    assert MigrationRequest.objects.count() == 0
    for role in ("approver", "operator"):
        assert clients[role].post(url, {}).status_code == 403
