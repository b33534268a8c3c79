"""Settings of a server that other tools refuse: a run is stopped, resumed and swapped under each,
with changes in between, and ends with what a native ALTER makes of the same rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from migrations_app.engine import Options, OutcomeKind, Phase, fingerprint
from migrations_app.engine.server import LEAST_PACKET_BYTES, facts_from
from migrations_app.engine.session import Session
from migrations_app.engine.table import ColumnPair, load_table
from playground.semisync import semi_sync
from playground.server import PrivateServer
from tests.conftest import (
    TEST_SERVER_OPTIONS,
    Schema,
    fresh_schema,
    skip_what_the_server_does_not_have,
)
from tests.engine.stepping import ChunkGate
from tests.engine.support import RunInThread, make_numbers, migrate

ROWS = 4_000
STATEMENT = "ALTER TABLE t MODIFY v BIGINT NOT NULL, ADD COLUMN w INT NOT NULL DEFAULT 3"
UNAIDED = Options(repair_differences=False, threads=1, skip_drop=True)
TABLE = "id BIGINT PRIMARY KEY, v INT NOT NULL, j JSON, b BLOB, x TEXT"
# set globally before the run; the table's columns and keys
SETTINGS = {
    "minimal row image": (["binlog_row_image = MINIMAL"], TABLE),
    "minimal row image, no primary key": (
        ["binlog_row_image = MINIMAL"],
        TABLE.replace("PRIMARY KEY", "NOT NULL")
        + ", l BIGINT NOT NULL DEFAULT 5, UNIQUE KEY first (id, l), UNIQUE KEY shorter (id)",
    ),
    "no blobs in the row image": (["binlog_row_image = NOBLOB"], TABLE),
    "partial JSON": (["binlog_row_value_options = PARTIAL_JSON"], TABLE),
    "partial JSON, minimal": (
        ["binlog_row_value_options = PARTIAL_JSON", "binlog_row_image = MINIMAL"], TABLE,
    ),
    "compressed transactions": (["binlog_transaction_compression = ON"], TABLE),
    "full metadata": (["binlog_row_metadata = FULL"], TABLE),
    "no checksums": (["binlog_checksum = NONE"], TABLE),
}  # fmt: skip
NEEDED = {"compressed transactions": pytest.mark.mysql_since(8, 0, 20)}
CHANGES = [
    "UPDATE t SET v = -v, j = JSON_SET(j, '$.a', {0}) WHERE id % 10 = {0}",
    "UPDATE t SET b = REPEAT('b', 500), x = CONCAT(x, 'é') WHERE id % 10 = {0} + 1",
    "UPDATE t SET id = id + 100000 WHERE id % 100 = {0} + 40",
    "DELETE FROM t WHERE id % 100 = {0} + 60",
    "INSERT INTO t (id, v, j) VALUES (200000 + {0}, 1, '{{}}')",
]


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    with PrivateServer(options=TEST_SERVER_OPTIONS) as server:
        yield server


@pytest.fixture
def own_schema(request: pytest.FixtureRequest, server: PrivateServer) -> Iterator[Schema]:
    skip_what_the_server_does_not_have(request, server)
    with fresh_schema(server) as schema:
        yield schema


def fill(schema: Schema, columns: str = TABLE) -> None:
    make_numbers(schema, "n", ROWS)
    schema.execute(f"CREATE TABLE t ({columns})")
    schema.execute(
        "INSERT INTO t (id, v, j, b, x) SELECT id, v, JSON_OBJECT('a', id, 'b', REPEAT('y', 99)), "
        "REPEAT('x', 300), 'text' FROM n"
    )


def change(schema: Schema, number: int) -> None:
    for sql in CHANGES:
        schema.execute(sql.format(number))


def run_with_changes(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[int], None]
) -> None:
    """Stopped after a chunk, resumed, and swapped; ``meanwhile`` is called at each of them."""
    gate = ChunkGate(monkeypatch, chunks=2)
    with RunInThread(schema, STATEMENT, UNAIDED) as run:
        run.wait_for_phase(Phase.COPY_ROWS)
        assert gate.held.wait(20)
        meanwhile(1)
        run.stop.set()
        stopped = run.outcome()
        assert stopped.kind is OutcomeKind.STOPPED, stopped.message
    monkeypatch.undo()
    meanwhile(2)
    options = Options(repair_differences=False, threads=1, skip_drop=True, defer_cutover=True)
    with RunInThread(schema, STATEMENT, options) as run:
        run.wait_for_phase(Phase.WAITING_FOR_CUTOVER)
        meanwhile(3)
        run.migration.allow_cut_over()
        outcome = run.outcome()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "resumed" in run.recorder.kinds()
    schema.execute("CREATE TABLE native LIKE _t_old")
    schema.execute("INSERT INTO native SELECT * FROM _t_old")
    schema.execute(STATEMENT.replace("TABLE t", "TABLE native"))
    ours, native = (schema.execute(f"SELECT * FROM {name} ORDER BY id") for name in ("t", "native"))
    assert ours == native
    assert len(ours) > ROWS * 0.9


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=NEEDED.get(name, ())) for name in SETTINGS]
)
def test_every_change_arrives(
    own_schema: Schema, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    settings, columns = SETTINGS[name]
    fill(own_schema, columns)
    for setting in settings:
        own_schema.execute(f"SET GLOBAL {setting}")
    try:
        run_with_changes(own_schema, monkeypatch, lambda number: change(own_schema, number))
    finally:
        for setting in settings:
            own_schema.execute(f"SET GLOBAL {setting.split()[0]} = DEFAULT")


@pytest.fixture
def small_packets(own_schema: Schema) -> Iterator[int]:
    """The least max_allowed_packet a server may have."""
    least: int = LEAST_PACKET_BYTES
    own_schema.execute(f"SET GLOBAL max_allowed_packet = {least}")
    yield least
    own_schema.execute("SET GLOBAL max_allowed_packet = DEFAULT")


def test_the_longest_row_is_compared_where_packets_are_small(
    own_schema: Schema, small_packets: int
) -> None:
    """A fingerprint of NULL would leave its row out of the sums of both tables."""
    texts = [f"t{number}" for number in range(150)]
    columns = ["id INT PRIMARY KEY", "a VARCHAR(15000) NOT NULL", "b MEDIUMTEXT", "c MEDIUMTEXT"]
    columns += [f"{text} TINYTEXT" for text in texts]
    own_schema.execute(f"CREATE TABLE t ({', '.join(columns)})")
    row = ["1", "REPEAT('😀', 15000)", *["REPEAT('x', 700000)"] * 2]
    row += ["REPEAT('x', 255)"] * len(texts)
    own_schema.execute(f"INSERT INTO t VALUES ({', '.join(row)})")
    session = Session(own_schema.dsn, "test", "")
    try:
        assert session.query_one("SELECT @@max_allowed_packet") == (small_packets,)
        table = load_table(session, own_schema.name, "t")
        assert table is not None
        pairs = tuple(ColumnPair(column, column) for column in table.columns)
        numbers = set()
        for text in ("a", "b", "c", texts[0], texts[-1]):
            session.query(f"UPDATE t SET {text} = CONCAT(LEFT({text}, 200), 'y')")
            numbers.add(session.query_one(f"SELECT {fingerprint.of_source(pairs)} FROM t")[0])
        assert len(numbers) == 5
        assert None not in numbers
    finally:
        session.close()


def test_smaller_packets_are_refused(own_schema: Schema, small_packets: int) -> None:
    fill(own_schema)
    own_schema.execute(f"SET GLOBAL max_allowed_packet = {small_packets - 1024}")
    outcome, _ = migrate(own_schema, STATEMENT, UNAIDED)
    assert outcome.kind is OutcomeKind.REFUSED
    assert "max_allowed_packet is 1,047,552 bytes" in outcome.message


REDO = ("innodb_redo_log_capacity", "innodb_log_file_size", "innodb_log_files_in_group")


@pytest.mark.parametrize(
    ("version", "settings", "beside"),
    [
        ("9.7.0", {REDO[0]: 1 << 27}, True),
        ("8.0.46", {REDO[0]: 1 << 27}, False),
        ("8.0.46", {REDO[0]: 1 << 30, REDO[1]: 1 << 20, REDO[2]: 2}, True),
        ("8.0.28", {REDO[1]: 1 << 29, REDO[2]: 2}, True),
        ("8.0.28", {REDO[1]: 48 << 20, REDO[2]: 2}, False),
        ("8.4.0", {}, False),
    ],
)
def test_what_may_write_beside_an_index_build(
    version: str, settings: dict[str, int], beside: bool
) -> None:
    assert facts_from(version, "", settings.items()).builds_indexes_beside_writes is beside


@pytest.mark.mysql_since(8, 0, 20)
def test_one_session_may_compress_its_transactions(
    own_schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(own_schema)
    connection = own_schema.server._connect(own_schema.name)
    try:
        connection.query("SET SESSION binlog_transaction_compression = ON")

        def change_there(number: int) -> None:
            for sql in CHANGES:
                connection.query(sql.format(number).encode())

        run_with_changes(own_schema, monkeypatch, change_there)
    finally:
        connection.close()


@pytest.mark.parametrize("to_gtid", [True, False])
def test_gtids_may_be_switched_meanwhile(monkeypatch: pytest.MonkeyPatch, to_gtid: bool) -> None:
    modes = ["OFF", "OFF_PERMISSIVE", "ON_PERMISSIVE", "ON"]
    with (
        PrivateServer(gtid=not to_gtid, options=TEST_SERVER_OPTIONS) as server,
        fresh_schema(server) as schema,
    ):
        fill(schema)
        server.execute("SET GLOBAL enforce_gtid_consistency = ON")
        steps = iter(modes[1:] if to_gtid else modes[-2::-1])

        def switch(number: int) -> None:
            change(schema, number)
            server.execute(f"SET GLOBAL gtid_mode = {next(steps)}")
            change(schema, number + 3)

        run_with_changes(schema, monkeypatch, switch)
        assert server.execute("SELECT @@gtid_mode") == [("ON" if to_gtid else "OFF",)]


def test_semi_synchronous_commits_are_waited_for(
    own_schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a replica each commit is stalled; the source gives up after the first."""
    fill(own_schema)
    with semi_sync(own_schema.server, 500) as commits:

        def change_slowly(number: int) -> None:
            commits.stall()
            change(own_schema, number)

        run_with_changes(own_schema, monkeypatch, change_slowly)
