"""Too little disk: said before anything is copied, and survived when it comes in the middle."""

from __future__ import annotations

import dataclasses
import pathlib

import MySQLdb
import pytest
from MySQLdb.constants import ER

from migrations_app.engine import Method, Options, OutcomeKind, disk, server
from migrations_app.engine.session import Session
from playground.server import PrivateServer
from tests.conftest import TEST_SERVER_OPTIONS, Schema, fresh_schema
from tests.engine.support import make_numbers, migrate, tables_of

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


def test_too_little_room_is_refused_for_a_copy_and_not_for_a_change_at_once(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 20_000)
    monkeypatch.setattr(disk, "free_bytes", lambda _folder: 1_000)
    outcome, _ = migrate(schema, WIDEN)
    assert outcome.kind is OutcomeKind.REFUSED
    assert "has 0 MiB left" in outcome.message
    assert tables_of(schema) == {"t"}
    outcome, _ = migrate(schema, "ALTER TABLE t ADD COLUMN x INT")
    assert (outcome.kind, outcome.method) == (OutcomeKind.COMPLETED, Method.INSTANT)


def test_only_the_servers_own_folder_counts(schema: Schema, tmp_path: pathlib.Path) -> None:
    session = Session(schema.dsn, "test", "")
    facts = server.read_facts(session)
    session.close()
    assert disk.own_folder(facts) == schema.server.data_folder
    assert disk.free_bytes(tmp_path) > 0
    (tmp_path / "auto.cnf").write_text("[auto]\nserver-uuid=00000000-0000-0000-0000-000000000000\n")
    elsewhere = {**facts.variables, "datadir": str(tmp_path)}
    assert disk.own_folder(dataclasses.replace(facts, variables=elsewhere)) is None


def fill_the_disk(schema: Schema) -> list[str]:
    """Tables of some 4 MB, as many as there was room for."""
    tables: list[str] = []
    while True:
        name = f"ballast{len(tables)}"
        try:
            make_numbers(schema, name, 30_000, "v INT NOT NULL, f CHAR(100) NOT NULL DEFAULT 'f'")
        except MySQLdb.OperationalError as error:
            if error.args[0] != ER.RECORD_FILE_FULL:
                raise
            return tables
        tables.append(name)


def test_a_disk_that_is_full_in_the_middle_keeps_what_was_copied() -> None:
    """The server's tables share one file that may not grow beyond 60 MB; room is made, and the next
    run goes on."""
    options: dict[str, str | int | None] = {
        **TEST_SERVER_OPTIONS,
        "innodb-file-per-table": 0,
        "innodb-data-file-path": "ibdata1:12M:autoextend:max:60M",
    }
    with PrivateServer(options=options) as own, fresh_schema(own) as schema:
        make_numbers(schema, "t", 100_000, "v INT NOT NULL, filler CHAR(100) NOT NULL DEFAULT 'f'")
        ballast = fill_the_disk(schema)
        schema.execute(f"DROP TABLE {ballast.pop()}")
        outcome, recorder = migrate(schema, WIDEN, Options(threads=1, checkpoint_interval_secs=1))
        assert outcome.kind in (OutcomeKind.FAILED, OutcomeKind.TRANSIENT), outcome.message
        assert "full" in outcome.message
        assert {"t", "_t_new", "_t_chkpnt"} <= tables_of(schema)
        assert schema.execute("SELECT COUNT(*) FROM t") == [(100_000,)]
        schema.execute(f"DROP TABLE {', '.join(ballast)}")
        outcome, recorder = migrate(schema, WIDEN, Options(threads=1, repair_differences=False))
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
        assert {"resumed", "fresh_start"} & set(recorder.kinds())
        assert schema.execute("SELECT COUNT(*), SUM(v = id) FROM t") == [(100_000, 100_000)]
