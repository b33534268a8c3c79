"""The title and the text of a notice: what happened, where, by whom, and what to do next."""

from __future__ import annotations

import dataclasses

from django.conf import settings
from django.urls import reverse

from migrations_app.engine import Level
from migrations_app.models import Event, MigrationRequest
from migrations_app.notices.kinds import KINDS, headline
from migrations_app.words import shortened

_LONGEST_TITLE = 150
_LONGEST_MESSAGE = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Notice:
    """What is sent: plain text. level: the event's."""

    title: str
    body: str
    level: Level = Level.INFO


def notice_of(event: Event) -> Notice:
    """The words for an event. Its request, target and people should have been read with it."""
    request = event.request
    said = event.message
    if len(said) > _LONGEST_MESSAGE:
        said = f"{said[:_LONGEST_MESSAGE].rstrip()}…"
    paragraphs = [said]
    title = headline(event.kind)
    if request is not None:
        title = f"{title}: {request.table} on {request.target}"
        paragraphs.append(_about(request, event))
    kind = KINDS.get(event.kind)
    if kind and kind.advice:
        paragraphs.append(f"What to do next: {kind.advice}")
    link = request_link(request.pk) if request is not None else ""
    if link:
        paragraphs.append(link)
    return Notice(shortened(title, _LONGEST_TITLE), "\n\n".join(paragraphs), Level(event.level))


def test_notice(channel_name: str, person: str) -> Notice:
    """The words of a test."""
    return Notice(
        "A test of Spirit Admin",
        f"{person} sent this test through the channel “{shortened(channel_name, 100)}”. It "
        f"works: notices about schema changes arrive here.",
    )


def request_link(request_id: int) -> str:
    """A request's page, or "" when SITE_URL is not set."""
    if not settings.SITE_URL:
        return ""
    page = reverse("admin:migrations_app_migrationrequest_change", args=(request_id,))
    return f"{settings.SITE_URL.rstrip('/')}{page}"


def _about(request: MigrationRequest, event: Event) -> str:
    name = f"Request #{request.pk}"
    if request.title:
        name += f" “{shortened(request.title)}”"
    lines = [
        f"{name}, asked for by {request.requester.get_username()}.",
        f"Table {request.table} on the target {request.target}.",
    ]
    if event.actor is not None:
        lines.append(f"Done by {event.actor.get_username()}.")
    return "\n".join(lines)
