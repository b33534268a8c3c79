"""What is dropped after a swap, and what is kept."""

from __future__ import annotations

from migrations_app.engine import sentinel
from migrations_app.engine.checkpoint import CheckpointTable
from migrations_app.engine.options import Options
from migrations_app.engine.session import Session, server_text
from migrations_app.engine.statement import Change


def tidy(session: Session, change: Change, checkpoints: CheckpointTable, options: Options) -> str:
    """Drop what is not needed any more; returns what was kept, in words.

    Raises what the server has against it; ``untidied`` has the words for that.
    """
    kept = ""
    # A successor that finds neither shadow nor old table must know that all is done.
    checkpoints.mark_swapped(session)
    if options.skip_drop:
        old = ", ".join(names.old for names in change.all_names)
        kept = f"What was there before is kept as {old}."
    else:
        for names in change.all_names:
            session.query(f"DROP TABLE IF EXISTS {names.old_sql}")
    checkpoints.drop(session)
    sentinel.drop_unless_needed(session, change.first.names)
    return kept


def untidied(error: BaseException) -> str:
    """The words for tables that stay because of an error, and what becomes of them."""
    return (
        f"Something could not be dropped and is still there: {server_text(error).rstrip('.')}. "
        f"Run the same once more: it finds the change made, and only tidies up."
    )
