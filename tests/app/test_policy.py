"""What a target's policy asks of people, and what counts for which version of a request."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction

from migrations_app import commands, snapshots
from migrations_app.commands import AcknowledgementNeededError, Arguments, OrderRefused
from migrations_app.models import MigrationRequest, State
from tests.app.support import make_person, make_request, make_target, put_in_state
from tests.conftest import Schema

DROP = "ALTER TABLE orders DROP COLUMN note"


@pytest.fixture
def shop(db: None, schema: Schema, requester: User) -> MigrationRequest:
    """A draft about a table that exists."""
    schema.execute("CREATE TABLE orders (id INT PRIMARY KEY, total INT, note VARCHAR(40))")
    return make_request(
        make_target(schema.dsn),
        requester,
        statement="ALTER TABLE orders MODIFY total BIGINT",
    )


def test_only_members_of_the_targets_groups_approve_not_even_a_superuser(
    requester: User, approver: User
) -> None:
    target = make_target()
    target.approver_groups.add(Group.objects.create(name="Payments"))
    request = make_request(target, requester)
    put_in_state(request, State.SUBMITTED)
    for person in (approver, make_person("root", is_superuser=True)):
        with pytest.raises(OrderRefused, match="only members of Payments"):
            commands.approve(person, request)
    approver.groups.add(Group.objects.get(name="Payments"))
    commands.approve(User.objects.get(pk=approver.pk), request)
    assert request.state == State.APPROVED


def test_an_approval_counts_for_nothing_the_approver_has_not_seen(
    shop: MigrationRequest, requester: User, approver: User
) -> None:
    commands.submit(requester, shop)
    seen = MigrationRequest.objects.get(pk=shop.pk).version
    shop.statement = "ALTER TABLE orders MODIFY total DECIMAL(20, 2)"
    commands.edit(requester, shop)
    commands.submit(requester, shop)
    with pytest.raises(OrderRefused, match="same moment"):
        commands.give("approve", approver, shop, Arguments(version=seen))
    assert not shop.approvals.exists()
    commands.give("approve", approver, shop, Arguments(version=shop.version))
    assert shop.state == State.APPROVED


def test_two_edits_at_once_get_one_winner_and_one_message(
    draft: MigrationRequest, requester: User
) -> None:
    mine, theirs = (MigrationRequest.objects.get(pk=draft.pk) for _ in range(2))
    mine.statement = "ALTER TABLE orders DROP COLUMN a"
    commands.edit(requester, mine)
    theirs.statement = "ALTER TABLE orders DROP COLUMN b"
    with pytest.raises(OrderRefused, match="same moment"):
        commands.edit(requester, theirs)
    draft.refresh_from_db()
    assert draft.statement == "ALTER TABLE orders DROP COLUMN a"


def test_an_edit_of_what_was_started_meanwhile_is_refused(
    draft: MigrationRequest, requester: User
) -> None:
    put_in_state(draft, State.APPROVED)
    stale = MigrationRequest.objects.get(pk=draft.pk)
    put_in_state(draft, State.RUNNING)
    stale.statement = DROP
    with pytest.raises(OrderRefused, match="only be changed before it is started"):
        commands.edit(requester, stale)
    draft.refresh_from_db()
    assert draft.statement != DROP


def test_what_is_unsafe_needs_a_reason_and_an_edit_takes_it_back(
    shop: MigrationRequest, requester: User
) -> None:
    shop.statement = DROP
    shop.save()
    with pytest.raises(AcknowledgementNeededError, match="note") as refused:
        commands.submit(requester, shop)
    assert [found.rule for found in refused.value.findings] == ["drop-column"]
    assert shop.state == State.DRAFT
    commands.submit(requester, shop, "Nobody has read it since May.")
    shop.refresh_from_db()
    assert (shop.state, shop.is_unsafe) == (State.SUBMITTED, True)
    assert shop.acknowledged_by == requester
    assert shop.events.get(kind="submitted").data["unsafe"] == ["drop-column"]
    shop.acknowledgement = ""
    commands.edit(requester, shop)
    assert (shop.is_unsafe, shop.acknowledgement, shop.snapshot) == (False, "", {})


def test_the_model_itself_refuses_to_move_on_what_is_unsafe(draft: MigrationRequest) -> None:
    rows = MigrationRequest.objects.filter(pk=draft.pk)
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.update(is_unsafe=True, state=State.QUEUED)
    rows.update(is_unsafe=True, state=State.QUEUED, acknowledgement="It is meant.")


def test_a_snapshot_keeps_what_approvers_decide_by(shop: MigrationRequest, requester: User) -> None:
    commands.submit(requester, shop)
    shop.refresh_from_db()
    kept = snapshots.read(shop.snapshot)
    assert kept is not None
    assert kept.tables[0].name == "orders"
    assert kept.tables[0].method == "copy"
    assert "+  `total` bigint" in kept.tables[0].diff
    assert kept.stored() == shop.snapshot
    assert shop.target.dsn().password not in str(shop.snapshot)


def test_what_lint_refuses_is_not_submitted(
    shop: MigrationRequest, requester: User, schema: Schema
) -> None:
    schema.execute("CREATE TRIGGER tr BEFORE INSERT ON orders FOR EACH ROW SET NEW.total = 1")
    with pytest.raises(OrderRefused, match="trigger"):
        commands.submit(requester, shop)
    assert shop.state == State.DRAFT


def test_drift_is_said_by_what_is_different(
    shop: MigrationRequest, requester: User, schema: Schema
) -> None:
    commands.submit(requester, shop)
    shop.refresh_from_db()
    schema.execute("INSERT INTO orders (id, total) VALUES (1, 1), (2, 2)")
    assert snapshots.drift(shop) is None
    schema.execute("ALTER TABLE orders ADD COLUMN sneaked INT")
    found = snapshots.drift(shop)
    assert found is not None
    assert "orders has changed" in found.words
    assert "+  `sneaked` int" in found.diff
    assert not found.already_made
    schema.execute("ALTER TABLE orders DROP COLUMN sneaked, MODIFY total BIGINT")
    found = snapshots.drift(shop)
    assert found is not None
    assert found.already_made


def test_a_comment_is_kept_and_changes_nothing(draft: MigrationRequest, approver: User) -> None:
    put_in_state(draft, State.SUBMITTED)
    commands.give("comment", approver, draft, Arguments(comment=" Why now? "))
    event = draft.events.get(kind="commented")
    assert (event.message, event.actor, draft.state) == ("Why now?", approver, State.SUBMITTED)
    with pytest.raises(OrderRefused, match="Write something"):
        commands.comment(approver, draft, "  ")
    with pytest.raises(OrderRefused, match="Only people who may see"):
        commands.comment(make_person("nobody"), draft, "Hello")
