"""What others do to a table, or to what lies beside it, while a run prepares, swaps, tidies up."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import MySQLdb
import pytest

from migrations_app.engine import Options, OutcomeKind, Phase, RefusedError, begin, parse_change
from migrations_app.engine.binlog import reader
from migrations_app.engine.checkpoint import CheckpointTable
from migrations_app.engine.checksum import Checksum
from migrations_app.engine.cutover import CutOver
from migrations_app.engine.errors import ServerLostError
from migrations_app.engine.rowcompare import Range, RowComparison
from migrations_app.engine.session import Session
from tests.conftest import Schema
from tests.engine.support import RunInThread, make_numbers, migrate, rows_of, tables_of

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"
COPIED = Options(repair_differences=False, attempt_direct=False)
OTHERS = [
    "ALTER TABLE t ADD COLUMN theirs INT",
    "CREATE TRIGGER theirs BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 1",
    "CREATE TABLE child (id INT PRIMARY KEY, t BIGINT, FOREIGN KEY (t) REFERENCES t (id))",
]


@pytest.mark.parametrize("theirs", OTHERS)
def test_a_change_while_the_run_is_prepared_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, theirs: str
) -> None:
    make_numbers(schema, "t", 1_000)
    make_shadow = begin.Beginning._make_shadow

    def meddled(*arguments: Any) -> Any:
        mapping = make_shadow(*arguments)
        schema.execute(theirs)
        return mapping

    monkeypatch.setattr(begin.Beginning, "_make_shadow", meddled)
    outcome, _ = migrate(schema, WIDEN, COPIED)
    assert outcome.kind in (OutcomeKind.TRANSIENT, OutcomeKind.REFUSED), outcome.message
    assert "_t_new" not in tables_of(schema)


def test_a_change_after_a_rename_that_was_lost_is_noticed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost before the rename; somebody adds a column before the next attempt."""
    make_numbers(schema, "t", 1_000)
    rename = CutOver._rename
    lost: list[int] = []

    def losing(cut_over: CutOver, session: Any) -> None:
        if not lost:
            lost.append(session.id)
            schema.execute(f"KILL {session.id}")
            session.query("DO 1")
        rename(cut_over, session)

    blocked = CutOver._blocked

    def meddled(*arguments: Any) -> None:
        schema.execute("ALTER TABLE t ADD COLUMN theirs INT NOT NULL DEFAULT 5")
        blocked(*arguments)

    monkeypatch.setattr(CutOver, "_rename", losing)
    monkeypatch.setattr(CutOver, "_blocked", meddled)
    outcome, _ = migrate(schema, WIDEN, COPIED)
    assert outcome.kind is OutcomeKind.FAILED, outcome.message
    assert "theirs" in schema.execute("SHOW CREATE TABLE t")[0][1]


def test_a_crash_while_tidying_up_does_not_make_the_change_again(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 10, "v INT NOT NULL, w INT NOT NULL DEFAULT 7")
    swap_names = "ALTER TABLE t RENAME COLUMN v TO w, RENAME COLUMN w TO v, FORCE"

    def lost(*_: Any) -> None:
        raise ServerLostError("Lost when the old table was dropped.")

    monkeypatch.setattr(CheckpointTable, "drop", lost)
    monkeypatch.setattr(begin.Beginning, "_drop_all", lambda *_: None)
    migrate(schema, swap_names, Options(attempt_direct=False, reconnect_secs=0))
    monkeypatch.undo()
    assert tables_of(schema) == {"t", "_t_chkpnt"}
    swapped = rows_of(schema, "t", "id, v, w")
    outcome, recorder = migrate(schema, swap_names, COPIED)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "started" not in recorder.kinds()
    assert rows_of(schema, "t", "id, v, w") == swapped
    assert swapped[4] == (5, 7, 5)
    assert tables_of(schema) == {"t"}


def test_somebody_elses_table_is_not_dropped_for_its_name(schema: Schema) -> None:
    make_numbers(schema, "t", 10)
    make_numbers(schema, "_t_new", 20)
    outcome, _ = migrate(schema, WIDEN, COPIED)
    assert outcome.kind is OutcomeKind.REFUSED
    assert "nothing says that a run of ours made it" in outcome.message
    assert schema.execute("SELECT COUNT(*) FROM _t_new") == [(20,)]


def test_a_change_of_a_table_and_its_shadow_is_refused() -> None:
    with pytest.raises(RefusedError, match="needs for itself"):
        parse_change("ALTER TABLE t FORCE; ALTER TABLE _t_new FORCE", "d")


@pytest.mark.parametrize(
    "clause",
    [
        "ADD COLUMN b INT REFERENCES p (id) ON DELETE CASCADE",
        "ADD COLUMN (b INT, CONSTRAINT c FOREIGN KEY (b) REFERENCES p (id))",
        "MODIFY a INT NOT NULL REFERENCES p (id)",
    ],
)
def test_a_foreign_key_within_another_clause_is_refused(clause: str) -> None:
    with pytest.raises(RefusedError, match="foreign keys"):
        parse_change(f"ALTER TABLE t {clause}", "d")


def test_rows_longer_than_a_packet_are_compared(schema: Schema) -> None:
    """Together the columns of a row are longer than max_allowed_packet; one copy is spoiled."""
    schema.execute("CREATE TABLE t (id INT PRIMARY KEY, a LONGTEXT, b LONGTEXT, v INT)")
    schema.execute("INSERT INTO t VALUES (1, REPEAT('a', 700000), REPEAT('b', 700000), 1)")
    schema.execute("SET GLOBAL max_allowed_packet = 1048576")
    try:
        start = Checksum.start

        def spoil(checksum: Checksum) -> None:
            schema.execute("UPDATE _t_new SET v = 2")
            start(checksum)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Checksum, "start", spoil)
            outcome, _ = migrate(schema, "ALTER TABLE t MODIFY v BIGINT", COPIED)
        assert outcome.kind is OutcomeKind.FAILED
        assert "id=1" in outcome.message
        outcome, _ = migrate(schema, "ALTER TABLE t MODIFY v BIGINT", Options(fresh=True))
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    finally:
        schema.execute("SET GLOBAL max_allowed_packet = DEFAULT")


def test_new_columns_without_a_default_are_filled_as_by_a_native_alter(schema: Schema) -> None:
    make_numbers(schema, "t", 1_000)
    schema.execute("CREATE TABLE native LIKE t")
    schema.execute("INSERT INTO native SELECT * FROM t")
    clauses = (
        "ADD i INT NOT NULL, ADD d DECIMAL(9,2) NOT NULL, ADD s VARCHAR(9) NOT NULL, "
        "ADD x TEXT NOT NULL, ADD e ENUM('p','q') NOT NULL, ADD m SET('p','q') NOT NULL, "
        "ADD b BINARY(2) NOT NULL, ADD y YEAR NOT NULL, ADD h TIME NOT NULL, "
        "ADD j JSON NOT NULL"
    )
    outcome, _ = migrate(schema, f"ALTER TABLE t {clauses}", COPIED)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    schema.execute(f"ALTER TABLE native {clauses}")
    assert rows_of(schema, "t") == rows_of(schema, "native")


# what another session does while the run waits for its cut-over
UNSEEN = {
    "not logged": ["SET sql_log_bin = 0", "ALTER TABLE t ADD COLUMN lost INT DEFAULT 5"],
    "a comment of another server": ["ALTER TABLE /*M!100 x, */ t ADD COLUMN lost INT DEFAULT 5"],
    "a view": ["SET SESSION binlog_format = STATEMENT", "UPDATE seen SET v = 99 WHERE id < 10"],
    "a trigger": ["SET SESSION binlog_format = STATEMENT", "INSERT INTO other VALUES (1)"],
    "a function": ["SET SESSION binlog_format = MIXED", "DO changes_it()"],
}


@pytest.mark.parametrize("what", UNSEEN)
def test_what_the_binary_log_does_not_show_ends_the_run_before_the_swap(
    schema: Schema, what: str
) -> None:
    make_numbers(schema, "t", 500)
    schema.execute("CREATE TABLE other (id INT PRIMARY KEY)")
    schema.execute("CREATE VIEW seen AS SELECT * FROM t")
    schema.execute(
        "CREATE TRIGGER of_other AFTER INSERT ON other FOR EACH ROW UPDATE t SET v = 7 WHERE id = 3"
    )
    schema.execute(
        "CREATE FUNCTION changes_it() RETURNS INT DETERMINISTIC MODIFIES SQL DATA BEGIN "
        "UPDATE t SET v = 8 WHERE id = 4; RETURN 1; END"
    )
    with RunInThread(schema, "ALTER TABLE t MODIFY v BIGINT", Options(defer_cutover=True)) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        with contextlib.closing(schema.server._connect(schema.name)) as other:
            other.query("SET SESSION transaction_isolation = 'REPEATABLE-READ'")
            for statement in UNSEEN[what]:
                other.query(statement)
            other.commit()
        with contextlib.suppress(MySQLdb.Error):
            schema.execute("DROP TABLE _spirit_sentinel")
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.FAILED, outcome.message
    assert "next run starts afresh" in outcome.message
    assert schema.execute("SHOW COLUMNS FROM t LIKE 'v'")[0][1] == "int"
    again, _ = migrate(schema, "ALTER TABLE t MODIFY v BIGINT")
    assert again.kind is OutcomeKind.COMPLETED, again.message


def test_a_definition_changed_between_two_runs_is_noticed_without_the_log(schema: Schema) -> None:
    make_numbers(schema, "t", 500)
    options = Options(defer_cutover=True)
    with RunInThread(schema, "ALTER TABLE t MODIFY v BIGINT", options) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        run.stop.set()
        assert run.outcome().kind is OutcomeKind.STOPPED
    with contextlib.closing(schema.server._connect(schema.name)) as other:
        other.query("SET sql_log_bin = 0")
        other.query("ALTER TABLE t ADD COLUMN kept INT DEFAULT 5")
    outcome, recorder = migrate(schema, "ALTER TABLE t MODIFY v BIGINT")
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "definition of t" in recorder.event("fresh_start").message
    assert schema.execute("SELECT DISTINCT kept FROM t") == [(5,)]


def test_a_chunk_whose_difference_is_explained_is_summed_up_once(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that is changed while the checksum begins is left out of the chunk's sums: only that
    row is read again, not the chunk."""
    make_numbers(schema, "t", 500)
    totals, compared = RowComparison.totals, RowComparison.same_but_for
    parts: list[Range] = []
    left_out: list[tuple[Any, ...]] = []

    def changed_before(self: RowComparison, session: Session, chunk: Range) -> Any:
        parts.append(chunk)
        return totals(self, session, chunk)

    def watched(self: RowComparison, session: Session, chunk: Range, keys: Any, sums: Any) -> bool:
        left_out.extend(keys)
        return compared(self, session, chunk, keys, sums)

    snapshot = Checksum._verify

    def verify(self: Checksum, session: Session, chunk: Any) -> Any:
        # The applier must not have brought it over before the chunk is looked at.
        with self._applier.paused():
            schema.execute("UPDATE t SET v = -7 WHERE id = 250")
            return snapshot(self, session, chunk)

    monkeypatch.setattr(RowComparison, "totals", changed_before)
    monkeypatch.setattr(RowComparison, "same_but_for", watched)
    monkeypatch.setattr(Checksum, "_verify", verify)
    outcome, _ = migrate(schema, WIDEN, COPIED)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert left_out == [(250,)]
    assert len(parts) == 1
    assert schema.execute("SELECT v FROM t WHERE id = 250") == [(-7,)]


def test_a_reader_at_rest_is_woken_by_who_waits_for_it(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by time: it would rest for an hour, unless a catch-up, the checksum or the lock wakes it;
    and it ends when the run does."""
    monkeypatch.setattr(reader, "_REST_SECS", 3600.0)
    make_numbers(schema, "t", 20_000)
    options = Options(repair_differences=False, threads=1, skip_drop=True, defer_cutover=True)
    with RunInThread(schema, "ALTER TABLE t MODIFY v BIGINT NOT NULL", options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        schema.execute("UPDATE t SET v = -v WHERE id % 3 = 0")
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        schema.execute("UPDATE t SET v = v + 1 WHERE id % 5 = 0")
        run.migration.allow_cut_over()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert rows_of(schema, "t") == rows_of(schema, "_t_old")
    assert reader.THREAD_NAME not in {thread.name for thread in threading.enumerate()}
