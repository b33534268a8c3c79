"""Whether the tables of a change are still defined as they were when its copy began.

The binary log shows what others change, as far as its statements can be read: not what a session
did with ``sql_log_bin=0``, and hardly what it wrote in another character set. So the definitions'
digest is kept, as the checkpoint table's comment, and compared when a run resumes and again under
the lock of the swap.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from migrations_app.engine.names import TableNames, literal
from migrations_app.engine.session import Session
from migrations_app.engine.table import show_create_table

_COUNTER = re.compile(r" AUTO_INCREMENT=\d+")
_PREFIX = "definitions "


def read(session: Session, all_names: Sequence[TableNames]) -> list[str]:
    """Each table's SHOW CREATE TABLE, without the counter that every insert moves."""
    return [_COUNTER.sub("", show_create_table(session, names.source_sql)) for names in all_names]


def comment(session: Session, all_names: Sequence[TableNames]) -> str:
    """The checkpoint table's comment for the definitions as they are now."""
    digest = hashlib.sha256("\0".join(read(session, all_names)).encode()).hexdigest()
    return f"{_PREFIX}{digest}"


def have_changed(session: Session, all_names: Sequence[TableNames]) -> bool:
    """Whether they differ from what the checkpoint table says; False when it says nothing."""
    first = all_names[0]
    rows = session.query(
        "SELECT TABLE_COMMENT FROM information_schema.TABLES WHERE "
        f"TABLE_SCHEMA = {literal(first.schema)} AND TABLE_NAME = {literal(first.checkpoint)}"
    )
    kept = str(rows[0][0]) if rows else ""
    return kept.startswith(_PREFIX) and kept != comment(session, all_names)
