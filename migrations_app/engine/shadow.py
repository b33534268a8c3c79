"""The shadow table: made, compared, relieved of its secondary indexes, given them back, dropped."""

from __future__ import annotations

import contextlib
import dataclasses

import MySQLdb

from migrations_app.engine import casting, checks, zones
from migrations_app.engine.errors import FailedError, RefusedError
from migrations_app.engine.mapping import Mapping, map_tables
from migrations_app.engine.names import TableNames, quote
from migrations_app.engine.options import DeferIndexes, Options
from migrations_app.engine.session import Session, server_text
from migrations_app.engine.statement import Statement
from migrations_app.engine.table import Index, Table, load_table, show_create_table

# Below this size building indexes later costs more round trips than it saves.
_DEFER_FROM_ROWS = 200_000
_DDL_BUFFER_BYTES = 256 * 1024 * 1024
_DDL_THREADS = 4
_DDL_THREADS_BESIDE_OTHERS = 2


def create(session: Session, statement: Statement, source: Table) -> Table:
    """Make the shadow table: the source's definition with the ALTER applied.

    Raises RefusedError with the server's words when it does not accept the ALTER; nothing of
    ours is left then.
    """
    names = statement.names
    session.query(f"CREATE TABLE {names.shadow_sql} LIKE {names.source_sql}")
    try:
        here = dataclasses.replace(
            statement,
            alter_clauses=checks.with_names(statement.alter_clauses, check_names(session, names)),
        )
        session.define(here.alter(names.shadow_sql))
        table = load(session, names)
        if table.engine.lower() != "innodb":
            raise RefusedError(
                f"The change would store {names.table} by {table.engine}. Only InnoDB tables can "
                f"be copied and swapped online: leave the ENGINE clause out."
            )
    except MySQLdb.Error as error:
        drop(session, names)
        raise RefusedError(
            f"The server does not accept the change: {server_text(error)}. "
            f"Correct the statement; {names.table} is as it was."
        ) from error
    if source.auto_increment:
        _keep_auto_increment(session, statement, source.auto_increment)
    return table


def check_names(session: Session, names: TableNames) -> dict[str, str]:
    """The CHECK constraints of the source by name → their names in the shadow table. A schema has
    each name once, so that a copy cannot have the original's."""
    return checks.names_in_copy(
        show_create_table(session, names.source_sql), show_create_table(session, names.shadow_sql)
    )


def renamed_checks(session: Session, names: TableNames) -> dict[str, str]:
    """Those that have another name after the swap → that name. The rename gives names that the
    server made up for the shadow table the table's own name."""
    made_up = f"{names.shadow}_chk_"
    afterwards = {
        name: in_copy.replace(made_up, f"{names.table}_chk_", 1)
        for name, in_copy in check_names(session, names).items()
    }
    return {name: after for name, after in afterwards.items() if name != after}


def _keep_auto_increment(session: Session, statement: Statement, value: int) -> None:
    """New rows go on counting where the old table does, unless the statement says otherwise."""
    names = statement.names
    if any("AUTO_INCREMENT" in clause.words[:1] for clause in statement.clauses):
        return
    # The column may have lost its AUTO_INCREMENT: then there is nothing to keep.
    with contextlib.suppress(MySQLdb.Error):
        session.query(f"ALTER TABLE {names.shadow_sql} AUTO_INCREMENT = {value}")


def load(session: Session, names: TableNames) -> Table:
    table = load_table(session, names.schema, names.shadow)
    if table is None:
        raise FailedError(
            f"The shadow table {names.shadow} has disappeared.", advice="Run it again."
        )
    return table


def drop(session: Session, names: TableNames) -> None:
    session.query(f"DROP TABLE IF EXISTS {names.shadow_sql}")


def deferrable(mapping: Mapping, options: Options) -> tuple[Index, ...]:
    """The indexes to build after the copy: non-unique secondary ones, when it pays."""
    if options.defer_indexes is DeferIndexes.OFF:
        return ()
    if options.defer_indexes is DeferIndexes.AUTO and (
        options.replica_dsns or mapping.source.rows < _DEFER_FROM_ROWS
    ):
        # The build is one long statement: replicas with a lag limit would fall behind it.
        return ()
    auto_columns = {
        column.name.lower() for column in mapping.shadow.columns if "auto_increment" in column.extra
    }
    return tuple(
        index
        for index in mapping.shadow.indexes
        if not index.unique
        and index.kind == "BTREE"
        and index.definition
        # An AUTO_INCREMENT column must stay the first column of some index.
        and index.columns[0].lower() not in auto_columns
        and index.name != mapping.shadow_key.index
    )


def drop_indexes(session: Session, names: TableNames, indexes: tuple[Index, ...]) -> None:
    """Drop indexes of the (empty) shadow table."""
    clauses = ", ".join(f"DROP INDEX {quote(index.name)}" for index in indexes)
    session.query(f"ALTER TABLE {names.shadow_sql} {clauses}")


def restore_indexes(
    session: Session, names: TableNames, definitions: tuple[str, ...], *, gently: bool = False
) -> list[str]:
    """Build those of the indexes that are not there yet, in one statement; returns them.

    gently: on fewer threads, for a server where others would have to wait for more. A run that was
    killed during the build may have finished it: so look first.
    """
    present = {index.definition for index in load(session, names).indexes}
    missing = [definition for definition in definitions if definition not in present]
    if missing:
        threads = _DDL_THREADS_BESIDE_OTHERS if gently else _DDL_THREADS
        for setting in (
            f"innodb_ddl_buffer_size = {_DDL_BUFFER_BYTES}",
            f"innodb_ddl_threads = {threads}",
            f"innodb_parallel_read_threads = {threads}",
        ):
            # Servers before 8.0.27 do not have all of them.
            with contextlib.suppress(MySQLdb.Error):
                session.query(f"SET SESSION {setting}")
        clauses = ", ".join(f"ADD {definition}" for definition in missing)
        session.query(f"ALTER TABLE {names.shadow_sql} {clauses}, ALGORITHM=INPLACE, LOCK=NONE")
    return missing


def mapping_of(session: Session, statement: Statement, source: Table) -> Mapping:
    """How the source's columns live on in the shadow table as it is now."""
    mapping = map_tables(statement, source, load(session, statement.names))
    _refuse_years_on_old_servers(session, mapping)
    zones.refuse_what_depends_on_it(session, statement.names, mapping)
    return mapping


def _refuse_years_on_old_servers(session: Session, mapping: Mapping) -> None:
    """MySQL has CAST AS YEAR since 8.0.22; without it the copy could not be compared."""
    years = [
        pair.target.name
        for pair in mapping.pairs
        if not casting.same_representation(pair)
        and (
            pair.target.data_type == "year"
            # Of such a key a row of the shadow table is looked up in the source.
            or (pair.source.data_type == "year" and pair.source.name in mapping.source_key.names)
        )
    ]
    if not years:
        return
    try:
        session.query("SELECT CAST('2020' AS YEAR)")
    except MySQLdb.ProgrammingError:
        raise RefusedError(
            f"{', '.join(years)} of {mapping.source.name} becomes a YEAR, or was one in the key, "
            f"which MySQL before 8.0.22 cannot compute outside of its own ALTER TABLE, so the copy "
            f"could not be compared. Nothing was touched. Upgrade, or use the server's ALTER TABLE."
        ) from None
