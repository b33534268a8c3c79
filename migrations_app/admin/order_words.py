"""What the pages add to an order: its weight, its confirmation, and what is said once it is given.

What an order is called and does, and whether it is allowed now, is said by ``commands``.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class OrderWords:
    """How an order is put before a person. tone: ``main``, ``plain`` or ``danger``.

    done: what is said once it was given. is_irreversible: the table's name must be typed;
    wants_comment: a comment may be given; needs_comment: must be given; comment_label: what it is
    called; wants_schedule: a time and hours can be given; for_this_version: it counts only for the
    request as its page showed it.
    """

    done: str
    tone: str = "plain"
    is_irreversible: bool = False
    wants_comment: bool = False
    needs_comment: bool = False
    comment_label: str = "Comment"
    wants_schedule: bool = False
    for_this_version: bool = False


ORDERS: dict[str, OrderWords] = {
    "submit": OrderWords(
        "Submitted. Somebody else must approve it.",
        "main",
        wants_comment=True,
        comment_label="Why unsafe parts are meant, if there are any",
        for_this_version=True,
    ),
    "approve": OrderWords(
        "Your approval is noted.", "main", wants_comment=True, for_this_version=True
    ),
    "reject": OrderWords(
        "Rejected. Its requester sees your comment.",
        "danger",
        wants_comment=True,
        needs_comment=True,
        for_this_version=True,
    ),
    "schedule": OrderWords("The schedule is kept.", wants_schedule=True),
    "start": OrderWords("Queued. A worker takes it up within seconds.", "main"),
    "stop": OrderWords("Told to stop. It writes a checkpoint first."),
    "retry": OrderWords("Queued again. A worker takes it up within seconds.", "main"),
    "set_volume": OrderWords(
        "The volume is set. A copy that runs changes over to it within seconds; else the next run "
        "begins with it."
    ),
    "cut_over": OrderWords("The cut-over is ordered.", "main", is_irreversible=True),
    "hold_cutover": OrderWords("The cut-over is held until it is ordered."),
    "comment": OrderWords("Your comment is added.", wants_comment=True, needs_comment=True),
    "start_afresh": OrderWords(
        "Queued. The copy begins again from the first row.", "danger", is_irreversible=True
    ),
    "cancel": OrderWords("Given up. What was copied is dropped.", "danger", is_irreversible=True),
}


def order_words(kind: str) -> OrderWords:
    """The words of an order; one that is not listed is plain."""
    return ORDERS.get(kind, OrderWords("The order is given."))
