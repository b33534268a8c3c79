"""Whether the copies of the tables fit on the server's disk.

A server does not tell how much room it has. It can only be known where its data folder is a folder
of this machine; which is not the same as a folder of that name.
"""

from __future__ import annotations

import pathlib
import shutil
from collections.abc import Sequence

from migrations_app.engine.server import ServerFacts
from migrations_app.engine.table import Table

# The new table is written in key order, but pages are never quite full, and the binary log holds
# what is written as well.
_NEEDED_SHARE = 2.0


def too_little(facts: ServerFacts, tables: Sequence[Table]) -> str:
    """Why there is too little room for copies of the tables, in words; "" when there is enough, or
    when it cannot be known."""
    folder = own_folder(facts)
    if folder is None:
        return ""
    needed = int(sum(table.data_bytes + table.index_bytes for table in tables) * _NEEDED_SHARE)
    free = free_bytes(folder)
    if free >= needed:
        return ""
    called = ", ".join(table.name for table in tables)
    return (
        f"The copy of {called} and the binary log of it need about {_mebibytes(needed)}, and the "
        f"server has {_mebibytes(free)} left in {folder}. Make room first: old binary logs, or "
        f"tables that nobody needs."
    )


def own_folder(facts: ServerFacts) -> pathlib.Path | None:
    """The server's data folder, when it is one of this machine: it holds the server's own id."""
    folder = pathlib.Path(facts.variables.get("datadir") or "/nonexistent")
    try:
        text = (folder / "auto.cnf").read_text()
    except OSError:
        return None
    return folder if facts.variables.get("server_uuid", "?") in text else None


def free_bytes(folder: pathlib.Path) -> int:
    return shutil.disk_usage(folder).free


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB"
