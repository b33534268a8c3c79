"""Which events can be told to people, how they are put, and which are told unless chosen otherwise.

Data only: nothing here reads the database.
"""

from __future__ import annotations

import dataclasses

NOTICE_FAILED = "notice_failed"
SUBMITTED = "submitted"


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """headline: what happened, as a title begins; advice: what to do next, "" for nothing.

    is_usual: told by channels that chose no kinds. may_repeat: it can happen again and again to one
    request, and is then told once in a while only.
    """

    name: str
    headline: str
    advice: str = ""
    is_usual: bool = False
    may_repeat: bool = False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            SUBMITTED,
            "A change needs approval",
            "Somebody other than its requester approves or rejects it on its page.",
            is_usual=True,
        ),
        Kind("approval_given", "A change was approved by one of several"),
        Kind("approved", "A change was approved", "An operator can start it.", is_usual=True),
        Kind(
            "rejected",
            "A change was rejected",
            "Nothing was changed. Its requester can write another request.",
            is_usual=True,
        ),
        Kind("edited", "A request was changed", "It must be submitted and approved again."),
        Kind("commented", "Somebody commented on a change"),
        Kind("scheduled", "A change was scheduled"),
        Kind(
            "schema_drift",
            "The table is no longer as it was approved",
            "Nothing was changed. Its requester looks at it and submits it again.",
            is_usual=True,
        ),
        Kind("started", "A migration has started"),
        Kind("resumed", "A migration goes on from its checkpoint"),
        Kind(
            "throttled",
            "A copy pauses because of the load",
            "It goes on by itself when the load falls.",
            may_repeat=True,
        ),
        Kind(
            "throttled_long",
            "A copy is held back for long",
            "See what its page names: a replica that lags, or a server under load.",
            is_usual=True,
            may_repeat=True,
        ),
        Kind(
            "waiting_for_cutover",
            "Every row is copied, the swap can begin",
            "Its page says what it waits for: the order to cut over, or the allowed hours.",
            is_usual=True,
        ),
        Kind(
            "cutover_blocked",
            "The swap of the tables is blocked",
            "It is tried again by itself. Its page names who is in the way.",
            is_usual=True,
            may_repeat=True,
        ),
        Kind("session_killed", "A session was ended to swap the tables", may_repeat=True),
        Kind("completed", "A migration is complete", is_usual=True),
        Kind(
            "failed",
            "A migration has failed",
            "The table is as it was. Read the reason on its page; an operator can retry it.",
            is_usual=True,
        ),
        Kind("stopped", "A migration was stopped", "Start goes on from its checkpoint."),
        Kind("cancelled", "A change was cancelled", is_usual=True),
        Kind("interrupted", "A migration was interrupted", "It goes on by itself."),
        Kind(
            "runner_lost",
            "A migration has lost its worker",
            "Another worker goes on from the checkpoint. When none does, look whether one runs.",
            is_usual=True,
            may_repeat=True,
        ),
        Kind(
            "server_lost",
            "A migration has lost its MySQL server",
            "It goes on by itself when the server is back.",
            may_repeat=True,
        ),
        Kind(
            "resume_failed",
            "A checkpoint could not be used",
            "The history on its page says why, and what became of the copied rows.",
            is_usual=True,
        ),
        Kind("fresh_start", "A migration began again from the first row", is_usual=True),
        Kind(
            "checkpoint_expiring",
            "A checkpoint can soon no longer be resumed",
            "Start the migration before the server drops its binary log, or keep the log longer.",
            is_usual=True,
        ),
        Kind(
            "difference_repaired",
            "The comparison found a difference and repaired it",
            may_repeat=True,
        ),
        Kind(
            NOTICE_FAILED,
            "A notice could not be delivered",
            "Check the channel's address and send a test from its page.",
            may_repeat=True,
        ),
    )
}

USUAL_KINDS = frozenset(kind.name for kind in KINDS.values() if kind.is_usual)


def headline(kind: str) -> str:
    """What an event's kind means, as a title begins."""
    known = KINDS.get(kind)
    return known.headline if known else kind.replace("_", " ").capitalize()
