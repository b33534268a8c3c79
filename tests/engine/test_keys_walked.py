"""Tables with every kind of key: stopped in the middle, changed, resumed, and nothing lost."""

from __future__ import annotations

import pytest

from migrations_app.engine import Options, OutcomeKind, Phase, keys
from migrations_app.engine.chunker import Chunker, ChunkSizer
from migrations_app.engine.mapping import key_columns, usable_keys
from migrations_app.engine.session import Session
from migrations_app.engine.table import load_table
from migrations_app.engine.tablekey import TableKey
from tests.conftest import Schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import RunInThread, make_numbers, migrate

ROWS = 4_000
# definition of the key's columns; the key; expressions of n.id (1 to ROWS) for the columns
KEYS = {
    "negative and positive": ("k INT", "PRIMARY KEY (k)", "n.id - 2000"),
    "huge gaps": ("k BIGINT", "PRIMARY KEY (k)", "n.id * n.id * n.id * 1000"),
    "above 2^63": (
        "k BIGINT UNSIGNED", "PRIMARY KEY (k)", "CAST(18446744073709551615 - n.id * 3 AS UNSIGNED)",
    ),
    "tiny and composite": (
        "k TINYINT, l SMALLINT UNSIGNED, m MEDIUMINT", "PRIMARY KEY (k, l, m)",
        "n.id % 5 - 2, n.id % 70, n.id",
    ),
    "four texts": (
        "k VARCHAR(9), l VARCHAR(9), m CHAR(9), o VARCHAR(9)", "PRIMARY KEY (k, l, m, o)",
        "CONCAT('É', n.id % 3), CONCAT('b', n.id % 4), CONCAT('c', n.id % 5), n.id",
    ),
    "mixed directions": (
        "k INT, l INT, m INT", "PRIMARY KEY (k, l DESC, m)", "n.id % 3, n.id % 50, n.id",
    ),
    "newest first, upwards within": (
        "k DATETIME, l VARCHAR(9), m INT", "PRIMARY KEY (k DESC, l, m DESC)",
        "DATE'2020-01-01' + INTERVAL n.id % 5 DAY, n.id % 20, n.id",
    ),
    "downwards throughout": ("k INT, l INT", "PRIMARY KEY (k DESC, l DESC)", "n.id % 3, n.id"),
    "few first values": ("k VARCHAR(9), l INT", "PRIMARY KEY (k, l)", "n.id % 2, n.id"),
    "decimal": ("k DECIMAL(20,4)", "PRIMARY KEY (k)", "n.id / 7 - 100"),
    "date and time": (
        "k DATE, l DATETIME(6)", "PRIMARY KEY (k, l)",
        "DATE'2020-01-01' + INTERVAL n.id % 9 DAY, NOW(6) + INTERVAL n.id MICROSECOND",
    ),
    "timestamp": (
        "k TIMESTAMP(3)", "PRIMARY KEY (k)",
        "TIMESTAMP'2020-03-29 01:00:00' + INTERVAL n.id SECOND",
    ),
    "binary": ("k BINARY(20)", "PRIMARY KEY (k)", "UNHEX(LPAD(HEX(n.id * 7919), 12, '0'))"),
    "varbinary": ("k VARBINARY(64)", "PRIMARY KEY (k)", "UNHEX(SHA2(n.id, 256))"),
    "text": ("k VARCHAR(64)", "PRIMARY KEY (k)", "CONCAT(IF(n.id % 2, 'é', 'E'), n.id)"),
    "latin text": (
        "k CHAR(20) CHARACTER SET latin1 COLLATE latin1_swedish_ci", "PRIMARY KEY (k)",
        "CONCAT(CHAR(65 + n.id % 26), n.id)",
    ),
    "text in the old UTF-8": (
        "k VARCHAR(20) CHARACTER SET utf8mb3", "PRIMARY KEY (k)",
        "CONCAT(IF(n.id % 2, 'é', 'E'), n.id)",
    ),
    "text in a rare character set": (
        "k VARCHAR(20) CHARACTER SET macroman", "PRIMARY KEY (k)",
        "CONCAT(IF(n.id % 2, 'é', 'E'), n.id)",
    ),
    "enum first": (
        "k ENUM('z','m','a'), l INT", "PRIMARY KEY (k, l)", "n.id % 3 + 1, n.id",
    ),
    "enum first, mostly one value": (
        "k ENUM('z','m','a'), l INT", "PRIMARY KEY (k, l)", "IF(n.id % 100, 1, 3), n.id",
    ),
    "set first, mostly empty": (
        "k SET('b','c','a'), l INT", "PRIMARY KEY (k, l)", "IF(n.id % 100, 0, 3), n.id",
    ),
    "enum downwards": (
        "k ENUM('z','m','a'), l INT", "PRIMARY KEY (k DESC, l)", "n.id % 3 + 1, n.id",
    ),
    "enum after a number": (
        "k INT, l ENUM('z','m','a'), m INT", "PRIMARY KEY (k, l, m)",
        "n.id % 5, n.id % 3 + 1, n.id",
    ),
    "set first": ("k SET('b','c','a'), l INT", "PRIMARY KEY (k, l)", "n.id % 8, n.id"),
    "unique instead of primary": ("k INT NOT NULL", "UNIQUE KEY u (k)", "n.id"),
    "reserved words": ("`select` INT, `k ``%s é` INT", "PRIMARY KEY (`select`, `k ``%s é`)",
                       "n.id % 3, n.id"),
}  # fmt: skip
STATEMENT = "ALTER TABLE t MODIFY v BIGINT NOT NULL, ADD COLUMN w INT NOT NULL DEFAULT 3"


@pytest.mark.parametrize("name", KEYS)
def test_a_key_is_walked_stopped_resumed_and_followed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    columns, key, values = KEYS[name]
    make_numbers(schema, "n", ROWS)
    schema.execute(f"CREATE TABLE t ({columns}, v INT NOT NULL, {key})")
    schema.execute(f"INSERT INTO t SELECT {values}, n.id FROM n")
    gate = ChunkGate(monkeypatch, chunks=2)
    options = Options(repair_differences=False, threads=1, skip_drop=True)
    with RunInThread(schema, STATEMENT, options) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(20)
        schema.execute("UPDATE t SET v = -v WHERE v % 10 = 0")
        run.stop.set()
        stopped = run.outcome()
        assert stopped.kind is OutcomeKind.STOPPED, stopped.message
    monkeypatch.undo()
    schema.execute("DELETE FROM t WHERE v % 10 = 1")
    schema.execute("UPDATE t SET v = v + 1000000 WHERE v % 10 = 2")
    outcome, recorder = migrate(schema, STATEMENT, options)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "resumed" in recorder.kinds()
    assert schema.execute("SELECT COUNT(*) FROM t") == [(ROWS - ROWS // 10,)]
    old, new = (schema.execute(f"SELECT * FROM {table} ORDER BY v") for table in ("_t_old", "t"))
    assert [row[:-1] for row in new] == old


@pytest.mark.parametrize("name", KEYS)
def test_a_chunk_reads_its_own_rows_and_no_others(schema: Schema, name: str) -> None:
    """Or a large table would be read once for each of its chunks."""
    columns, key, values = KEYS[name]
    make_numbers(schema, "n", ROWS)
    schema.execute(f"CREATE TABLE t ({columns}, v INT NOT NULL, {key})")
    schema.execute(f"INSERT IGNORE INTO t SELECT {values}, n.id FROM n")
    schema.execute("ANALYZE TABLE t")
    session = Session(schema.dsn, "test", "")
    try:
        table = load_table(session, schema.name, "t")
        assert table is not None
        index = usable_keys(table)[0]
        found = [column for name in index.columns if (column := table.column(name))]
        walked = TableKey(index.name, key_columns(index, found))
        chunker = Chunker("t", walked, ChunkSizer(1.0, 500))
        total = 0
        session.query("FLUSH STATUS")
        while chunk := chunker.next(session):
            # Of a chunk whose boundary was asked for. One more where each range begins.
            assert _rows_read(session) <= chunk.size + 20, chunk
            where = walked.where(chunk.lower, chunk.upper)
            rows = session.query(f"SELECT COUNT(v) FROM t {walked.force_index} WHERE {where}")[0][0]
            assert _rows_read(session) <= rows + 20, where
            assert rows <= chunk.size, where
            chunker.finished(chunk, rows)
            total += rows
        assert total == ROWS
    finally:
        session.close()


MEMBERS = ", ".join(f"'m{number}'" for number in range(64))


def test_a_key_that_the_server_does_not_find_again_is_refused(schema: Schema) -> None:
    schema.execute(f"CREATE TABLE t (k SET({MEMBERS}) PRIMARY KEY, v INT NOT NULL)")
    outcome, _ = migrate(schema, STATEMENT, Options(threads=1))
    assert outcome.kind is OutcomeKind.REFUSED
    assert "no usable key" in outcome.message
    assert "Column k is a SET of 64 members" in outcome.message


def test_rows_whose_keys_do_not_find_them_are_not_verified(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What differs and is then not found is no row that was deleted meanwhile."""
    monkeypatch.setattr(keys, "_MOST_BITS_COMPARED", 65)
    make_numbers(schema, "n", ROWS)
    schema.execute(f"CREATE TABLE t (l INT, k SET({MEMBERS}), v INT NOT NULL, PRIMARY KEY (l, k))")
    schema.execute("INSERT INTO t SELECT n.id, 9223372036854775808 + n.id, n.id FROM n")
    gate = ChunkGate(monkeypatch, chunks=2)
    with RunInThread(schema, STATEMENT, Options(threads=1)) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(20)
        schema.execute("UPDATE t SET v = -v WHERE v % 10 = 0")
        schema.execute("DELETE FROM t WHERE v % 10 = 3")
        gate.open()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.FAILED, outcome
    assert "differ from their copies although" in outcome.message


def _rows_read(session: Session) -> int:
    """Since it was last asked."""
    read = session.query("SHOW SESSION STATUS LIKE 'Handler_read%'")
    session.query("FLUSH STATUS")
    return sum(int(count) for _, count in read)
