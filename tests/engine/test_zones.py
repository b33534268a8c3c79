"""On a server whose zone is not UTC: what its own ALTER TABLE makes, or a refusal; nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from migrations_app.engine import Options, OutcomeKind
from playground.server import PrivateServer
from tests.conftest import TEST_SERVER_OPTIONS, Schema, fresh_schema
from tests.engine.support import migrate, rows_of, tables_of

COPIED = Options(attempt_direct=False, repair_differences=False)
PARTITIONS = """PARTITION BY RANGE (UNIX_TIMESTAMP(v)) (
    PARTITION a VALUES LESS THAN (UNIX_TIMESTAMP('2020-02-29 00:00:00')),
    PARTITION b VALUES LESS THAN MAXVALUE)"""
V = "id INT NOT NULL PRIMARY KEY, v TIMESTAMP NULL"


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    with PrivateServer(options=TEST_SERVER_OPTIONS | {"default-time-zone": "+05:30"}) as server:
        yield server


@pytest.fixture
def schema(server: PrivateServer) -> Iterator[Schema]:
    with fresh_schema(server) as schema:
        yield schema


def fill(schema: Schema, columns: str) -> None:
    schema.execute(f"CREATE TABLE t ({columns})")
    schema.execute("INSERT INTO t (id, v) VALUES (1, '2020-02-29 02:11:12'), (2, NULL)")


@pytest.mark.parametrize(
    ("columns", "clauses", "said"),
    [
        (f"{V}, g INT AS (HOUR(v)) STORED", "ADD w INT", "v is part of an expression"),
        (f"{V}, g DATE AS (DATE(v)) VIRTUAL, KEY (g)", "MODIFY id BIGINT", "part of an expression"),
        (f"{V}, KEY g ((DATE(v)))", "MODIFY id BIGINT", "v is part of an expression"),
        (f"{V}, CHECK (HOUR(v) < 5)", "MODIFY id BIGINT", "v is part of an expression"),
        (V, "MODIFY v DATETIME", "v goes from timestamp to datetime"),
        (V.replace("TIMESTAMP", "DATETIME"), "MODIFY v TIMESTAMP NULL", "datetime to timestamp"),
        (V, "ADD w DATETIME DEFAULT CURRENT_TIMESTAMP", "the new column w begins with the time"),
        (V, "ADD w DATE DEFAULT (CURRENT_DATE)", "the new column w begins with the time"),
    ],
)
def test_what_would_come_out_otherwise_is_refused(
    schema: Schema, columns: str, clauses: str, said: str
) -> None:
    fill(schema, columns)
    outcome, _ = migrate(schema, f"ALTER TABLE t {clauses}", COPIED)
    assert outcome.kind is OutcomeKind.REFUSED
    assert said in outcome.message
    assert tables_of(schema) == {"t"}


@pytest.mark.parametrize("options", [COPIED, Options()])
@pytest.mark.parametrize(
    ("columns", "clauses"),
    [
        (V, "ADD z TIMESTAMP NULL DEFAULT '2020-01-01 00:00:00'"),
        (V, "ALTER v SET DEFAULT '2021-06-01 12:00:00'"),
        (V, "ADD w VARCHAR(20) DEFAULT 'now'"),
        (f"{V}, w INT, CHECK (w > 0), g INT AS (w + 1) STORED", "MODIFY id BIGINT"),
        ("id INT NOT NULL, v TIMESTAMP NOT NULL, PRIMARY KEY (id, v)", PARTITIONS),
    ],
)
def test_the_rest_is_what_the_servers_own_alter_makes(
    schema: Schema, columns: str, clauses: str, options: Options
) -> None:
    schema.execute(f"CREATE TABLE t ({columns})")
    schema.execute("INSERT INTO t (id, v) VALUES (1, '2020-02-29 02:11:12'), (2, '2020-02-28')")
    schema.execute("CREATE TABLE native LIKE t")
    schema.execute("INSERT INTO native (id, v) SELECT id, v FROM t")
    outcome, _ = migrate(schema, f"ALTER TABLE t {clauses}", options)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    schema.execute(f"ALTER TABLE native {clauses}")
    assert rows_of(schema, "t") == rows_of(schema, "native")
    ours, native = (
        re.sub(
            r"CONSTRAINT `\w+`|TABLE `\w+`", "", schema.execute(f"SHOW CREATE TABLE {table}")[0][1]
        )
        for table in ("t", "native")
    )
    assert ours == native
