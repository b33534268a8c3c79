"""The names of what a run creates beside a table, and how identifiers are written in SQL."""

from __future__ import annotations

import dataclasses
import hashlib

MAX_IDENTIFIER_CHARS = 64
_HASH_CHARS = 8
SENTINEL_TABLE = "_spirit_sentinel"


def quote(identifier: str) -> str:
    """An identifier as SQL, whatever characters it holds."""
    return "`" + identifier.replace("`", "``") + "`"


def literal(value: str | int | None) -> str:
    """A value as an SQL literal that means the same under every sql_mode and charset."""
    if value is None:
        return "NULL"
    if isinstance(value, int):
        return str(value)
    if not value:
        return "''"
    return f"_utf8mb4 0x{value.encode().hex()}"


def _derived(table: str, suffix: str) -> str:
    plain = f"_{table}_{suffix}"
    if len(plain) <= MAX_IDENTIFIER_CHARS:
        return plain
    digest = hashlib.sha256(table.encode()).hexdigest()[:_HASH_CHARS]
    room = MAX_IDENTIFIER_CHARS - len(suffix) - len(digest) - 3
    return f"_{table[:room]}_{digest}_{suffix}"


@dataclasses.dataclass(frozen=True, slots=True)
class TableNames:
    """A table and the tables a run keeps beside it, all in one schema.

    Names that would pass 64 characters are shortened with a hash of the whole table name, so
    that two long names with the same beginning never share a shadow table.
    """

    schema: str
    table: str

    @property
    def shadow(self) -> str:
        return _derived(self.table, "new")

    @property
    def old(self) -> str:
        return _derived(self.table, "old")

    @property
    def checkpoint(self) -> str:
        return _derived(self.table, "chkpnt")

    def scratch(self, token: str) -> str:
        """The empty copy on which a plan tries the statement out, and drops again."""
        return _derived(self.table, f"plan_{token}")

    def sql(self, name: str) -> str:
        """One of the names, qualified and quoted."""
        return f"{quote(self.schema)}.{quote(name)}"

    @property
    def source_sql(self) -> str:
        return self.sql(self.table)

    @property
    def shadow_sql(self) -> str:
        return self.sql(self.shadow)

    @property
    def old_sql(self) -> str:
        return self.sql(self.old)

    @property
    def checkpoint_sql(self) -> str:
        return self.sql(self.checkpoint)

    @property
    def lock_name(self) -> str:
        """The user-level lock of this table; MySQL allows 64 characters and ignores case."""
        digest = hashlib.sha256(f"{self.schema}\0{self.table}".lower().encode()).hexdigest()
        return f"spirit:{digest[:48]}"
