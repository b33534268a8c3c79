"""A random table: key, columns, indexes and rows, all of them from one source of randomness."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import random
from collections.abc import Callable, Iterator
from decimal import Decimal

import MySQLdb

from playground import tables
from playground.connections import query, quote
from playground.tables import Key
from playground.torture.columns import MEMBERS, MEMBERS_SQL, Kind, random_kind

NAME = "t"
FEWEST_ROWS = 2_000
MOST_ROWS = 60_000
# As many keys as there are rows, times this, are free for the writer.
_FREE_SHARE = 2
_ROWS_AT_ONCE = 1_000
_EPOCH = dt.datetime(2024, 2, 28, 23, 59, 50)


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of a random table. unique: its values never repeat, indexed or not."""

    name: str
    kind: Kind
    nullable: bool = False
    unique: bool = False
    generated: str = ""

    def sql(self, type_sql: str = "", *, name: str = "", nullable: bool | None = None) -> str:
        """Its definition; the arguments replace parts of it."""
        may_be_null = self.nullable if nullable is None else nullable
        null = "NULL" if may_be_null else "NOT NULL"
        computed = f" GENERATED ALWAYS AS {self.generated}" if self.generated else ""
        return f"{quote(name or self.name)} {type_sql or self.kind.type_sql}{computed} {null}"


@dataclasses.dataclass(frozen=True)
class KeyKind:
    """How rows are numbered: types of the key's columns, and the key of a number. Different
    numbers give different keys, for the server's collation too. down: those that are DESC."""

    name: str
    types: tuple[str, ...]
    key_of: Callable[[int], Key] = dataclasses.field(compare=False, repr=False)
    auto_increment: bool = False
    down: tuple[int, ...] = ()


def _member(number: int) -> str:
    return MEMBERS[number % len(MEMBERS)].replace("''", "'")


def _text_key(number: int) -> Key:
    text = f"{('Key', 'KEY', 'key', 'kéy')[number % 4]}-{number * 7919 % 1_000_003:x}"
    return (text.upper() if number % 3 == 0 else text,)


def _composite_key(number: int) -> Key:
    return number % 13 - 6, number // 13 - 1000


KEY_KINDS = (
    KeyKind("int", ("INT",), lambda n: (n * 7 - 150_000 if n % 5 else -n * 900 - 150_001,)),
    KeyKind("auto", ("INT UNSIGNED AUTO_INCREMENT",), lambda n: (n + 1,), auto_increment=True),
    KeyKind("unsigned", ("BIGINT UNSIGNED",), lambda n: (2**63 - 60_000 + n * 3,)),
    KeyKind("composite", ("SMALLINT", "INT"), _composite_key),
    KeyKind("mixed", ("SMALLINT", "INT"), _composite_key, down=(1,)),
    KeyKind(
        "newest", ("DATETIME", "INT"), lambda n: (_EPOCH + dt.timedelta(days=n % 40), n), down=(0,)
    ),
    KeyKind("decimal", ("DECIMAL(14,3)",), lambda n: (Decimal(n * 37 - 2_000_000).scaleb(-3),)),
    KeyKind(
        "datetime",
        ("DATETIME(6)",),
        lambda n: (_EPOCH + dt.timedelta(microseconds=n * 271_828),),
    ),
    KeyKind(
        "binary",
        ("BINARY(16)",),
        lambda n: (hashlib.md5(b"%d" % n, usedforsecurity=False).digest(),),
    ),
    KeyKind("text", ("VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci",), _text_key),
    KeyKind("latin", ("VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_swedish_ci",), _text_key),
    KeyKind("utf8", ("VARCHAR(40) CHARACTER SET utf8mb3",), _text_key),
    KeyKind(
        "enum",
        (f"ENUM({MEMBERS_SQL})", "INT"),
        lambda n: (_member(n), n // len(MEMBERS)),
    ),
    KeyKind("bytes", ("VARBINARY(12)",), lambda n: ((n * 7919 % 1_000_003).to_bytes(3, "big"),)),
)


@dataclasses.dataclass(frozen=True)
class Shape:
    """A table that could be: everything follows from it and its seed.

    primary: whether the key is the primary key, else a unique one; indexes: definitions as in
    CREATE TABLE; rows: how many there are at first.
    """

    seed: str
    key_kind: KeyKind
    primary: bool
    columns: tuple[Column, ...]
    indexes: tuple[str, ...]
    rows: int

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(f"k{number}" for number in range(len(self.key_kind.types)))

    @property
    def plain(self) -> tuple[Column, ...]:
        """The columns beside the key that an application writes."""
        return tuple(column for column in self.columns if not column.generated)

    @property
    def indexed(self) -> frozenset[str]:
        """The columns beside the key that some index holds."""
        definitions = " ".join(self.indexes)
        return frozenset(c.name for c in self.columns if quote(c.name) in definitions)

    @property
    def columns_of_generated(self) -> frozenset[str]:
        """The columns that generated ones are computed from: they can neither go nor be renamed."""
        expressions = " ".join(column.generated for column in self.columns)
        return frozenset(c.name for c in self.columns if quote(c.name) in expressions)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The key's columns, as columns like the others; their kind's maker is never used."""
        return tuple(
            Column(name, Kind("key", type_sql, lambda source, serial: None))
            for name, type_sql in zip(self.key, self.key_kind.types, strict=True)
        )

    def create_sql(self) -> str:
        names = ", ".join(
            quote(name) + (" DESC" if place in self.key_kind.down else "")
            for place, name in enumerate(self.key)
        )
        key = f"PRIMARY KEY ({names})" if self.primary else f"UNIQUE KEY uk ({names})"
        defined = [column.sql() for column in (*self.key_columns, *self.columns)]
        return f"CREATE TABLE {NAME} (\n  " + ",\n  ".join([*defined, key, *self.indexes]) + "\n)"

    def numbers(self) -> list[int]:
        """The numbers of rows that are there at first, then of those that may come."""
        numbers = list(range(self.rows * (1 + _FREE_SHARE)))
        highest = numbers.pop()
        random.Random(f"{self.seed}/numbers").shuffle(numbers)
        # Beside AUTO_INCREMENT the writer must choose no number that the server will give.
        return [highest, *numbers]

    def table(self) -> tables.Table:
        """For the live writer and the comparison."""
        free = self.numbers()[self.rows :]
        key_of = self.key_kind.key_of
        nothing = Kind("key", "", lambda source, serial: None)
        return tables.Table(
            NAME,
            self.key,
            (
                *(tables.Column(name, nothing.make) for name in self.key),
                *(
                    tables.Column(
                        column.name,
                        column.kind.make,
                        nullable=column.nullable,
                        is_json=column.kind.is_json,
                        unique=column.unique,
                    )
                    for column in self.plain
                ),
            ),
            lambda source, number: key_of(free[number % len(free)]),
            auto_increment=self.key_kind.auto_increment,
        )

    def made_rows(self) -> Iterator[tables.Row]:
        table, source = self.table(), random.Random(f"{self.seed}/rows")
        for serial, number in enumerate(self.numbers()[: self.rows]):
            yield table.new_row(self.key_kind.key_of(number), source, serial)

    def create(self, connection: MySQLdb.Connection) -> None:
        """Make the table and fill it."""
        query(connection, self.create_sql())
        table = self.table()
        holes = "(" + ", ".join(["%s"] * len(table.columns)) + ")"
        rows = [
            tuple(table.dumped(place, value) for place, value in enumerate(row))
            for row in self.made_rows()
        ]
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[first : first + _ROWS_AT_ONCE]
            query(
                connection,
                f"INSERT INTO {NAME} ({table.columns_sql}) VALUES "
                + ", ".join([holes] * len(some)),
                tuple(value for row in some for value in row),
            )


def random_shape(source: random.Random, seed: str) -> Shape:
    """Choose a table."""
    columns = [
        Column(f"c{number}", random_kind(source), nullable=source.random() < 0.5)
        for number in range(source.randint(3, 8))
    ]
    unique = [name for name in ("u", "v") if source.random() < 0.45]
    columns += [_unique_column(source, name) for name in unique]
    if source.random() < 0.35:
        columns.append(_generated_column(source, columns))
    source.shuffle(columns)
    # Few rows are the rule: the gaps between phases are where it gets interesting.
    rows = round(FEWEST_ROWS * (MOST_ROWS / FEWEST_ROWS) ** (source.random() ** 1.5))
    return Shape(
        seed,
        source.choice(KEY_KINDS),
        source.random() < 0.8,
        tuple(columns),
        tuple(_indexes(source, columns)),
        rows,
    )


def _unique_column(source: random.Random, name: str) -> Column:
    text = Kind(
        "varchar",
        "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci",
        lambda source, serial: f"u{serial}",
        "utf8mb4",
    )
    number = Kind("big", "BIGINT", lambda source, serial: serial)
    return Column(name, source.choice((text, number)), source.random() < 0.3, unique=True)


def _generated_column(source: random.Random, columns: list[Column]) -> Column:
    of = quote(columns[0].name)
    where = source.choice(("STORED", "VIRTUAL"))
    kind = Kind("generated", "VARCHAR(64) CHARACTER SET utf8mb4", lambda source, serial: None)
    return Column("g", kind, True, generated=f"(LEFT(HEX({of}), 60)) {where}")


def index_part(column: Column) -> str:
    """The column in an index: the types without a length of their own by their beginning."""
    if column.kind.family in ("text", "blob"):
        return f"{quote(column.name)}(10)"
    return quote(column.name)


def _indexes(source: random.Random, columns: list[Column]) -> Iterator[str]:
    usable = [column for column in columns if not column.kind.is_json and not column.generated]
    for column in usable:
        if column.unique and source.random() < 0.7:
            yield f"UNIQUE KEY uq_{column.name} ({index_part(column)})"
    for number in range(source.randrange(3)):
        parts = source.sample(usable, min(len(usable), source.randint(1, 2)))
        yield f"KEY i{number} ({', '.join(index_part(part) for part in parts)})"
