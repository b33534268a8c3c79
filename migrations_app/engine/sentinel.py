"""The sentinel table: while it stands, runs of its schema that defer their cut-over wait."""

from __future__ import annotations

from migrations_app.engine.names import SENTINEL_TABLE, TableNames, literal
from migrations_app.engine.session import Session


def raise_it(session: Session, names: TableNames) -> None:
    session.query(
        f"CREATE TABLE IF NOT EXISTS {names.sql(SENTINEL_TABLE)} (id INT NOT NULL PRIMARY KEY)"
    )


def stands(session: Session, names: TableNames) -> bool:
    rows = session.query(
        "SELECT 1 FROM information_schema.TABLES WHERE "
        f"TABLE_SCHEMA = {literal(names.schema)} AND TABLE_NAME = {literal(SENTINEL_TABLE)}"
    )
    return bool(rows)


def drop_unless_needed(session: Session, names: TableNames) -> None:
    """Drop it, unless another unfinished run of the schema may be waiting behind it."""
    others = session.query(
        "SELECT 1 FROM information_schema.TABLES WHERE "
        f"TABLE_SCHEMA = {literal(names.schema)} AND TABLE_NAME LIKE '\\_%\\_chkpnt' "
        f"AND TABLE_NAME <> {literal(names.checkpoint)} LIMIT 1"
    )
    if not others:
        session.query(f"DROP TABLE IF EXISTS {names.sql(SENTINEL_TABLE)}")
