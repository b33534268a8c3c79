"""What the pages add to an order: its weight, its confirmation, and what is said once it is given.

What an order is called and does, and whether it is allowed now, is said by ``commands``.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class OrderWords:
    """How an order is put before a person. tone: ``main``, ``plain`` or ``danger``.

    done: what is said once it was given. is_irreversible: the table's name must be typed;
    wants_comment: a comment may be given; needs_comment: must be given.
    """

    done: str
    tone: str = "plain"
    is_irreversible: bool = False
    wants_comment: bool = False
    needs_comment: bool = False


ORDERS: dict[str, OrderWords] = {
    "submit": OrderWords("Submitted. Somebody else must approve it.", "main"),
    "approve": OrderWords("Your approval is noted.", "main", wants_comment=True),
    "reject": OrderWords(
        "Rejected. Its requester sees your comment.",
        "danger",
        wants_comment=True,
        needs_comment=True,
    ),
    "start": OrderWords("Queued. A worker takes it up within seconds.", "main"),
    "stop": OrderWords("Told to stop. It writes a checkpoint first."),
    "retry": OrderWords("Queued again. A worker takes it up within seconds.", "main"),
    "set_volume": OrderWords("The volume is set. A run changes over to it within seconds."),
    "cut_over": OrderWords("The cut-over is ordered.", "main", is_irreversible=True),
    "start_afresh": OrderWords(
        "Queued. The copy begins again from the first row.", "danger", is_irreversible=True
    ),
    "cancel": OrderWords("Given up. What was copied is dropped.", "danger", is_irreversible=True),
}


def order_words(kind: str) -> OrderWords:
    """The words of an order; one that is not listed is plain."""
    return ORDERS.get(kind, OrderWords("The order is given."))
