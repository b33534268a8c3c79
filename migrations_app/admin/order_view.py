"""Orders from the request page: a POST with CSRF, passed on to ``commands``, answered in words."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_POST

from migrations_app import commands, lifecycle, offers
from migrations_app.admin.access import person
from migrations_app.admin.links import request_url
from migrations_app.admin.offered import confirm_word
from migrations_app.admin.order_words import order_words
from migrations_app.admin.request_view import find
from migrations_app.models import MigrationRequest

LONGEST_COMMENT = 2000

Give = Callable[[User, MigrationRequest, HttpRequest], object]


def _comment(request: HttpRequest) -> str:
    return request.POST.get("comment", "").strip()[:LONGEST_COMMENT]


def _set_volume(user: User, req: MigrationRequest, request: HttpRequest) -> object:
    text = request.POST.get("volume", "")
    if not text.isdecimal():
        raise commands.OrderRefused("The volume is a whole number from 1 to 11.")
    return commands.set_volume(user, req, int(text))


ORDERS: dict[str, Give] = {
    "submit": lambda user, req, _: commands.submit(user, req),
    "approve": lambda user, req, request: commands.approve(user, req, _comment(request)),
    "reject": lambda user, req, request: commands.reject(user, req, _comment(request)),
    "start": lambda user, req, _: commands.start(user, req),
    "stop": lambda user, req, _: commands.stop(user, req),
    "set_volume": _set_volume,
    "cut_over": lambda user, req, _: commands.cut_over(user, req),
    "retry": lambda user, req, _: commands.retry(user, req),
    "start_afresh": lambda user, req, _: commands.start_afresh(user, req),
    "cancel": lambda user, req, _: commands.cancel(user, req),
}


@require_POST
def order(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """Give one order and go back to the request's page, which says what became of it.

    Raises Http404 for an order that does not exist, and PermissionDenied where the reader's role
    does not include it: a page never offers that, so only a typed address gets here.
    """
    req = find(request, pk)
    user = person(request)
    if kind not in ORDERS:
        raise Http404(f"There is no order called {kind}.")
    _require_role(kind, req, user)
    word = confirm_word(kind, req)
    try:
        if word and request.POST.get("confirm", "").strip() != word:
            raise commands.OrderRefused(
                f"Nothing was done: this cannot be undone, so type {word} to confirm it."
            )
        ORDERS[kind](user, req, request)
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
