"""What a request page offers its reader to do: orders and the volume, or why not.

``offers.available_orders`` decides; here its answer gets words, an address and, where an order
cannot be undone, the confirmation it takes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from django.contrib.auth.models import User

from migrations_app import lifecycle, offers
from migrations_app.admin.links import admin_url
from migrations_app.admin.order_words import order_words
from migrations_app.admin.volume_words import VolumeStep, volume_meaning, volume_steps
from migrations_app.models import Command, CommandKind, CommandResult, MigrationRequest

# Offered elsewhere on the page, by a control of its own.
VOLUME_ORDER = CommandKind.SET_VOLUME


@dataclasses.dataclass(frozen=True, slots=True)
class OfferView:
    """One order as the page shows it. reason: why it is not allowed now."""

    kind: str
    label: str
    help: str
    tone: str
    url: str
    is_allowed: bool
    reason: str
    confirm_word: str
    wants_comment: bool
    needs_comment: bool
    comment_label: str
    wants_schedule: bool
    version: int | None

    @property
    def wants_words(self) -> bool:
        """Whether there is something to fill in."""
        return bool(self.confirm_word) or self.wants_comment or self.wants_schedule


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeView:
    """The volume's control. obeyed: what the present run works with, None between runs."""

    asked: int
    obeyed: int | None
    is_changing: bool
    is_allowed: bool
    reason: str
    url: str
    meaning: str
    steps: list[VolumeStep]
    highest: int


def confirm_word(kind: str, req: MigrationRequest) -> str:
    """What must be typed to confirm an order: the table's name, or "" when nothing must be."""
    return req.table_name if order_words(kind).is_irreversible else ""


def context(req: MigrationRequest, user: User) -> dict[str, Any]:
    """The part of a request page's context that offers things to do."""
    available = offers.available_orders(req, user)
    orders = [_offer(order, req) for order in available if order.is_allowed]
    volume_order = next((order for order in available if order.kind == VOLUME_ORDER), None)
    return {
        "orders": [order for order in orders if order.kind != VOLUME_ORDER],
        "closed_orders": _closed(available, req, user),
        "no_orders": "It has ended; there is nothing left to order."
        if req.is_final
        else "Nothing at the moment: others act on it now, or your role does not.",
        "pending_order": _pending(req),
        "volume": _volume(req, volume_order),
    }


def _offer(order: offers.Offer, req: MigrationRequest) -> OfferView:
    shown = order_words(order.kind)
    return OfferView(
        kind=order.kind,
        label=order.label,
        help=order.help,
        tone=shown.tone,
        url=admin_url("migrationrequest_order", req.pk, order.kind),
        is_allowed=order.is_allowed,
        reason=order.reason,
        confirm_word=confirm_word(order.kind, req),
        wants_comment=shown.wants_comment,
        needs_comment=shown.needs_comment,
        comment_label=shown.comment_label,
        wants_schedule=shown.wants_schedule,
        version=req.version if shown.for_this_version else None,
    )


def _closed(available: list[offers.Offer], req: MigrationRequest, user: User) -> list[OfferView]:
    """What the reader's role includes but the request does not allow now; the rest is not shown."""
    return [
        _offer(order, req)
        for order in available
        if not order.is_allowed
        and order.kind != VOLUME_ORDER
        and lifecycle.may(user, offers.ORDERS[order.kind].permission)
    ]


def _volume(req: MigrationRequest, order: offers.Offer | None) -> VolumeView:
    obeyed = req.running_volume if req.is_active else None
    return VolumeView(
        asked=req.volume,
        obeyed=obeyed,
        is_changing=obeyed is not None and obeyed != min(req.volume, req.target.max_volume),
        is_allowed=order is not None and order.is_allowed,
        reason=order.reason if order else "",
        url=admin_url("migrationrequest_order", req.pk, VOLUME_ORDER),
        meaning=volume_meaning(req.volume),
        steps=volume_steps(),
        highest=req.target.max_volume,
    )


def _pending(req: MigrationRequest) -> str:
    """A sentence about the newest order that nobody has carried out yet, or ""."""
    order = Command.objects.filter(request=req, obeyed_at=None).select_related("actor").first()
    if order is None:
        return ""
    stands = "being tried" if order.result == CommandResult.TRYING else "not carried out yet"
    return (
        f"{order.get_kind_display()}, ordered by {order.actor.get_username()}: {stands}."
        f" {order.answer}"
    ).strip()
