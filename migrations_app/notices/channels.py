"""Who is told of an event: the channels that want it, of people it concerns. Reads models only."""

from __future__ import annotations

from collections.abc import Collection

from django.contrib.auth.models import User
from django.db.models import Q

from migrations_app.models import Approval, Event, MigrationRequest, NoticeChannel
from migrations_app.notices.kinds import NOTICE_FAILED, SUBMITTED, USUAL_KINDS

_APPROVE = "migrations_app.approve_migrationrequest"


def listening(event: Event) -> list[NoticeChannel]:
    """The active channels that want this event. One query when there are none."""
    anywhere = Q(targets=None)
    if event.request is not None:
        anywhere |= Q(targets=event.request.target_id)
    active = (
        NoticeChannel.objects.filter(anywhere, is_active=True)
        .filter(Q(owner=None) | Q(owner__is_active=True))
        .select_related("owner")
        .order_by("id")
    )
    wanting = [channel for channel in active if _wants(channel, event)]
    people = {channel.owner for channel in wanting if isinstance(channel.owner, User)}
    concerned = _concerned(event, people)
    return [
        channel for channel in wanting if channel.owner_id is None or channel.owner_id in concerned
    ]


def _wants(channel: NoticeChannel, event: Event) -> bool:
    # The channel that failed is not told so: that would fail as well.
    if event.kind == NOTICE_FAILED and event.data.get("channel") == channel.pk:
        return False
    return event.kind in (channel.kinds or USUAL_KINDS)


def _concerned(event: Event, people: Collection[User]) -> set[int]:
    """The ids of those of these people whom an event concerns: its requester, who approved it, and
    while it waits for approval, who could."""
    request = event.request
    if not people or request is None:
        return set()
    found = {request.requester_id}
    others = [person for person in people if person.pk not in found]
    if others:
        found.update(
            Approval.objects.filter(request=request, approver__in=others).values_list(
                "approver_id", flat=True
            )
        )
    if event.kind == SUBMITTED and others:
        found.update(person.pk for person in _who_could_approve(request, others))
    return found


def _who_could_approve(request: MigrationRequest, people: list[User]) -> list[User]:
    """The same rule as offers', which is a layer above: a role, and the target's groups if any."""
    able = [person for person in people if person.has_perm(_APPROVE)]
    if not able or not request.target.approver_groups.exists():
        return able
    members = set(
        User.objects.filter(
            pk__in=[person.pk for person in able],
            groups__in=request.target.approver_groups.all(),
        ).values_list("pk", flat=True)
    )
    return [person for person in able if person.pk in members]
