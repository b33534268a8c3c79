"""Asking the server what the rules need to know. Nothing is changed but the empty scratch copy,
which is dropped again."""

from __future__ import annotations

import dataclasses

import MySQLdb

from migrations_app.engine import preflight, scratch, server
from migrations_app.engine.checkpoint import CheckpointTable
from migrations_app.engine.lint.case import Allowed, Case, ElsewhereColumn, Facts
from migrations_app.engine.names import literal, quote
from migrations_app.engine.scratch import TryOut
from migrations_app.engine.server import ServerFacts
from migrations_app.engine.session import Session, error_code
from migrations_app.engine.statement import Statement
from migrations_app.engine.table import Table, load_table

# For all columns together.
_NULLS_TIMEOUT_MS = 4_000
_ER_QUERY_TIMEOUT = 3024
_MOST_ELSEWHERE = 200
_MADE_FOR_A_RUN = "^_.*_(new|old|chkpnt|plan_[0-9a-f]{12})$"


@dataclasses.dataclass(frozen=True, slots=True)
class Looked:
    """All that was read. table: None when there is none; tried: None when it could not be."""

    server: ServerFacts
    table: Table | None
    tried: TryOut | None
    facts: Facts


def gather(session: Session, statement: Statement, allowed: Allowed | None = None) -> Looked:
    """Read what the rules need.

    Raises TransientError when the server is gone or the table is locked, MySQLdb.Error when the
    server refuses what a sufficient account may ask.
    """
    server_facts = server.read_facts(session)
    table, problems = preflight.look(session, statement, server_facts)
    facts = Facts(problems=tuple(problems), allowed=allowed or Allowed())
    if table is None or table.kind != "BASE TABLE":
        return Looked(server_facts, table, None, facts)
    tried = _try_out(session, statement, server_facts, bool(problems))
    if tried is not None:
        refusal = tried.reason if tried.refused else ""
        facts = dataclasses.replace(facts, after=tried.after, refusal=refusal, method=tried.method)
    case = Case(statement, table, facts)
    with_nulls, unknown = _nulls(session, case)
    facts = dataclasses.replace(
        facts,
        with_nulls=with_nulls,
        nulls_unknown=unknown,
        written_secs_ago=_written_secs_ago(session, statement),
        elsewhere=_elsewhere(session, case),
        reserved=_reserved(session),
        old_table=_old_table(session, statement),
    )
    return Looked(server_facts, table, tried, facts)


def _try_out(
    session: Session, statement: Statement, server_facts: ServerFacts, expected_to_fail: bool
) -> TryOut | None:
    """expected_to_fail: problems were found, such as missing privileges; they say enough."""
    try:
        return scratch.try_out(session, statement, server_facts.version)
    except MySQLdb.Error:
        if not expected_to_fail:
            raise
        return None


def _nulls(session: Session, case: Case) -> tuple[frozenset[str], frozenset[str]]:
    """Of the columns that become NOT NULL: those with a NULL, and those not looked through in
    time."""
    found, unknown = set(), set()
    asked = [
        before
        for before, after in case.pairs
        if before.nullable and not after.nullable and not after.generated
    ]
    for before in asked:
        try:
            rows = session.query(
                f"SELECT /*+ MAX_EXECUTION_TIME({max(1, _NULLS_TIMEOUT_MS // len(asked))}) */ 1 "
                f"FROM {case.statement.names.source_sql} "
                f"WHERE {quote(before.name)} IS NULL LIMIT 1"
            )
        except MySQLdb.Error as error:
            if error_code(error) != _ER_QUERY_TIMEOUT:
                raise
            unknown.add(before.name.lower())
        else:
            if rows:
                found.add(before.name.lower())
    return frozenset(found), frozenset(unknown)


def _written_secs_ago(session: Session, statement: Statement) -> float | None:
    names = statement.names
    rows = session.query(
        "SELECT TIMESTAMPDIFF(SECOND, UPDATE_TIME, NOW()) FROM information_schema.TABLES "
        f"WHERE TABLE_SCHEMA = {literal(names.schema)} AND TABLE_NAME = {literal(names.table)}"
    )
    return float(rows[0][0]) if rows and rows[0][0] is not None else None


def _elsewhere(session: Session, case: Case) -> tuple[ElsewhereColumn, ...]:
    if not case.touched:
        return ()
    names = case.statement.names
    wanted = ", ".join(literal(column.name.lower()) for column in case.touched)
    ours = ", ".join(
        literal(name) for name in (names.table, names.shadow, names.old, names.checkpoint)
    )
    rows = session.query(
        "SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS "
        f"WHERE TABLE_SCHEMA = {literal(names.schema)} AND LOWER(COLUMN_NAME) IN ({wanted}) "
        f"AND TABLE_NAME NOT IN ({ours}) AND TABLE_NAME NOT REGEXP '{_MADE_FOR_A_RUN}' "
        f"ORDER BY TABLE_NAME LIMIT {_MOST_ELSEWHERE}"
    )
    return tuple(
        ElsewhereColumn(
            str(table), str(name), kind.decode() if isinstance(kind, bytes) else str(kind)
        )
        for table, name, kind in rows
    )


def _reserved(session: Session) -> frozenset[str]:
    rows = session.query("SELECT WORD FROM information_schema.KEYWORDS WHERE RESERVED = 1")
    return frozenset(str(row[0]).upper() for row in rows)


def _old_table(session: Session, statement: Statement) -> str:
    """The old table's name when a fresh start would be refused for it."""
    names = statement.names
    if load_table(session, names.schema, names.old) is None:
        return ""
    # With a checkpoint, an earlier run may be about to finish: what it left decides.
    saved = CheckpointTable(statement.alone).newest(session)
    return "" if saved is not None else names.old
