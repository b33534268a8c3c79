"""What a person can order, whoever asks: the pages, the command line, the API.

Every order is a function ``(actor, request, …)`` that checks permission and state, writes what it
decided, and raises OrderRefused with a sentence for people otherwise; ``give`` gives any of them by
its name. ``available_orders`` says beforehand which are allowed, and why the others are not
(``offers`` has the rules).

- ``writing``: what a requester does; ``deciding``: what approvers do; ``running``: orders about
  runs, kept while no worker lives, and obeyed when one does
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from migrations_app import offers
from migrations_app.commands.common import Arguments, OrderRefused, changed_meanwhile
from migrations_app.commands.deciding import approve, reject
from migrations_app.commands.running import (
    cancel,
    cut_over,
    hold_cutover,
    retry,
    schedule,
    set_volume,
    start,
    start_afresh,
    stop,
)
from migrations_app.commands.writing import (
    AcknowledgementNeededError,
    comment,
    draft,
    edit,
    read_statement,
    require_requester,
    submit,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from migrations_app.models import MigrationRequest

__all__ = [
    "ORDERS",
    "AcknowledgementNeededError",
    "Arguments",
    "Offer",
    "OrderRefused",
    "approve",
    "available_orders",
    "cancel",
    "comment",
    "cut_over",
    "draft",
    "edit",
    "give",
    "hold_cutover",
    "read_statement",
    "reject",
    "require_requester",
    "retry",
    "schedule",
    "set_volume",
    "start",
    "start_afresh",
    "stop",
    "submit",
]

# What is offered is part of what can be ordered: pages ask here for both.
Offer = offers.Offer
ORDERS = offers.ORDERS
available_orders = offers.available_orders

_GIVE: dict[str, Callable[[User, MigrationRequest, Arguments], object]] = {
    "submit": lambda actor, request, said: submit(actor, request, said.comment),
    "approve": lambda actor, request, said: approve(actor, request, said.comment),
    "reject": lambda actor, request, said: reject(actor, request, said.comment),
    "schedule": schedule,
    "start": lambda actor, request, _: start(actor, request),
    "stop": lambda actor, request, _: stop(actor, request),
    "set_volume": lambda actor, request, said: set_volume(actor, request, said.volume),
    "cut_over": lambda actor, request, _: cut_over(actor, request),
    "hold_cutover": lambda actor, request, _: hold_cutover(actor, request),
    "retry": lambda actor, request, _: retry(actor, request),
    "start_afresh": lambda actor, request, _: start_afresh(actor, request),
    "cancel": lambda actor, request, _: cancel(actor, request),
    "comment": lambda actor, request, said: comment(actor, request, said.comment),
}


def give(kind: str, actor: User, request: MigrationRequest, arguments: Arguments) -> None:
    """Give any order of ``ORDERS``: the one way in for pages, command line and API.

    Raises OrderRefused, with nothing changed; KeyError for an order there is not.
    """
    order = _GIVE[kind]
    if kind == "approve" and arguments.version is None:
        raise OrderRefused("Name the version that you read: an approval is for that one.")
    if arguments.version is not None and arguments.version != request.version:
        raise OrderRefused(changed_meanwhile(request))
    order(actor, request, arguments)
