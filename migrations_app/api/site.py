"""The API as a whole: its parts, its page, and how errors are answered."""

from __future__ import annotations

from django.contrib.admin.views.decorators import staff_member_required
from django.http import Http404, HttpRequest, HttpResponse
from ninja import NinjaAPI

from migrations_app.api import history, orders, requests, targets
from migrations_app.api.auth import TokenAuth
from migrations_app.commands import OrderRefused

_DESCRIPTION = (
    "The same reads and orders as the pages, for programs that act as a person. Send "
    "`Authorization: Bearer …` with a token made on the page *API tokens*. An order that is not "
    "possible is answered with 409 and the reason."
)

api = NinjaAPI(
    title="Spirit Admin",
    version="1",
    description=_DESCRIPTION,
    auth=TokenAuth(),
    docs_url="/docs",
    docs_decorator=staff_member_required,
    urls_namespace="api",
)
api.add_router("/requests", requests.router)
api.add_router("/requests", orders.router)
api.add_router("/requests", history.router)
api.add_router("", targets.router)


@api.exception_handler(OrderRefused)
def refused(request: HttpRequest, error: OrderRefused) -> HttpResponse:
    return api.create_response(request, {"detail": str(error)}, status=409)


@api.exception_handler(Http404)
def not_found(request: HttpRequest, error: Http404) -> HttpResponse:
    return api.create_response(request, {"detail": str(error) or "Not found."}, status=404)
