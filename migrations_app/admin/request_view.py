"""The request page and its live parts, as views."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache

from migrations_app.admin.access import may, person
from migrations_app.admin.live_parts import render_parts
from migrations_app.admin.numbers import whole_number
from migrations_app.admin.request_context import page_context
from migrations_app.models import MigrationRequest

if TYPE_CHECKING:
    from migrations_app.admin.request_admin import RequestAdmin

# htmx stops polling at this status, and still swaps in what the answer holds.
STOP_POLLING = 286


def find(request: HttpRequest, pk: int) -> MigrationRequest:
    """The request of an address. Raises Http404, or PermissionDenied for who may not see it."""
    if not may(request.user, "view_migrationrequest"):
        raise PermissionDenied("Your account may not see requests.")
    found = MigrationRequest.objects.select_related("target", "requester").filter(pk=pk).first()
    if found is None:
        raise Http404(f"There is no request #{pk}.")
    return found


def page(request: HttpRequest, page_admin: RequestAdmin, object_id: str) -> HttpResponse:
    """The whole page. Raises Http404 for an address that names no request."""
    number = whole_number(object_id)
    if number is None:
        raise Http404("A request is named by its number.")
    req = find(request, number)
    context: dict[str, Any] = page_context(req, person(request))
    context |= {
        **admin.site.each_context(request),
        "title": f"#{req.pk} {req.title or req.table}",
        "opts": page_admin.opts,
        "original": req,
        "parts": render_parts(request, context),
    }
    return TemplateResponse(request, "spirit/request/page.html", context)


@never_cache
def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The parts that may have changed, for htmx to swap in; the last answer ends the polling."""
    req = find(request, pk)
    parts = render_parts(request, page_context(req, person(request)), for_swap=True)
    return HttpResponse(
        "\n".join(parts.values()),
        status=STOP_POLLING if req.is_final else 200,
        headers={
            "X-Live-Parts": str(len(parts)),
            "X-Server-Time": timezone.now().isoformat(timespec="milliseconds"),
        },
    )
