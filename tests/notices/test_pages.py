"""The pages of notices: whose channel is whose, what is refused, and that no address comes out."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from migrations_app import lifecycle
from migrations_app.models import MigrationRequest, NoticeChannel, NoticeDelivery, Target
from migrations_app.notices import sending
from tests.app.support import make_person
from tests.notices.support import SECRET, Receiver, make_channel

ROLES = ("requester", "approver", "operator", "guest")
MOST_LIST_QUERIES = 20


def url(name: str, *args: object) -> str:
    return reverse(f"admin:migrations_app_{name}", args=args)


def typed(**changes: Any) -> dict[str, Any]:
    """A channel's form filled in."""
    filled = {"name": "Chat", "address": f"jsons://u:{SECRET}@hooks.example/", "is_active": "on"}
    return {**filled, **changes}


def text_of(answer: Any) -> str:
    return html.unescape(answer.content.decode())


@pytest.mark.parametrize("role", ROLES)
def test_everybody_may_have_channels_of_their_own(
    clients: dict[str, Client], people: dict[str, User], target: Target, role: str
) -> None:
    kinds = ["failed", "completed"]
    answer = clients[role].post(
        url("noticechannel_add"), typed(kinds=kinds, targets=[target.pk]), follow=True
    )
    assert answer.status_code == 200
    channel = NoticeChannel.objects.get()
    assert channel.owner == people[role]
    assert channel.kinds == kinds
    assert list(channel.targets.all()) == [target]
    assert SECRET in channel.address()
    page = text_of(clients[role].get(url("noticechannel_change", channel.pk)))
    assert "jsons://…" in page
    assert SECRET not in page
    clients[role].post(url("noticechannel_change", channel.pk), typed(name="Talk", address=""))
    channel.refresh_from_db()
    assert (channel.name, channel.kinds, SECRET in channel.address()) == ("Talk", [], True)
    clients[role].post(url("noticechannel_delete", channel.pk), {"post": "yes"})
    assert not NoticeChannel.objects.exists()


@pytest.mark.parametrize("role", ROLES)
def test_only_operators_make_and_change_the_teams(clients: dict[str, Client], role: str) -> None:
    is_operator = role == "operator"
    clients[role].post(url("noticechannel_add"), typed(is_shared="on"))
    assert (NoticeChannel.objects.get().owner is None) is is_operator
    shared = make_channel(name="shared")
    changed = clients[role].post(url("noticechannel_change", shared.pk), typed(name="Mine now"))
    tested = clients[role].post(url("noticechannel_test", shared.pk))
    deleted = clients[role].post(url("noticechannel_delete", shared.pk), {"post": "yes"})
    if role == "guest":
        # It is not even seen: Django's pages lead back to the list.
        assert tested.status_code == 404
        assert NoticeChannel.objects.filter(name="shared").exists()
    else:
        expected = 302 if is_operator else 403
        assert [changed.status_code, deleted.status_code] == [expected, expected]
        assert tested.status_code == (200 if is_operator else 403)
        assert NoticeChannel.objects.filter(pk=shared.pk).exists() is not is_operator


@pytest.mark.parametrize("role", ROLES)
def test_lists_show_the_teams_and_ones_own(
    clients: dict[str, Client],
    people: dict[str, User],
    submitted: MigrationRequest,
    role: str,
) -> None:
    make_channel(name="of the team")
    other = make_person("otto", "Requesters", is_staff=True)
    MigrationRequest.objects.filter(pk=submitted.pk).update(requester=other)
    submitted.refresh_from_db()
    theirs = make_channel(name="of another", owner=other)
    mine = make_channel(name="of myself", owner=people[role])
    lifecycle.record(submitted, "failed", "It broke.")
    NoticeDelivery.objects.create(channel=mine, event=NoticeDelivery.objects.first().event)  # type: ignore[union-attr]
    sees_team = role != "guest"
    for name in ("noticechannel_changelist", "noticedelivery_changelist"):
        text = text_of(clients[role].get(url(name)))
        assert ("of the team" in text) is sees_team
        assert "of myself" in text
        assert "of another" not in text
    for path in (
        url("noticechannel_change", theirs.pk),
        url("noticechannel_delete", theirs.pk),
        url("noticedelivery_change", theirs.deliveries.get().pk),
    ):
        answer = clients[role].get(path, follow=True)
        assert "of another" not in text_of(answer)
    assert clients[role].post(url("noticechannel_test", theirs.pk)).status_code == 404


def test_a_superuser_does_not_see_other_peoples_own(people: dict[str, User]) -> None:
    make_channel(name="of rita", owner=people["requester"])
    boss = Client()
    boss.force_login(User.objects.create_superuser("boss"))
    assert "of rita" not in text_of(boss.get(url("noticechannel_changelist")))


def test_who_has_no_account_of_the_pages_is_sent_away(db: None) -> None:
    channel = make_channel()
    outsider = Client()
    outsider.force_login(make_person("nora"))
    for path in (url("noticechannel_changelist"), url("noticedelivery_changelist")):
        assert outsider.get(path).status_code == 302
    assert outsider.post(url("noticechannel_test", channel.pk)).status_code == 302


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("syslog://", "syslog:// are not accepted"),
        (f"slack://{SECRET}", "not how an address of slack://"),
        ("env:SECRET_KEY", "begin with SPIRIT_SECRET_"),
        ("", "Write an address"),
    ],
)
def test_a_bad_address_is_refused_and_not_shown_again(
    clients: dict[str, Client], address: str, words: str
) -> None:
    answer = clients["operator"].post(url("noticechannel_add"), typed(address=address))
    assert answer.status_code == 200
    assert words in text_of(answer)
    assert SECRET not in text_of(answer)
    assert not NoticeChannel.objects.exists()


def test_an_unknown_kind_is_refused(clients: dict[str, Client]) -> None:
    answer = clients["operator"].post(url("noticechannel_add"), typed(kinds=["no such kind"]))
    assert "is not one of the available choices" in text_of(answer)


def test_kinds_are_named_in_plain_words(clients: dict[str, Client]) -> None:
    page = text_of(clients["operator"].get(url("noticechannel_add")))
    assert "Worker lost: a migration has lost its worker (usual)" in page
    assert "For the whole team" in page
    assert "For the whole team" not in text_of(clients["guest"].get(url("noticechannel_add")))


def test_a_test_is_sent_and_its_outcome_said(
    clients: dict[str, Client], receiver: Receiver
) -> None:
    channel = make_channel(receiver.address)
    text = text_of(clients["operator"].post(url("noticechannel_test", channel.pk)))
    assert 'data-report="good"' in text
    assert receiver.titles == ["A test of Spirit Admin"]
    assert "olga sent this test" in receiver.received[0]["message"]
    receiver.status = 500
    text = text_of(clients["operator"].post(url("noticechannel_test", channel.pk)))
    assert 'data-report="bad"' in text
    assert "status 500" in text
    assert SECRET not in text
    channel.set_address("env:SPIRIT_SECRET_NOT_SET")
    channel.save()
    answer = clients["operator"].post(
        url("noticechannel_test", channel.pk), headers={"HX-Request": "true"}
    )
    assert "SPIRIT_SECRET_NOT_SET" in text_of(answer)


def test_a_test_is_ordered_by_a_form_of_this_site_only(people: dict[str, User]) -> None:
    channel = make_channel()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(people["operator"])
    assert strict.post(url("noticechannel_test", channel.pk)).status_code == 403
    assert strict.get(url("noticechannel_test", channel.pk)).status_code == 405


@pytest.mark.parametrize("role", ROLES)
def test_no_page_shows_an_address(
    clients: dict[str, Client],
    submitted: MigrationRequest,
    receiver: Receiver,
    role: str,
) -> None:
    receiver.status = 500
    channel = make_channel(receiver.address)
    lifecycle.record(submitted, "failed", "It broke.")
    for _ in range(sending.MOST_ATTEMPTS):
        NoticeDelivery.objects.update(attempts=sending.MOST_ATTEMPTS - 1)
        sending.send_due()
    delivery = channel.deliveries.get()
    assert delivery.failed_at
    for path in (
        url("noticechannel_changelist"),
        url("noticechannel_change", channel.pk),
        url("noticechannel_delete", channel.pk),
        url("noticechannel_history", channel.pk),
        f"{url('noticedelivery_changelist')}?channel__id__exact={channel.pk}",
        f"{url('noticedelivery_changelist')}?state=failed",
        url("noticedelivery_change", delivery.pk),
        url("event_changelist"),
        url("migrationrequest_change", submitted.pk),
    ):
        answer = clients[role].get(path, follow=True)
        assert answer.status_code in (200, 403)
        assert SECRET not in text_of(answer)
        assert channel.stored_address not in text_of(answer)
    if role == "operator":
        listed = text_of(
            clients[role].get(f"{url('noticedelivery_changelist')}?channel__id__exact={channel.pk}")
        )
        assert "given up" in listed
        assert "status 500" in listed


def test_lists_cost_a_bounded_number_of_queries(
    clients: dict[str, Client],
    target: Target,
    submitted: MigrationRequest,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(20):
        make_channel(name=f"team {number}", targets=[target])
    lifecycle.record(submitted, "failed", "It broke.")
    for name in ("noticechannel_changelist", "noticedelivery_changelist"):
        with django_assert_max_num_queries(MOST_LIST_QUERIES):
            assert clients["operator"].get(url(name)).status_code == 200
