"""A random ALTER TABLE that needs a copy, fits the table and its data, and so must succeed."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator, Mapping

from playground.connections import quote
from playground.torture.columns import MEMBERS, MEMBERS_SQL
from playground.torture.tables import NAME, Column, Shape, index_part

_MOST_CLAUSES = 4
_REVERSED_SQL = ",".join(f"'{member}'" for member in reversed(MEMBERS))
_UTF8 = "CHARACTER SET utf8mb4"


@dataclasses.dataclass(frozen=True)
class Change:
    """One clause. touches: columns that no other clause of the statement may touch; live: the
    values stay comparable with what a writer wrote, and its statements go on working."""

    sql: str
    touches: tuple[str, ...] = ()
    live: bool = True


# family → types that hold all its values alike, and types that hold them changed
_SAME: Mapping[str, tuple[str, ...]] = {
    "int": ("INT", "BIGINT"),
    "unsigned": ("BIGINT UNSIGNED", "INT UNSIGNED"),
    "decimal": ("DECIMAL(20,4)", "DECIMAL(30,10)"),
    "float": ("DOUBLE",),
    "datetime": ("DATETIME(6)",),
    "timestamp": ("TIMESTAMP(6)",),
    "time": ("TIME(6)",),
    "enum": (f"ENUM({MEMBERS_SQL},'new')",),
    "set": (f"SET({MEMBERS_SQL},'new')",),
    "blob": ("MEDIUMBLOB", "LONGBLOB"),
    "varbinary": ("VARBINARY(64)", "VARBINARY(400)"),
    "varchar": (f"VARCHAR(120) {_UTF8}", f"VARCHAR(200) {_UTF8} COLLATE utf8mb4_bin"),
    "char": (f"CHAR(40) {_UTF8}", f"VARCHAR(24) {_UTF8}"),
    "text": (f"MEDIUMTEXT {_UTF8}", f"LONGTEXT {_UTF8} COLLATE utf8mb4_0900_as_cs"),
}
_OTHER: Mapping[str, tuple[str, ...]] = {
    "int": ("DECIMAL(30,2)", f"VARCHAR(30) {_UTF8}", "DOUBLE", "VARCHAR(30) CHARACTER SET latin1"),
    "unsigned": ("DECIMAL(20,0)", "VARCHAR(20) CHARACTER SET ascii"),
    "big": ("DECIMAL(22,1)", f"CHAR(24) {_UTF8}"),
    "decimal": ("DECIMAL(13,4)", "DOUBLE", f"VARCHAR(40) {_UTF8}"),
    "double": ("DECIMAL(30,6)",),
    "float": ("DECIMAL(20,3)",),
    "json": (f"LONGTEXT {_UTF8}",),
    "date": ("DATETIME", f"VARCHAR(30) {_UTF8}"),
    "datetime": ("DATETIME(3)", "DATETIME", f"VARCHAR(30) {_UTF8}"),
    "timestamp": ("DATETIME(3)", "DATETIME", "TIMESTAMP"),
    "time": ("TIME", f"VARCHAR(30) {_UTF8}"),
    "year": ("INT", "SMALLINT"),
    "enum": (
        f"ENUM('first',{_REVERSED_SQL})",
        f"VARCHAR(20) {_UTF8}",
        f"SET({MEMBERS_SQL})",
    ),
    "set": (f"SET({_REVERSED_SQL})", f"VARCHAR(60) {_UTF8}"),
    "bit": ("BIT(40)", "INT", "VARBINARY(8)"),
    "binary": ("VARBINARY(8)", "BINARY(20)", "BLOB"),
    "varbinary": ("BINARY(40)", "BLOB"),
    "varchar": (f"TEXT {_UTF8}", f"CHAR(60) {_UTF8}", f"VARCHAR(60) {_UTF8}", "BLOB"),
    "char": (f"TEXT {_UTF8}", "VARCHAR(24) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
    "text": (f"VARCHAR(400) {_UTF8}", "BLOB"),
}
_KEY_SAME: Mapping[str, tuple[str, ...]] = {
    "int": ("BIGINT",),
    "unsigned": ("DECIMAL(20,0)",),
    "decimal": ("DECIMAL(20,3)",),
    "bytes": ("VARBINARY(40)",),
    "auto": ("BIGINT UNSIGNED AUTO_INCREMENT", "INT UNSIGNED"),
    "mixed": ("INT",),
}
_KEY_OTHER: Mapping[str, tuple[str, ...]] = {
    "decimal": ("DECIMAL(24,6)",),
    "binary": ("VARBINARY(16)",),
    "text": (
        "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
    ),
    "utf8": (
        "VARCHAR(40) CHARACTER SET utf8mb4",
        "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    ),
    "latin": (
        "VARCHAR(40) CHARACTER SET utf8mb4",
        "VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_bin",
    ),
    "enum": (f"ENUM({MEMBERS_SQL},'new')",),
}


def random_statement(source: random.Random, shape: Shape, *, live: bool) -> str:
    """An ALTER TABLE of the shape's table. live: see Change."""
    wanted = source.choices(range(1, _MOST_CLAUSES + 1), (50, 25, 15, 10))[0]
    possible = [change for change in _changes(source, shape) if change.live or not live]
    # Chosen by what they do, not by how many variants there are of it.
    by_kind: dict[str, list[Change]] = {}
    for change in possible:
        by_kind.setdefault(_kind_of(change), []).append(change)
    kinds = list(by_kind)
    source.shuffle(kinds)
    chosen: list[Change] = []
    touched: set[str] = set()
    for kind in kinds:
        change = source.choice(by_kind[kind])
        if len(chosen) < wanted and not touched & set(change.touches):
            chosen.append(change)
            touched |= set(change.touches)
    return f"ALTER TABLE {NAME} " + ", ".join(change.sql for change in chosen)


def _kind_of(change: Change) -> str:
    words = change.sql.split()
    # Changes of type are the heart of it: one kind for each column.
    return words[0] + (change.touches[0] if words[0] == "MODIFY" else words[1] if words[1:] else "")


def _changes(source: random.Random, shape: Shape) -> Iterator[Change]:
    yield Change("FORCE", ("*",))
    yield Change("ENGINE=InnoDB", ("*",))
    yield Change("COMMENT='tortured'")
    yield Change("ROW_FORMAT=COMPRESSED", ("*",))
    for column in shape.plain:
        yield from _type_changes(source, shape, column)
    yield from _key_changes(shape)
    yield from _added(source, shape)
    yield from _removed(source, shape)
    yield from _indexes(source, shape)
    convert = "CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci"
    yield Change(convert, _all(shape), live=False)


def _all(shape: Shape) -> tuple[str, ...]:
    return ("*", *shape.key, *(column.name for column in shape.columns), "indexes")


def _type_changes(source: random.Random, shape: Shape, column: Column) -> Iterator[Change]:
    place = source.choice(("", "", " FIRST", f" AFTER {quote(shape.key[0])}"))
    touches = (column.name, *(["place"] if place else []))
    for type_sql in _SAME.get(column.kind.family, ()):
        if _widens(column, type_sql):
            yield Change(f"MODIFY COLUMN {column.sql(type_sql)}{place}", touches)
    if not column.nullable:
        yield Change(f"MODIFY COLUMN {column.sql(nullable=True)}{place}", touches)
    yield Change(f"MODIFY COLUMN {column.sql()} FIRST", (column.name, "place"))
    if column.unique or column.name in shape.indexed:
        return
    for type_sql in _OTHER.get(column.kind.family, ()):
        yield Change(f"MODIFY COLUMN {column.sql(type_sql)}{place}", touches, live=False)


def _widens(column: Column, type_sql: str) -> bool:
    """Some types of a family are not wider than others of it."""
    return column.kind.type_sql != type_sql


def _key_changes(shape: Shape) -> Iterator[Change]:
    kind, column = shape.key_kind.name, shape.key_columns[0]
    for type_sql in _KEY_SAME.get(kind, ()):
        # Without AUTO_INCREMENT the writer's inserts would have no number.
        live = not shape.key_kind.auto_increment or "AUTO_INCREMENT" in type_sql
        yield Change(f"MODIFY COLUMN {column.sql(type_sql)}", (column.name,), live)
    for type_sql in _KEY_OTHER.get(kind, ()):
        yield Change(f"MODIFY COLUMN {column.sql(type_sql)}", (column.name,), live=False)
    names = ", ".join(quote(name) for name in shape.key)
    if shape.primary:
        sql = f"DROP PRIMARY KEY, ADD UNIQUE KEY uk ({names})"
    else:
        sql = f"ADD PRIMARY KEY ({names})"
    yield Change(sql, (*shape.key, "key"))
    yield Change(f"RENAME COLUMN {quote(column.name)} TO `renamed key`", (*shape.key, "key"), False)


def _added(source: random.Random, shape: Shape) -> Iterator[Change]:
    place = source.choice(("", " FIRST", f" AFTER {quote(source.choice(shape.plain).name)}"))
    taken = ("place",) if "AFTER" in place else ()
    yield Change(f"ADD COLUMN n0 INT NULL{place}", taken)
    yield Change(f"ADD COLUMN n1 VARCHAR(20) {_UTF8} NOT NULL DEFAULT 'né'{place}", taken)
    yield Change(f"ADD COLUMN n2 DATETIME NOT NULL DEFAULT '2024-02-29 01:02:03'{place}", taken)
    yield Change("ADD COLUMN n3 JSON NOT NULL DEFAULT (JSON_ARRAY(1))")
    of = source.choice(shape.plain)
    yield Change(
        f"ADD COLUMN n4 VARCHAR(40) {_UTF8} GENERATED ALWAYS AS (LEFT(HEX({quote(of.name)}), 40))"
        f" {source.choice(('STORED', 'VIRTUAL'))}",
        (of.name,),
    )


def _removed(source: random.Random, shape: Shape) -> Iterator[Change]:
    based_on = shape.columns_of_generated
    free = [column for column in shape.columns if column.name not in based_on]
    if len(shape.columns) > 2 and free:
        column = source.choice(free)
        yield Change(f"DROP COLUMN {quote(column.name)}", (column.name, "indexes", "place"), False)
        column = source.choice(free)
        yield Change(
            f"RENAME COLUMN {quote(column.name)} TO `new {column.name}`",
            (column.name, "place"),
            False,
        )
        if not column.generated:
            sql = column.sql(name=f"x_{column.name}")
            touches = (column.name, "place")
            yield Change(f"CHANGE COLUMN {quote(column.name)} {sql}", touches, False)


def _indexes(source: random.Random, shape: Shape) -> Iterator[Change]:
    usable = [column for column in shape.plain if not column.kind.is_json]
    some = source.sample(usable, min(len(usable), 2))
    touches = ("indexes", *(column.name for column in some))
    parts = ", ".join(index_part(column) for column in some)
    if parts:
        yield Change(f"ADD INDEX added ({parts})", touches)
    for column in usable:
        if column.unique:
            yield Change(
                f"ADD UNIQUE INDEX added_u ({quote(column.name)})", ("indexes", column.name)
            )
    for number, _ in enumerate(index for index in shape.indexes if index.startswith("KEY")):
        yield Change(f"DROP INDEX i{number}", ("indexes",))
        yield Change(f"RENAME INDEX i{number} TO `renamed i`", ("indexes",))
