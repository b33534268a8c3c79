"""The ALTER changes the key itself: its type, its order, what it consists of."""

from __future__ import annotations

import pytest

from migrations_app.engine import Options, OutcomeKind, Phase
from migrations_app.engine.rowcompare import RowComparison
from tests.conftest import Schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import RunInThread, make_numbers, migrate, rows_of, tables_of

ROWS = 4_000
TEXT = "CONCAT(ELT(1 + n.id % 4, 'a', 'B', 'é', 'ß'), n.id)"
# definition of the table; expressions of n.id for its columns but v; clauses of the ALTER
CASES = {
    "wider integer": ("k INT PRIMARY KEY", "n.id - 2000", "MODIFY k BIGINT"),
    "unsigned": ("k INT PRIMARY KEY", "n.id", "MODIFY k BIGINT UNSIGNED"),
    "integer to decimal": ("k INT PRIMARY KEY", "n.id", "MODIFY k DECIMAL(20,2)"),
    "wider decimal": ("k DECIMAL(8,2) PRIMARY KEY", "n.id / 8", "MODIFY k DECIMAL(20,4)"),
    "longer text": ("k VARCHAR(20) PRIMARY KEY", TEXT, "MODIFY k VARCHAR(300)"),
    "char to varchar": ("k CHAR(20) PRIMARY KEY", TEXT, "MODIFY k VARCHAR(30)"),
    "another character set": (
        "k VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY", TEXT, "CONVERT TO CHARACTER SET utf8mb4",
    ),
    "three bytes to four": (
        "k VARCHAR(20) CHARACTER SET utf8mb3 PRIMARY KEY", TEXT, "CONVERT TO CHARACTER SET utf8mb4",
    ),
    "compared by bytes": (
        "k VARCHAR(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY", TEXT,
        "MODIFY k VARCHAR(20) COLLATE utf8mb4_0900_bin",
    ),
    "not compared by bytes any more": (
        "k VARCHAR(20) COLLATE utf8mb4_0900_bin PRIMARY KEY", TEXT,
        "MODIFY k VARCHAR(20) COLLATE utf8mb4_general_ci",
    ),
    "text to bytes": ("k VARCHAR(20) PRIMARY KEY", TEXT, "MODIFY k VARBINARY(80)"),
    "bytes": ("k BINARY(8) PRIMARY KEY", "LPAD(n.id, 8, '0')", "MODIFY k VARBINARY(80)"),
    "more decimals of a second": (
        "k DATETIME PRIMARY KEY", "NOW() + INTERVAL n.id SECOND", "MODIFY k DATETIME(6)",
    ),
    "date to moment": (
        "k DATE PRIMARY KEY", "DATE'2001-01-01' + INTERVAL n.id DAY", "MODIFY k DATETIME(3)",
    ),
    "more members": (
        "k ENUM('z','a'), l INT, PRIMARY KEY (k, l)", "n.id % 2 + 1, n.id",
        "MODIFY k ENUM('z','a','b')",
    ),
    "another name": ("k INT PRIMARY KEY", "n.id", "CHANGE k `k 2` BIGINT FIRST"),
    "a longer key": (
        "k INT, l INT NOT NULL, PRIMARY KEY (k)", "n.id, n.id % 7",
        "DROP PRIMARY KEY, ADD PRIMARY KEY (k, l)",
    ),
    "partitions": (
        "k INT, l INT NOT NULL, PRIMARY KEY (k)", "n.id, n.id % 7",
        ("DROP PRIMARY KEY, ADD PRIMARY KEY (k, l) PARTITION BY RANGE (l) "
        "(PARTITION a VALUES LESS THAN (3), PARTITION b VALUES LESS THAN MAXVALUE)"),
    ),
    "another sequence": (
        "k INT, l INT, PRIMARY KEY (k, l)", "n.id % 9, n.id",
        "DROP PRIMARY KEY, ADD PRIMARY KEY (l, k)",
    ),
    "a plain index only": (
        "k INT, l INT NOT NULL, PRIMARY KEY (k), UNIQUE KEY l (l)", "n.id, -n.id",
        "DROP PRIMARY KEY, DROP KEY l, ADD PRIMARY KEY (l), ADD KEY k (k)",
    ),
    "a new primary key": (
        "k INT NOT NULL, UNIQUE KEY k (k)", "n.id",
        "ADD COLUMN id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY FIRST",
    ),
}  # fmt: skip
UNAIDED = Options(repair_differences=False, threads=1, skip_drop=True, attempt_direct=False)


@pytest.mark.parametrize("name", CASES)
def test_rows_are_found_again_by_a_changed_key(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Stopped in the middle, changed (values, keys, rows), resumed, changed, compared."""
    definition, values, clauses = CASES[name]
    make_numbers(schema, "n", ROWS)
    schema.execute(f"CREATE TABLE t (v INT NOT NULL, {definition})")
    schema.execute(f"INSERT INTO t SELECT n.id, {values} FROM n")
    statement = f"ALTER TABLE t {clauses}"
    gate = ChunkGate(monkeypatch, chunks=2)
    with RunInThread(schema, statement, UNAIDED) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(20)
        schema.execute("UPDATE t SET v = v + 1000000 WHERE v % 10 = 0")
        run.stop.set()
        stopped = run.outcome()
        assert stopped.kind is OutcomeKind.STOPPED, stopped.message
    monkeypatch.undo()
    schema.execute("DELETE FROM t WHERE v % 10 = 1")
    schema.execute("UPDATE t SET v = v + 2000000 WHERE v % 10 = 2")
    if " l INT" in definition:
        schema.execute("UPDATE t SET l = l + 100000 WHERE v % 10 = 3")
    options = Options(repair_differences=False, skip_drop=True, defer_cutover=True)
    with RunInThread(schema, statement, options) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        schema.execute("UPDATE t SET v = v + 3000000 WHERE v % 10 = 4")
        schema.execute("DELETE FROM t WHERE v % 10 = 5")
        run.migration.allow_cut_over()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "resumed" in run.recorder.kinds()
    assert_like_native(schema, statement)


def assert_like_native(schema: Schema, statement: str) -> None:
    """The table holds what a native ALTER makes of the old table's rows."""
    schema.execute("CREATE TABLE native LIKE _t_old")
    schema.execute("INSERT INTO native SELECT * FROM _t_old")
    schema.execute(statement.replace("TABLE t", "TABLE native"))
    columns = ", ".join(
        f"HEX(`{row[0]}`)" for row in schema.execute("SHOW COLUMNS FROM native") if row[0] != "id"
    )
    new, native = (
        schema.execute(f"SELECT {columns} FROM {table} ORDER BY v") for table in ("t", "native")
    )
    assert len(new) > ROWS / 2
    assert new == native


@pytest.mark.parametrize(
    ("definition", "clauses", "named"),
    [
        ("k INT PRIMARY KEY", "MODIFY k VARCHAR(20)", "k (int → varchar(20))"),
        ("k VARCHAR(20) PRIMARY KEY", "MODIFY k CHAR(20)", "k (varchar(20) → char(20))"),
        ("k ENUM('a','b') PRIMARY KEY", "MODIFY k ENUM('b','a')", "→ enum('b','a'))"),
        ("k DATETIME(6) PRIMARY KEY", "MODIFY k DATETIME", "k (datetime(6) → datetime)"),
        ("k DECIMAL(9,3) PRIMARY KEY", "MODIFY k DECIMAL(9,2)", "k (decimal(9,3)"),
        ("k BINARY(4) PRIMARY KEY", "MODIFY k BINARY(6)", "k (binary(4)"),
        ("k INT PRIMARY KEY, l INT", "DROP PRIMARY KEY, ADD KEY (l)", "no index of t"),
    ],
)
def test_a_key_whose_values_would_change_is_refused(
    schema: Schema, definition: str, clauses: str, named: str
) -> None:
    schema.execute(f"CREATE TABLE t ({definition})")
    outcome, _ = migrate(schema, f"ALTER TABLE t {clauses}, FORCE")
    assert outcome.kind is OutcomeKind.REFUSED, outcome.message
    assert named in outcome.message
    assert tables_of(schema) == {"t"}


def test_keys_that_become_one_are_named(schema: Schema) -> None:
    schema.execute("CREATE TABLE t (k VARCHAR(9) COLLATE utf8mb4_0900_bin PRIMARY KEY, v INT)")
    schema.execute("INSERT INTO t VALUES ('a', 1), ('A', 2), ('b', 3)")
    before = rows_of(schema, "t")
    outcome, _ = migrate(schema, "ALTER TABLE t MODIFY k VARCHAR(9) COLLATE utf8mb4_0900_ai_ci")
    assert outcome.kind is OutcomeKind.FAILED
    assert "would be the same in it" in outcome.message
    assert rows_of(schema, "t") == before


@pytest.mark.parametrize("finds", [True, False])
def test_a_row_that_only_the_shadow_table_has_is_found(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, finds: bool
) -> None:
    """By the walk through the shadow table; without it, it would stay."""
    make_numbers(schema, "n", ROWS)
    schema.execute("CREATE TABLE t (k VARCHAR(20) CHARACTER SET latin1 PRIMARY KEY, v INT)")
    schema.execute(f"INSERT INTO t SELECT {TEXT}, n.id FROM n")
    if not finds:
        monkeypatch.setattr(RowComparison, "strays", lambda *_: set())
    options = Options(repair_differences=False, threads=1)
    gate = ChunkGate(monkeypatch, chunks=1)
    with RunInThread(schema, "ALTER TABLE t CONVERT TO CHARACTER SET utf8mb4", options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(20)
        schema.execute("INSERT INTO _t_new VALUES ('nobody', 0)")
        gate.open()
        outcome = run.outcome()
    assert outcome.kind is (OutcomeKind.FAILED if finds else OutcomeKind.COMPLETED)
