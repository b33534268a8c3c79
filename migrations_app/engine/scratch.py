"""Trying a statement out on an empty copy of its table: the server says what it would do.

The copy has a name that no other plan has, and is dropped whatever happens. What a killed plan
left behind is dropped by the next one that finds it a day old and empty.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
import secrets
from collections.abc import Iterator, Mapping

import MySQLdb

from migrations_app.engine import checks, direct
from migrations_app.engine.abort import Abort
from migrations_app.engine.errors import EngineError, TransientError
from migrations_app.engine.names import TableNames, literal, quote
from migrations_app.engine.observer import Method
from migrations_app.engine.session import (
    ER_LOCK_WAIT_TIMEOUT,
    Session,
    error_code,
    server_text,
)
from migrations_app.engine.statement import Statement
from migrations_app.engine.table import Table, load_table, show_create_table

_TOKEN_BYTES = 6
_TOKEN_CHARS = 2 * _TOKEN_BYTES
_LOCK_WAIT_SECS = 5
_LEFTOVER_SECS = 24 * 3600
_ROW_VERSIONS, _FEWER_ROW_VERSIONS, _MORE_ROW_VERSIONS_SINCE = 255, 64, (9, 1, 0)
_USED_UP = (
    "the table has had as many changes at once as InnoDB can take (TOTAL_ROW_VERSIONS) since it "
    "was last rebuilt"
)


@dataclasses.dataclass(frozen=True, slots=True)
class TryOut:
    """What the server made of a statement.

    method: how it would make the change, UNDECIDED when it does not accept the statement;
    reason: why this method, or why it refuses, in the server's words; after: the table as it
    would be (with the scratch table's name), None when refused; before_sql, after_sql: SHOW
    CREATE TABLE, both with the table's own name; after_sql is "" when refused.
    """

    method: Method
    reason: str
    after: Table | None
    before_sql: str
    after_sql: str

    @property
    def refused(self) -> bool:
        return self.after is None


def try_out(session: Session, statement: Statement, version: tuple[int, int, int]) -> TryOut:
    """Ask the server what a statement does to an empty copy of its table.

    version: the server's.

    Raises TransientError when the table is locked by others, MySQLdb.Error when the account may
    not create tables.
    """
    names = statement.names
    session.query(f"SET SESSION lock_wait_timeout = {_LOCK_WAIT_SECS}")
    before_sql = show_create_table(session, names.source_sql)
    _drop_leftovers(session, names)
    with _scratch_table(session, names) as scratch:
        copy = dataclasses.replace(statement, names=TableNames(names.schema, scratch))
        check_names = checks.names_in_copy(
            before_sql, show_create_table(session, copy.names.source_sql)
        )
        method, reason = _make_change(session, copy, check_names)
        if method is Method.UNDECIDED:
            return TryOut(method, reason, None, before_sql, "")
        if method is Method.INSTANT and _versions_used_up(session, names, scratch, version):
            method, reason = Method.COPY, _USED_UP
        after = load_table(session, names.schema, scratch)
        after_sql = show_create_table(session, copy.names.source_sql)
    if method is not Method.COPY:
        for name, name_in_copy in check_names.items():
            after_sql = after_sql.replace(quote(name_in_copy), quote(name))
    return TryOut(method, reason, after, before_sql, _renamed(after_sql, scratch, names.table))


def _versions_used_up(
    session: Session, names: TableNames, scratch: str, version: tuple[int, int, int]
) -> bool:
    """Whether the table, other than its empty copy, can take no more columns at once: InnoDB
    counts such changes until the table is rebuilt. False where the account may not ask."""
    limit = _ROW_VERSIONS if version >= _MORE_ROW_VERSIONS_SINCE else _FEWER_ROW_VERSIONS
    try:
        added, used = (
            session.query(
                "SELECT TOTAL_ROW_VERSIONS FROM information_schema.INNODB_TABLES "
                f"WHERE NAME = {literal(_file_name(names.schema, table))}"
            )
            for table in (scratch, names.table)
        )
    except MySQLdb.Error:
        return False  # no PROCESS privilege, or a server before 8.0.29
    return bool(added and used) and int(used[0][0]) + int(added[0][0]) > limit


def _file_name(schema: str, table: str) -> str:
    """The name that INNODB_TABLES has for a table. It is not found by letters beyond ASCII."""
    return "/".join(
        re.sub(r"[^0-9A-Za-z_]", lambda found: f"@{ord(found[0]):04x}", name)
        for name in (schema, table)
    )


def _make_change(
    session: Session, copy: Statement, check_names: Mapping[str, str]
) -> tuple[Method, str]:
    """How the change was made on the copy, and why so; UNDECIDED and why when it was not."""
    # The run's own ways of asking: what they find possible here, they will find possible there.
    # Only constraints have other names here, as in the shadow table.
    copy = dataclasses.replace(
        copy, alter_clauses=checks.with_names(copy.alter_clauses, check_names)
    )
    if direct.instant(session, copy, Abort()):
        return Method.INSTANT, "the server accepts ALGORITHM=INSTANT for it"
    table_sql = copy.names.source_sql
    try:
        session.define(copy.alter(table_sql, "ALGORITHM=INSTANT"))
        raise EngineError("The server accepted what it had refused a moment before.")
    except MySQLdb.Error as error:
        # What it advises to try instead is not what a run would do.
        not_instant = server_text(error).partition(" Try ALGORITHM")[0].rstrip(".")
    before = _loaded(session, copy)
    try:
        session.define(copy.alter(table_sql, "ALGORITHM=INPLACE, LOCK=NONE"))
        if direct.changes_only_metadata(copy, before, _loaded(session, copy)):
            return Method.INPLACE, "it changes only metadata, and the server accepts that in place"
    except MySQLdb.Error:
        try:
            session.define(copy.alter(table_sql))
        except MySQLdb.Error as error:
            return Method.UNDECIDED, server_text(error)
    return Method.COPY, f"the server cannot make it at once ({not_instant})"


def _loaded(session: Session, statement: Statement) -> Table:
    table = load_table(session, statement.schema, statement.table)
    if table is None:
        raise TransientError("Somebody dropped the scratch table; ask again.")
    return table


@contextlib.contextmanager
def _scratch_table(session: Session, names: TableNames) -> Iterator[str]:
    """The name of an empty copy of the table, which is gone after the block."""
    scratch = names.scratch(secrets.token_hex(_TOKEN_BYTES))
    try:
        session.query(f"CREATE TABLE {names.sql(scratch)} LIKE {names.source_sql}")
    except MySQLdb.Error as error:
        if error_code(error) != ER_LOCK_WAIT_TIMEOUT:
            raise
        raise TransientError(
            f"{names.table} is locked by another session, so the server could not be asked what "
            f"it would do. Nothing was changed; try again."
        ) from error
    try:
        yield scratch
    finally:
        if session.lost:
            session.open()
        session.query(f"DROP TABLE IF EXISTS {names.sql(scratch)}")


def _drop_leftovers(session: Session, names: TableNames) -> None:
    rows = session.query(
        "SELECT TABLE_NAME FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA = {literal(names.schema)} AND TABLE_NAME LIKE '\\_%\\_plan\\_%' "
        "AND TABLE_TYPE = 'BASE TABLE' "
        f"AND CREATE_TIME < NOW() - INTERVAL {_LEFTOVER_SECS} SECOND"
    )
    for (name,) in rows:
        if names.scratch(str(name)[-_TOKEN_CHARS:]) != name:
            continue
        # Somebody's own table of such a name would hold rows.
        if not session.query(f"SELECT 1 FROM {names.sql(str(name))} LIMIT 1"):
            session.query(f"DROP TABLE IF EXISTS {names.sql(str(name))}")


def _renamed(definition: str, scratch: str, table: str) -> str:
    """A definition with the table's own name, in the names of its constraints too."""
    return definition.replace(f"`{scratch}", f"`{table}")
