"""What all orders have in common: permission and state first, then one guarded move, in words."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError

from migrations_app import hours, lifecycle, offers
from migrations_app.lifecycle import LifecycleError
from migrations_app.models import Command, CommandKind, CommandResult, MigrationRequest

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class OrderRefused(Exception):
    """The order was not accepted and nothing was changed; str() says why, for people."""


@dataclasses.dataclass(frozen=True, slots=True)
class Arguments:
    """What comes with an order.

    comment: a reason or remark, for ``submit`` why its unsafe parts are meant; volume: for
    ``set_volume``; start_after, hours: for ``schedule``; version: the request's as the person saw
    it, when the order is to count for nothing else.
    """

    comment: str = ""
    volume: int | None = None
    start_after: dt.datetime | None = None
    hours: str = ""
    version: int | None = None


def require(kind: str, request: MigrationRequest, actor: User) -> None:
    """Raise OrderRefused unless this person may give this order now."""
    reason = offers.why_not(offers.ORDERS[kind], request, actor)
    if reason:
        raise OrderRefused(reason)


def require_text(text: str, what: str = "The text", longest: int = 4000) -> str:
    """A text as it may be stored, without outer space. Raises OrderRefused."""
    if "\x00" in text:
        raise OrderRefused(f"{what} holds a NUL character, which cannot be stored.")
    if any("\ud800" <= char <= "\udfff" for char in text):
        # What a terminal sends that is no UTF-8, and what JSON can escape.
        raise OrderRefused(f"{what} holds half of a character, which cannot be stored.")
    if len(text) > longest:
        raise OrderRefused(f"{what} may have {longest:,} characters, not {len(text):,}.")
    return text.strip()


def require_start(moment: dt.datetime | None) -> None:
    """Raise OrderRefused for a time so far away that it cannot be meant, or not be stored."""
    if moment is None:
        return
    try:
        hours.validate_start(moment)
    except ValidationError as error:
        raise OrderRefused(" ".join(error.messages)) from None


def move(
    request: MigrationRequest,
    name: str,
    message: str,
    actor: User,
    data: dict[str, Any] | None = None,
    **changes: Any,
) -> None:
    """A move whose permission was checked already, by ``require``."""
    try:
        lifecycle.move(request, name, message, actor=actor, data=data, changes=changes)
    except LifecycleError as error:
        raise OrderRefused(str(error)) from None


def write(
    kind: CommandKind,
    request: MigrationRequest,
    actor: User,
    argument: dict[str, Any] | None = None,
) -> Command:
    """An order that a run is to carry out."""
    return Command.objects.create(request=request, kind=kind, actor=actor, argument=argument or {})


def settled(
    kind: CommandKind,
    request: MigrationRequest,
    actor: User,
    answer: str,
    argument: dict[str, Any] | None = None,
) -> Command:
    """An order that was carried out at once."""
    command = write(kind, request, actor, argument)
    command.settle(answer)
    return command


def take_back(request: MigrationRequest, kind: CommandKind, answer: str) -> int:
    """Settle the open orders of a kind as taken back; returns how many there were."""
    return sum(
        command.settle(answer, CommandResult.TAKEN_BACK)
        for command in request.commands.filter(kind=kind, obeyed_at=None)
    )


def changed_meanwhile(request: MigrationRequest) -> str:
    return f"Somebody else changed request #{request.pk} at the same moment. Look again."
