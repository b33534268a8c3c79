"""Orders: every kind there is, by its name, as the token's person."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest
from ninja import Query, Router

from migrations_app import commands, offers, readings
from migrations_app.api.auth import reader, user_of
from migrations_app.api.requests import find
from migrations_app.api.schemas import Message, OrderIn, OrderOut, Page, RequestFull
from migrations_app.models import Scope

router = Router(tags=["orders"])
_SCOPES = {
    offers.SUBMIT: Scope.SUBMIT,
    offers.APPROVE: Scope.APPROVE,
    offers.OPERATE: Scope.OPERATE,
    # Whoever may read may remark.
    offers.VIEW: Scope.READ,
}


@router.get("/{number}/orders", response=list[OrderOut], summary="Orders given, newest first")
def list_orders(request: HttpRequest, number: int, page: Query[Page]) -> list[dict[str, Any]]:
    reader(request)
    rows = find(number).commands.select_related("actor")
    if page.before is not None:
        rows = rows.filter(pk__lt=page.before)
    return [readings.order(row) for row in rows[: page.limit]]


@router.post(
    "/{number}/orders/{kind}",
    response={200: RequestFull, 409: Message},
    summary="Give an order",
)
def give_order(request: HttpRequest, number: int, kind: str, asked: OrderIn) -> dict[str, Any]:
    """kind: one of those that the request's ``offers`` name. 409 says why it is not possible."""
    if kind not in offers.ORDERS:
        raise Http404(f"There is no order called {kind}.")
    user = user_of(request, _SCOPES[offers.ORDERS[kind].permission])
    row = find(number)
    commands.give(kind, user, row, commands.Arguments(**asked.dict()))
    return readings.full(find(number), user)
