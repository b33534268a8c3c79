"""Transactions that were prepared (XA) before a run began, and are committed while it runs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import MySQLdb
import pytest

from migrations_app.engine import Dsn, Options, OutcomeKind, Phase, prepared
from tests.conftest import Schema
from tests.engine.support import RunInThread, make_numbers, migrate, rows_of, tables_of
from tests.engine.test_rules import open_connection

pytestmark = pytest.mark.engine

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"
COPIED = Options(attempt_direct=False, repair_differences=False)
HELD = dataclasses.replace(COPIED, defer_cutover=True)


@contextlib.contextmanager
def xa_prepared(schema: Schema, statement: str) -> Iterator[str]:
    """A prepared transaction of a session that is gone; gives its name, and leaves none behind."""
    name = f"'{schema.name}'"
    with open_connection(schema) as session:
        for step in (f"XA START {name}", statement, f"XA END {name}", f"XA PREPARE {name}"):
            session.query(step)
    try:
        yield name
    finally:
        with contextlib.suppress(MySQLdb.Error):
            schema.execute(f"XA ROLLBACK {name}")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "_LONGEST_WAIT_SECS", 0.0)


def test_those_of_other_tables_are_of_no_concern(any_scheme: Schema) -> None:
    make_numbers(any_scheme, "t", 1_000)
    make_numbers(any_scheme, "other", 10)
    with (
        xa_prepared(any_scheme, "UPDATE other SET v = -1 WHERE id = 1") as name,
        RunInThread(any_scheme, WIDEN, HELD) as run,
    ):
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        any_scheme.execute(f"XA COMMIT {name}")
        any_scheme.execute("UPDATE t SET v = -7 WHERE id = 7")
        run.migration.allow_cut_over()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "waiting_for_prepared" not in run.recorder.kinds()
    assert any_scheme.execute("SELECT v FROM t WHERE id = 7") == [(-7,)]


def test_one_of_the_table_is_waited_for(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000)
    change = "UPDATE t SET v = -id WHERE id IN (1, 500, 1000)"
    with xa_prepared(schema, change) as name, RunInThread(schema, WIDEN, COPIED) as run:
        waiting = run.wait_for_event("waiting_for_prepared")
        assert f"X'{schema.name.encode().hex().upper()}', X'', 1" in waiting.message
        assert Phase.COPY_ROWS not in run.recorder.phases
        schema.execute(f"XA COMMIT {name}")
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    changed = [row for row in rows_of(schema, "t") if row[1] < 0]
    assert changed == [(1, -1), (500, -500), (1000, -1000)]


@pytest.mark.usefixtures("impatient")
def test_one_that_stays_ends_the_run_which_can_be_repeated(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000)
    with xa_prepared(schema, "INSERT INTO t VALUES (2000, 7)") as name:
        outcome, recorder = migrate(schema, WIDEN, COPIED)
        assert outcome.kind is OutcomeKind.TRANSIENT, outcome.message
        assert "XA COMMIT or XA ROLLBACK" in outcome.message
        assert Phase.COPY_ROWS not in recorder.phases
        assert tables_of(schema) == {"t"}
        schema.execute(f"XA COMMIT {name}")
    outcome, _ = migrate(schema, WIDEN, COPIED)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT COUNT(*), MAX(id) FROM t") == [(1_001, 2_000)]


@pytest.mark.usefixtures("impatient")
def test_ordinary_transactions_of_the_table_are_not_waited_for(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000)
    make_numbers(schema, "other", 10)
    with open_connection(schema) as session, RunInThread(schema, WIDEN, HELD) as run:
        session.query("UPDATE t SET v = -3 WHERE id = 3")
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        session.commit()
        run.migration.allow_cut_over()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert schema.execute("SELECT v FROM t WHERE id = 3") == [(-3,)]


@pytest.mark.usefixtures("impatient")
def test_who_may_not_see_them_waits_for_every_transaction(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000)
    schema.execute("CREATE USER poor IDENTIFIED BY 'pw'")
    try:
        schema.execute("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO poor")
        schema.execute(f"GRANT ALL ON `{schema.name}`.* TO poor")
        run_as = AsPoor(schema.server, schema.name)
        with xa_prepared(schema, "INSERT INTO t VALUES (2000, 7)"):
            outcome, _ = migrate(run_as, WIDEN, COPIED)
            assert outcome.kind is OutcomeKind.TRANSIENT, outcome.message
            assert "XA_RECOVER_ADMIN" in outcome.message
        outcome, _ = migrate(run_as, WIDEN, COPIED)
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    finally:
        schema.execute("DROP USER poor")


class AsPoor(Schema):
    """The schema, as an account with no more rights than a run needs."""

    @property
    def dsn(self) -> Dsn:
        return Dsn.parse(f"mysql://poor:pw@127.0.0.1:{self.server.port}/{self.name}")
