"""Orders from the request page: a POST with CSRF, passed on to ``commands``, answered in words."""

from __future__ import annotations

import datetime as dt

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from migrations_app import commands, lifecycle, offers
from migrations_app.admin.access import person
from migrations_app.admin.links import request_url
from migrations_app.admin.numbers import whole_number
from migrations_app.admin.offered import confirm_word
from migrations_app.admin.order_words import order_words
from migrations_app.admin.request_view import find
from migrations_app.models import MigrationRequest

LONGEST_COMMENT = 2000


def _arguments(kind: str, request: HttpRequest) -> commands.Arguments:
    """What was posted with an order. Raises OrderRefused for what cannot be read."""
    posted = request.POST
    volume, version = whole_number(posted.get("volume", "")), posted.get("version", "")
    if kind == "set_volume" and volume is None:
        raise commands.OrderRefused("The volume is a whole number from 1 to 11.")
    if version and whole_number(version) is None:
        raise commands.OrderRefused("The version is a number: look at the request again.")
    return commands.Arguments(
        comment=posted.get("comment", "").strip()[:LONGEST_COMMENT],
        volume=volume,
        start_after=_start_after(posted.get("start_after", "").strip()),
        hours=posted.get("hours", "").strip(),
        version=whole_number(version),
    )


def _start_after(text: str) -> dt.datetime | None:
    """A time as the browser's own control writes it, in the site's time zone."""
    if not text:
        return None
    try:
        return timezone.make_aware(dt.datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise commands.OrderRefused(f"“{text[:40]}” is no date and time.") from None


@require_POST
def order(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """Give one order and go back to the request's page, which says what became of it.

    Raises Http404 for an order that does not exist, and PermissionDenied where the reader's role
    does not include it: a page never offers that, so only a typed address gets here.
    """
    req = find(request, pk)
    user = person(request)
    if kind not in commands.ORDERS:
        raise Http404(f"There is no order called {kind}.")
    _require_role(kind, req, user)
    word = confirm_word(kind, req)
    try:
        if word and request.POST.get("confirm", "").strip() != word:
            raise commands.OrderRefused(
                f"Nothing was done: this cannot be undone, so type {word} to confirm it."
            )
        commands.give(kind, user, req, _arguments(kind, request))
    except commands.OrderRefused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, order_words(kind).done)
    return HttpResponseRedirect(request_url(pk))


def _require_role(kind: str, req: MigrationRequest, user: User) -> None:
    """A role that includes the order, or an offer that allows it all the same (one's own)."""
    if lifecycle.may(user, offers.ORDERS[kind].permission):
        return
    for offer in offers.available_orders(req, user):
        if offer.kind == kind and offer.is_allowed:
            return
        if offer.kind == kind:
            raise PermissionDenied(offer.reason)
