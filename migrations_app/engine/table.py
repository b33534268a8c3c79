"""What information_schema says about a table: columns, indexes, size, and what hinders a copy."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from typing import Any

import MySQLdb

from migrations_app.engine.names import TableNames, literal
from migrations_app.engine.session import Session


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """A column. ``facts`` is its row of information_schema.COLUMNS (upper-case names)."""

    name: str
    ordinal: int
    column_type: str
    data_type: str
    nullable: bool
    generated: bool
    charset: str
    collation: str
    facts: dict[str, Any]

    @property
    def extra(self) -> str:
        """EXTRA in lower case: ``auto_increment``, ``default_generated`` and the like."""
        return str(self.facts.get("EXTRA") or "").lower()


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnPair:
    """A column of the source and the column of the shadow table that takes its values."""

    source: Column
    target: Column


@dataclasses.dataclass(frozen=True, slots=True)
class Index:
    """An index; ``columns`` holds "" for a functional part.

    prefix_chars: for each column how many characters (bytes) are indexed, None for all of it;
    descending: for each column whether it is DESC.
    """

    name: str
    unique: bool
    columns: tuple[str, ...]
    prefixed: bool
    kind: str
    visible: bool
    definition: str
    prefix_chars: tuple[int | None, ...] = ()
    descending: tuple[bool, ...] = ()

    @property
    def primary(self) -> bool:
        return self.name == "PRIMARY"

    @property
    def functional(self) -> bool:
        return "" in self.columns


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """A table's shape and size (rows and bytes are the server's estimates).

    ``facts`` is its row of information_schema.TABLES (upper-case names).
    """

    name: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...]
    engine: str
    kind: str
    rows: int
    data_bytes: int
    index_bytes: int
    auto_increment: int | None
    facts: dict[str, Any] = dataclasses.field(default_factory=dict, repr=False)

    def column(self, name: str) -> Column | None:
        wanted = name.lower()
        return next((column for column in self.columns if column.name.lower() == wanted), None)

    @property
    def has_unique_secondary(self) -> bool:
        return any(index.unique and not index.primary for index in self.indexes)


def load_table(session: Session, schema: str, name: str) -> Table | None:
    """Read a table from information_schema; None when it does not exist."""
    where = f"TABLE_SCHEMA = {literal(schema)} AND TABLE_NAME = {literal(name)}"
    # The statistics of information_schema.TABLES are cached for a day by default.
    session.query("SET SESSION information_schema_stats_expiry = 0")
    facts = session.query_dicts(f"SELECT * FROM information_schema.TABLES WHERE {where}")
    if not facts:
        return None
    rows = session.query_dicts(
        f"SELECT * FROM information_schema.COLUMNS WHERE {where} ORDER BY ORDINAL_POSITION"
    )
    return Table(
        name=str(facts[0]["TABLE_NAME"]),
        columns=tuple(_column(row, ordinal) for ordinal, row in enumerate(rows)),
        indexes=_load_indexes(session, where, rows),
        engine=str(facts[0]["ENGINE"] or ""),
        kind=str(facts[0]["TABLE_TYPE"]),
        rows=int(facts[0]["TABLE_ROWS"] or 0),
        data_bytes=int(facts[0]["DATA_LENGTH"] or 0),
        index_bytes=int(facts[0]["INDEX_LENGTH"] or 0),
        auto_increment=facts[0]["AUTO_INCREMENT"] and int(facts[0]["AUTO_INCREMENT"]),
        facts=facts[0],
    )


def with_file_size(session: Session, schema: str, table: Table) -> Table:
    """The table with the bytes that its files hold, where the server's statistics say less.

    They lag behind a table that is being filled, for ever with STATS_AUTO_RECALC = 0.
    Without the PROCESS privilege, or in a shared tablespace, it stays as it is.
    """
    prefix = literal(f"{schema}/{table.name}")
    try:
        rows = session.query(
            "SELECT NAME, LEAST(FILE_SIZE, ALLOCATED_SIZE) "
            "FROM information_schema.INNODB_TABLESPACES "
            f"WHERE LEFT(NAME, CHAR_LENGTH({prefix})) = {prefix}"
        )
    except MySQLdb.Error:
        return table
    # A partition has a file of its own: schema/table#p#partition.
    in_files = sum(
        int(size)
        for name, size in rows
        if re.split("#p#", str(name), flags=re.IGNORECASE)[0] == f"{schema}/{table.name}"
    )
    in_use = in_files - int(table.facts["DATA_FREE"] or 0)
    known = table.data_bytes + table.index_bytes
    if in_use <= known:
        return table
    index_bytes = in_use * table.index_bytes // known if known else 0
    return dataclasses.replace(table, data_bytes=in_use - index_bytes, index_bytes=index_bytes)


def _column(row: dict[str, Any], ordinal: int) -> Column:
    return Column(
        name=str(row["COLUMN_NAME"]),
        ordinal=ordinal,
        column_type=str(row["COLUMN_TYPE"]),
        data_type=str(row["DATA_TYPE"]).lower(),
        nullable=row["IS_NULLABLE"] == "YES",
        generated=bool(row["GENERATION_EXPRESSION"]),
        charset=str(row["CHARACTER_SET_NAME"] or ""),
        collation=str(row["COLLATION_NAME"] or ""),
        facts=row,
    )


def _load_indexes(session: Session, where: str, columns: list[dict[str, Any]]) -> tuple[Index, ...]:
    rows = session.query_dicts(
        f"SELECT * FROM information_schema.STATISTICS WHERE {where} "
        "ORDER BY INDEX_NAME, SEQ_IN_INDEX"
    )
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(str(row["INDEX_NAME"]), []).append(row)
    definitions = _index_definitions(session, rows)
    # As SHOW CREATE TABLE lists them, so that rebuilt indexes keep their order.
    order = {name: number for number, name in enumerate(definitions)}
    indexes = tuple(
        Index(
            name=name,
            unique=not int(parts[0]["NON_UNIQUE"]),
            columns=tuple(str(part["COLUMN_NAME"] or "") for part in parts),
            prefixed=any(part["SUB_PART"] is not None for part in parts),
            kind=str(parts[0]["INDEX_TYPE"]),
            visible=parts[0]["IS_VISIBLE"] == "YES",
            definition=definitions.get(name, ""),
            prefix_chars=tuple(
                None if part["SUB_PART"] is None else int(part["SUB_PART"]) for part in parts
            ),
            descending=tuple(part["COLLATION"] == "D" for part in parts),
        )
        for name, parts in grouped.items()
    )
    return tuple(sorted(indexes, key=lambda index: order.get(index.name, len(order))))


def _index_definitions(session: Session, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Each index's own line of SHOW CREATE TABLE: it alone has every detail (order, prefix,
    expression, visibility, parser, comment)."""
    if not rows:
        return {}
    names = TableNames(str(rows[0]["TABLE_SCHEMA"]), str(rows[0]["TABLE_NAME"]))
    lines = show_create_table(session, names.source_sql).splitlines()
    definitions: dict[str, str] = {}
    for line in lines:
        text = line.strip().removesuffix(",")
        before, key_word, rest = text.partition("KEY `")
        if key_word and before.strip() in ("", "UNIQUE", "FULLTEXT", "SPATIAL"):
            name, _, _ = rest.replace("``", "\0").partition("`")
            definitions[name.replace("\0", "`")] = text
        elif text.startswith("PRIMARY KEY"):
            definitions["PRIMARY"] = text
    return definitions


def auto_increment_of(session: Session, schema: str, name: str) -> int | None:
    """The next number of a table's AUTO_INCREMENT column, None when it has none."""
    session.query("SET SESSION information_schema_stats_expiry = 0")
    rows = session.query(
        "SELECT AUTO_INCREMENT FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA = {literal(schema)} AND TABLE_NAME = {literal(name)}"
    )
    return int(rows[0][0]) if rows and rows[0][0] is not None else None


def show_create_table(session: Session, table_sql: str) -> str:
    return str(session.query_one(f"SHOW CREATE TABLE {table_sql}")[1])


def triggers_of(session: Session, schema: str, table: str) -> list[str]:
    rows = session.query(
        "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE "
        f"EVENT_OBJECT_SCHEMA = {literal(schema)} AND EVENT_OBJECT_TABLE = {literal(table)}"
    )
    return [str(row[0]) for row in rows]


def foreign_keys_of(session: Session, schema: str, table: str) -> list[str]:
    """Foreign keys in either direction, each as ``schema.table.constraint``."""
    mine = f"TABLE_SCHEMA = {literal(schema)} AND TABLE_NAME = {literal(table)}"
    theirs = (
        f"REFERENCED_TABLE_SCHEMA = {literal(schema)} AND REFERENCED_TABLE_NAME = {literal(table)}"
    )
    rows = session.query(
        "SELECT DISTINCT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME "
        "FROM information_schema.KEY_COLUMN_USAGE "
        f"WHERE REFERENCED_TABLE_NAME IS NOT NULL AND (({mine}) OR ({theirs}))"
    )
    found = [".".join(str(part) for part in row) for row in rows]
    # The view above hides those of schemas where the account has no rights; InnoDB's own shows
    # them to whoever has PROCESS.
    with contextlib.suppress(MySQLdb.Error):
        for child, name in session.query(
            "SELECT FOR_NAME, ID FROM information_schema.INNODB_FOREIGN "
            f"WHERE REF_NAME = {literal(f'{schema}/{table}')}"
        ):
            key = f"{str(child).replace('/', '.', 1)}.{str(name).partition('/')[2]}"
            if key not in found:
                found.append(key)
    return found
