"""The request page and its live parts, as views."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from migrations_app.admin import charts, live_key
from migrations_app.admin.access import may, person
from migrations_app.admin.live_key import LiveKey
from migrations_app.admin.live_parts import PART_NAMES, render_parts
from migrations_app.admin.numbers import whole_number
from migrations_app.admin.request_context import page_context, progress_context
from migrations_app.models import MigrationRequest

if TYPE_CHECKING:
    from migrations_app.admin.request_admin import RequestAdmin

# htmx stops polling at this status, and still swaps in what the answer holds.
STOP_POLLING = 286


def find(request: HttpRequest, pk: int) -> MigrationRequest:
    """The request of an address. Raises Http404, or PermissionDenied for who may not see it.

    Its target and requester are read when they are asked for: most polls need neither.
    """
    if not may(request.user, "view_migrationrequest"):
        raise PermissionDenied("Your account may not see requests.")
    found = MigrationRequest.objects.filter(pk=pk).first()
    if found is None:
        raise Http404(f"There is no request #{pk}.")
    return found


def page(request: HttpRequest, page_admin: RequestAdmin, object_id: str) -> HttpResponse:
    """The whole page. Raises Http404 for an address that names no request."""
    number = whole_number(object_id)
    if number is None:
        raise Http404("A request is named by its number.")
    req = find(request, number)
    now = timezone.now()
    watched = live_key.watch(req.pk, now)
    if watched is None:
        raise Http404(f"There is no request #{req.pk}.")
    context: dict[str, Any] = page_context(req, person(request), watched.threads)
    context |= {
        **admin.site.each_context(request),
        "title": f"#{req.pk} {req.title or req.table}",
        "opts": page_admin.opts,
        "original": req,
        "parts": render_parts(request, context),
        "live_key": watched.key.signed(request, req.pk, now),
    }
    return TemplateResponse(request, "spirit/request/page.html", context)


def quick_live(
    checked: Callable[..., HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """``live`` behind the admin's check of who asks. A signed key stands for that while it is fresh
    and there is no news."""

    @never_cache
    def view(request: HttpRequest, pk: int) -> HttpResponseBase:
        now = timezone.now()
        key = LiveKey.parse(request.headers.get(live_key.HEADER, ""))
        if key.is_trusted(request, pk, now):
            watched = live_key.watch(pk, now)
            if watched is not None and watched.key.shows_the_same(key):
                context = progress_context(watched.req, watched.threads)
                return _answer(request, watched.req, ("progress",), context, key)
        return checked(request, pk)

    return view


def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The parts that may have changed, for htmx to swap in; the last answer ends the polling.

    The poller sends the key of what it has (``live_key``): while that holds, the progress and now
    and then the charts are all there is to render.
    """
    req = find(request, pk)
    now = timezone.now()
    watched = live_key.watch(pk, now)
    if watched is None:
        raise Http404(f"There is no request #{pk}.")
    old = LiveKey.parse(request.headers.get(live_key.HEADER, ""))
    names, context = _news(req, watched, person(request), old)
    return _answer(request, req, names, context, watched.key.signed(request, pk, now))


def _news(
    req: MigrationRequest, watched: live_key.Watched, user: User, old: LiveKey
) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The names of the parts to render, and their context."""
    if old.parts != watched.key.parts:
        return PART_NAMES, page_context(req, user, watched.threads)
    progress = progress_context(req, watched.threads)
    if old.charts != watched.key.charts:
        return ("progress", "charts"), {**progress, **charts.context(req)}
    return ("progress",), progress


def _answer(
    request: HttpRequest,
    req: MigrationRequest,
    names: tuple[str, ...],
    context: dict[str, Any],
    key: LiveKey,
) -> HttpResponse:
    parts = render_parts(request, context, names, for_swap=True)
    return HttpResponse(
        "\n".join(parts.values()),
        status=STOP_POLLING if req.is_final else 200,
        headers={
            live_key.HEADER: str(key),
            "X-Live-Parts": str(len(parts)),
            "X-Server-Time": timezone.now().isoformat(timespec="milliseconds"),
        },
    )
