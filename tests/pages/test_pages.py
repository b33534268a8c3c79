"""Every page renders for every role, in words, without a secret and within a bounded cost."""

from __future__ import annotations

import datetime as dt
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from migrations_app.models import Checkpoint, Event, MigrationRequest, Run, State, Target
from tests.pages.conftest import ROLES, SECRET, MakeRequest

LISTS = ("migrationrequest", "target", "event", "checkpoint", "run", "command")
MOST_LIST_QUERIES = 20
MOST_PAGE_QUERIES = 40


def url(name: str, *args: object) -> str:
    return reverse(f"admin:migrations_app_{name}", args=args)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("model", LISTS)
def test_each_list_is_shown_to_each_role(
    clients: dict[str, Client], told: MigrationRequest, role: str, model: str
) -> None:
    answer = clients[role].get(url(f"{model}_changelist"))
    assert answer.status_code == 200
    assert SECRET not in answer.content.decode()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("state", State.values)
def test_the_request_page_is_shown_to_each_role_in_each_state(
    clients: dict[str, Client], make_request: MakeRequest, role: str, state: str
) -> None:
    req = make_request(state)
    page = clients[role].get(url("migrationrequest_change", req.pk))
    assert page.status_code == 200
    assert f'data-state="{state}"' in page.content.decode()


@pytest.mark.parametrize("role", ROLES)
def test_the_home_page_says_what_needs_each_role(
    clients: dict[str, Client], make_request: MakeRequest, role: str
) -> None:
    make_request(State.DRAFT, title="unfinished")
    make_request(State.SUBMITTED, title="undecided")
    make_request(State.WAITING_FOR_CUTOVER, title="ready to swap")
    needs_me = clients[role].get(reverse("admin:index")).context["home"]["needs_me"]
    expected = {"requester": "unfinished", "approver": "undecided", "operator": "ready to swap"}
    assert [item.title for item in needs_me] == [expected[role]]


def test_an_approver_is_not_waited_for_on_their_own_request(
    clients: dict[str, Client], people: dict[str, User], make_request: MakeRequest
) -> None:
    make_request(State.SUBMITTED, requester=people["approver"])
    assert not clients["approver"].get(reverse("admin:index")).context["home"]["needs_me"]


def test_a_new_installation_says_what_to_do_first(clients: dict[str, Client]) -> None:
    assert b"Add a target" in clients["operator"].get(reverse("admin:index")).content
    answer = clients["requester"].get(url("migrationrequest_add"))
    assert b"Ask an operator to add one" in answer.content


def test_the_request_page_tells_its_history_in_words(
    clients: dict[str, Client], told: MigrationRequest
) -> None:
    text = clients["operator"].get(url("migrationrequest_change", told.pk)).content.decode()
    for said in (
        "437,211",
        "24,311 rows/s",
        "1 min 23 s",
        "binlog.000042:4567",
        "every row with id below 401,001",
        "Copying with 2 threads.",
    ):
        assert said in text


@pytest.mark.parametrize(
    ("phase", "fraction", "share"),
    [("copy_rows", 0.437, 43), ("checksum", 0.9999, 99), ("restore_indexes", 0.0, None)],
)
def test_a_share_is_shown_of_what_can_be_counted_and_of_nothing_else(
    clients: dict[str, Client], told: MigrationRequest, phase: str, fraction: float,
    share: int | None,
) -> None:  # fmt: skip
    """How far an index build is nobody knows."""
    MigrationRequest.objects.filter(pk=told.pk).update(phase=phase, fraction=fraction)
    list_url = reverse("admin:migrations_app_migrationrequest_changelist")
    for address in (url("migrationrequest_change", told.pk), list_url, reverse("admin:index")):
        page = clients["requester"].get(address).content.decode()
        assert 'role="progressbar"' in page
        assert re.findall(r"\b(\d+) %", page)[:1] == ([] if share is None else [str(share)])
        assert ("sp-bar-unknown" in page) == (share is None) == ("aria-valuenow" not in page)


def test_what_waits_for_its_cut_over_is_whole(
    clients: dict[str, Client], make_request: MakeRequest
) -> None:
    """Also before the run's next reading says so."""
    req = make_request(State.WAITING_FOR_CUTOVER, phase="waiting_for_cutover", fraction=0.82,
                       rows_total=100, rows_copied=100)  # fmt: skip
    page = clients["operator"].get(url("migrationrequest_change", req.pk)).content.decode()
    assert re.findall(r"\b(\d+) %", page)[:1] == ["100"]


@pytest.mark.parametrize(("age_secs", "is_said"), [(3, False), (25, True)])
def test_a_run_that_does_not_report_may_have_died(
    clients: dict[str, Client], told: MigrationRequest, age_secs: int, is_said: bool
) -> None:
    seen = timezone.now() - dt.timedelta(seconds=age_secs)
    MigrationRequest.objects.filter(pk=told.pk).update(last_heartbeat_at=seen)
    page = clients["operator"].get(url("migrationrequest_change", told.pk)).content.decode()
    assert ("If it has died" in page) is is_said


def test_who_is_added_may_log_in(client: Client, db: None) -> None:
    client.force_login(User.objects.create_superuser("root"))
    form = {"username": "rita", "password1": "long enough 7", "password2": "long enough 7",
            "usable_password": "true"}  # fmt: skip
    client.post(reverse("admin:auth_user_add"), form)
    rita = User.objects.get(username="rita")
    page = client.get(reverse("admin:auth_user_change", args=(rita.pk,))).content.decode()
    assert "user_permissions" not in page
    assert 'name="groups"' in page
    client.logout()
    assert client.login(username="rita", password="long enough 7")
    assert client.get(reverse("admin:index")).status_code == 200


def test_who_manages_people_makes_no_superuser(client: Client, db: None) -> None:
    root = User.objects.create_superuser("root")
    manager, rita = (User.objects.create(username=n, is_staff=True) for n in ("mona", "rita"))
    names = ("view_user", "change_user", "add_user")
    manager.user_permissions.set(Permission.objects.filter(codename__in=names))
    client.force_login(manager)
    address = reverse("admin:auth_user_change", args=(rita.pk,))
    form = {"username": "rita", "is_superuser": "on", "is_staff": "on", "is_active": "on",
            "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}  # fmt: skip
    assert client.post(address, form).status_code == 302
    rita.refresh_from_db()
    assert not rita.is_superuser
    for name in ("change", "password_change"):
        address = reverse(f"admin:auth_user_{name}", args=(root.pk,))
        assert client.post(address, form).status_code == 403


def test_a_single_permission_can_be_taken_away(client: Client, db: None) -> None:
    client.force_login(User.objects.create_superuser("root"))
    rita = User.objects.create(username="rita", is_staff=True)
    held = Permission.objects.get(codename="operate_migrationrequest")
    rita.user_permissions.add(held)
    address = reverse("admin:auth_user_change", args=(rita.pk,))
    page = client.get(address).content.decode()
    assert page.count('name="user_permissions"') == 1
    form = {"username": "rita", "is_staff": "on", "is_active": "on",
            "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}  # fmt: skip
    assert client.post(address, form).status_code == 302
    assert not rita.user_permissions.exists()
    assert "user_permissions" not in client.get(address).content.decode()


def test_a_fallback_is_said_plainly(clients: dict[str, Client], told: MigrationRequest) -> None:
    data = {
        "reason": "binlog.000012 is gone",
        "rows_lost": 391_000,
        "old_position": "binlog.000012:9",
    }
    Event.objects.create(request=told, kind="fresh_start", message="Afresh.", data=data)
    text = clients["requester"].get(url("migrationrequest_change", told.pk)).content.decode()
    for said in ("The copy began again", "binlog.000012 is gone", "391,000", "binlog.000012:9"):
        assert said in text


def test_a_statement_cannot_become_markup(
    clients: dict[str, Client], make_request: MakeRequest
) -> None:
    req = make_request(statement="ALTER TABLE orders COMMENT '<script>bad()</script>'")
    text = clients["operator"].get(url("migrationrequest_change", req.pk)).content.decode()
    assert "<script>bad()" not in text


def test_the_list_finds_by_statement_and_by_tab(
    clients: dict[str, Client], make_request: MakeRequest
) -> None:
    wanted = make_request(State.RUNNING, statement="ALTER TABLE orders DROP COLUMN colour")
    make_request(State.SUBMITTED)
    page = clients["operator"].get(url("migrationrequest_changelist"), {"q": "colour"})
    assert [row.pk for row in page.context["cl"].result_list] == [wanted.pk]
    page = clients["operator"].get(url("migrationrequest_changelist"), {"tab": "active"})
    assert [row.pk for row in page.context["cl"].result_list] == [wanted.pk]


@pytest.mark.parametrize("model", LISTS)
def test_a_list_costs_the_same_however_many_rows_it_shows(
    clients: dict[str, Client],
    told: MigrationRequest,
    make_request: MakeRequest,
    model: str,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(30):
        req = make_request(State.RUNNING)
        run = Run.objects.create(
            request=req, number=number + 10, lease_token=1, worker="w", pid=1, volume=3
        )
        Event.objects.create(request=req, run=run, kind="started", message="Copying.")
    with django_assert_max_num_queries(MOST_LIST_QUERIES):
        clients["operator"].get(url(f"{model}_changelist"))


def test_a_request_page_costs_the_same_however_long_its_history(
    clients: dict[str, Client],
    told: MigrationRequest,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for _ in range(100):
        Event.objects.create(request=told, kind="throttled", message="Paused.")
    with django_assert_max_num_queries(MOST_PAGE_QUERIES):
        clients["operator"].get(url("migrationrequest_live", told.pk))


def test_no_page_holds_a_password(
    clients: dict[str, Client], target: Target, told: MigrationRequest
) -> None:
    for client in clients.values():
        for address in (
            url("target_changelist"),
            url("target_change", target.pk),
            url("migrationrequest_change", told.pk),
            url("migrationrequest_add"),
        ):
            text = client.get(address).content.decode()
            assert SECRET not in text
            assert SECRET.replace(" ", "-") not in text
            assert target.stored_password not in text


def test_an_address_without_a_page_answers_in_words(clients: dict[str, Client]) -> None:
    answer = clients["operator"].get(url("migrationrequest_change", 987_654))
    assert answer.status_code == 404
    assert "There is nothing at this address" in answer.content.decode()


def test_nobody_comes_in_without_logging_in(client: Client, told: MigrationRequest) -> None:
    for name in ("migrationrequest_change", "migrationrequest_live"):
        answer = client.get(url(name, told.pk))
        assert answer.status_code == 302
        assert reverse("admin:login") in answer["Location"]


@pytest.mark.parametrize("name", ["migrationrequest", "event", "checkpoint", "run", "command"])
def test_a_list_asks_the_database_as_often_for_many_rows_as_for_few(
    name: str, clients: dict[str, Client], told: MigrationRequest, make_request: MakeRequest
) -> None:
    def queries() -> int:
        address = reverse(f"admin:migrations_app_{name}_changelist")
        clients["operator"].get(address)
        with CaptureQueriesContext(connection) as captured:
            assert clients["operator"].get(address).status_code == 200
        return len(captured)

    def one_more() -> None:
        row = make_request(State.RUNNING)
        run = Run.objects.create(request=row, number=1, lease_token=1, worker="w", pid=1, volume=3)
        Checkpoint.objects.create(
            request=row, run=run, engine_id=1, binlog_name="b.1", binlog_pos=4, phase="copy_rows",
            engine_version="1", created_at=run.started_at,
        )  # fmt: skip
        Event.objects.create(request=row, run=run, kind="started", message="Begun.")
        row.commands.create(kind="stop", actor=row.requester)

    one_more()
    few = queries()
    for _ in range(25):
        one_more()
    assert queries() == few
