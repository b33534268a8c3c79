"""Requests: lists, one of them, new ones, changed ones."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Query, Router, Status

from migrations_app import commands, readings
from migrations_app.api.auth import reader, user_of
from migrations_app.api.schemas import (
    Changes,
    Filters,
    Message,
    NewRequest,
    RequestFull,
    RequestLine,
)
from migrations_app.models import MigrationRequest, Scope, Target

router = Router(tags=["requests"])


def find(number: int) -> MigrationRequest:
    """A request with its target and people. Raises Http404."""
    rows = MigrationRequest.objects.select_related("target", "requester", "acknowledged_by")
    return get_object_or_404(rows, pk=number)


@router.get("", response=list[RequestLine], summary="Requests, newest first")
def list_requests(request: HttpRequest, asked: Query[Filters]) -> list[dict[str, Any]]:
    """``before``: only requests with a smaller number, for the next page."""
    reader(request)
    rows: QuerySet[MigrationRequest] = MigrationRequest.objects.select_related(
        "target", "requester"
    )
    if asked.state:
        rows = rows.filter(state__in=asked.state)
    if asked.target:
        rows = rows.filter(target__name=asked.target)
    if asked.table:
        rows = rows.filter(table_name=asked.table)
    if asked.requester:
        rows = rows.filter(requester__username=asked.requester)
    if asked.before is not None:
        rows = rows.filter(pk__lt=asked.before)
    return [readings.line(row) for row in rows.order_by("-pk")[: asked.limit]]


@router.get("/{number}", response=RequestFull, summary="One request, with what you may order")
def get_request(request: HttpRequest, number: int) -> dict[str, Any]:
    return readings.full(find(number), reader(request))


@router.post("", response={201: RequestFull, 409: Message}, summary="Ask for a change")
def make_request(request: HttpRequest, asked: NewRequest) -> Status[Any]:
    """Makes a draft; with ``submit``, submits it too. When only that is refused, the draft is kept,
    and named in the answer."""
    user = user_of(request, Scope.SUBMIT)
    commands.require_requester(user)
    values = asked.dict(exclude={"target", "submit"})
    target = Target.objects.filter(name=asked.target).first()
    if target is None:
        raise commands.OrderRefused(f"There is no target called “{asked.target}”.")
    draft = MigrationRequest(target=target, **values)
    commands.draft(user, draft)
    if asked.submit:
        try:
            commands.submit(user, draft)
        except commands.OrderRefused as error:
            words = f"Kept as draft #{draft.pk}, and not submitted: {error}"
            raise commands.OrderRefused(words) from None
    return Status(201, readings.full(find(draft.pk), user))


@router.patch(
    "/{number}", response={200: RequestFull, 409: Message}, summary="Change a request of yours"
)
def change_request(request: HttpRequest, number: int, asked: Changes) -> dict[str, Any]:
    """Approvals, snapshot and acknowledgement were for the former version and no longer count."""
    user = user_of(request, Scope.SUBMIT)
    row = find(number)
    for name, value in asked.dict(exclude_unset=True, exclude={"version"}).items():
        if value is not None or name == "start_after":
            setattr(row, name, value)
    commands.edit(user, row, asked.version)
    return readings.full(find(number), user)
