"""The tables of the bench: their columns, how the server fills them, and the change that is made.

Every value is a function of the row's number and a seed, computed by the server (CRC32, SHA2), so
that equal seeds make equal tables on any machine.
"""

from __future__ import annotations

import dataclasses

ROWS_AT_ONCE = 100_000


@dataclasses.dataclass(frozen=True)
class Shape:
    """A table. columns: name, definition and the SQL of its value, in which ``n`` is the row's
    number from 1 and ``@seed`` the seed; no value: the column is filled by the server.

    key: the primary key's columns; indexes: secondary ones, built once the rows are there;
    change: the ALTER's clauses, which force a copy; row_bytes: about, for the buffer pool.
    """

    name: str
    columns: tuple[tuple[str, str, str], ...]
    key: tuple[str, ...]
    indexes: tuple[str, ...]
    change: str
    row_bytes: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _, _ in self.columns)

    def create_sql(self, table: str) -> str:
        """CREATE TABLE without the secondary indexes."""
        lines = [f"`{name}` {definition}" for name, definition, _ in self.columns]
        key = ", ".join(f"`{name}`" for name in self.key)
        body = ",\n  ".join([*lines, f"PRIMARY KEY ({key})"])
        return f"CREATE TABLE `{table}` (\n  {body}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"

    def fill_sql(self, table: str, first: int, last: int) -> str:
        """INSERT of the rows numbered first..last."""
        filled = [(name, value) for name, _, value in self.columns if value]
        names = ", ".join(f"`{name}`" for name, _ in filled)
        values = ", ".join(value for _, value in filled)
        return (
            f"INSERT INTO `{table}` ({names}) SELECT {values} FROM (WITH RECURSIVE s (n) AS"
            f" (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last})"
            f" SELECT n FROM s) numbers"
        )

    def index_sql(self, table: str) -> str:
        """ALTER TABLE that adds the secondary indexes; "" when there are none."""
        if not self.indexes:
            return ""
        return f"ALTER TABLE `{table}` " + ", ".join(f"ADD KEY {index}" for index in self.indexes)


def _number(salt: str, below: int) -> str:
    return f"CRC32(CONCAT(@seed, '{salt}', n)) % {below}"


def _text(salt: str, length: int) -> str:
    """A pseudo-random text of hexadecimal digits, at most 128 of them."""
    parts = ", ".join(
        f"SHA2(CONCAT(@seed, '{salt}{part}', n), 256)" for part in range(-(-length // 64))
    )
    return f"LEFT(CONCAT({parts}), {length})"


_ID = ("id", "BIGINT NOT NULL AUTO_INCREMENT", "n")
_CHANGED = "INT NOT NULL DEFAULT 0"

SBTEST = Shape(
    name="sbtest",
    columns=(
        _ID,
        ("k", _CHANGED, _number("k", 2_000_000)),
        ("c", "CHAR(120) NOT NULL DEFAULT ''", _text("c", 119)),
        ("pad", "CHAR(60) NOT NULL DEFAULT ''", _text("p", 59)),
    ),
    key=("id",),
    indexes=("k_1 (k)",),
    change="MODIFY k BIGINT NOT NULL DEFAULT 0",
    row_bytes=260,
)
WIDE = Shape(
    name="wide",
    columns=(
        _ID,
        ("customer", "INT NOT NULL", _number("customer", 4_000_000)),
        ("reference", "CHAR(16) NOT NULL", _text("reference", 16)),
        (
            "created_at",
            "DATETIME NOT NULL",
            f"'2020-01-01' + INTERVAL {_number('created', 200_000_000)} SECOND",
        ),
        ("total", "DECIMAL(12,2) NOT NULL", f"{_number('total', 100_000_000)} / 100"),
        ("city", "VARCHAR(40) NOT NULL", _text("city", 20)),
        ("state", "INT NOT NULL", _number("state", 100_000)),
        ("stock", _CHANGED, _number("stock", 1000)),
        *((f"note{i}", "VARCHAR(60)", _text(f"note{i}", 40)) for i in range(1, 5)),
    ),
    key=("id",),
    indexes=(
        "by_customer (customer)",
        "by_reference (reference)",
        "by_created (created_at)",
        "by_total (total)",
        "by_city (city, state)",
        "by_state (state, customer)",
    ),
    change="MODIFY stock BIGINT NOT NULL DEFAULT 0",
    row_bytes=550,
)
TEXT_KEY = Shape(
    name="textkey",
    columns=(
        ("tenant", "VARCHAR(40) NOT NULL", f"CONCAT('tenant-', {_number('tenant', 500)})"),
        # The number at its end keeps two rows from having one key.
        ("code", "VARCHAR(64) NOT NULL", f"CONCAT({_text('code', 20)}, '-', n)"),
        ("stock", _CHANGED, _number("stock", 1000)),
        ("note", "VARCHAR(120)", _text("note", 80)),
    ),
    key=("tenant", "code"),
    indexes=(),
    change="MODIFY stock BIGINT NOT NULL DEFAULT 0",
    row_bytes=230,
)
BIG_ROWS = Shape(
    name="bigrows",
    columns=(
        _ID,
        ("stock", _CHANGED, _number("stock", 1000)),
        (
            "document",
            "JSON",
            f"JSON_OBJECT('name', {_text('name', 30)}, 'weight', {_number('weight', 100_000)})",
        ),
        ("body", "MEDIUMTEXT", f"REPEAT({_text('body', 128)}, 64)"),
    ),
    key=("id",),
    indexes=(),
    change="MODIFY stock BIGINT NOT NULL DEFAULT 0",
    # What it takes in the file: an 8 KB text has a page of 16 KB of its own.
    row_bytes=17_000,
)
