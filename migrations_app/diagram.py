"""The lifecycle as a page of the documentation, made from its transitions."""

from __future__ import annotations

from migrations_app.lifecycle import TRANSITIONS, Transition
from migrations_app.models import State

_WHO = {
    "submit_migrationrequest": "requester",
    "approve_migrationrequest": "approver",
    "operate_migrationrequest": "operator",
    "": "system",
}
# In the picture, moves from many states would hide the others: the table has them.
_MANY = 4

_HEAD = """# Lifecycle of a request

Made from `migrations_app/lifecycle.py` by `manage.py lifecycle_diagram > docs/lifecycle.md`; a test
compares the two. A move is one guarded UPDATE together with its event: when two act at once, one
wins, and the other is told so.

"""


def as_markdown() -> str:
    """The whole page: a Mermaid diagram and the table of moves."""
    return _HEAD + _picture() + "\n" + _table()


def _picture() -> str:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.DRAFT.value}"]
    for name, move in TRANSITIONS.items():
        if len(move.sources) < _MANY:
            lines += [
                f"    {state.value} --> {move.target.value}: {name}" for state in _ordered(move)
            ]
    for state in (State.COMPLETED, State.REJECTED, State.CANCELLED):
        lines.append(f"    {state.value} --> [*]")
    return "\n".join([*lines, "```", ""])


def _table() -> str:
    lines = ["| move | from | to | event | who |", "|---|---|---|---|---|"]
    for name, move in TRANSITIONS.items():
        sources = ", ".join(state.value for state in _ordered(move))
        lines.append(
            f"| {name} | {sources} | {move.target.value} | `{move.event}` | "
            f"{_WHO[move.permission]} |"
        )
    return "\n".join(lines) + "\n"


def _ordered(move: Transition) -> list[State]:
    return [state for state in State if state in move.sources]
