"""The live writer's books are exact: they agree with the table and notice when it is wrong."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import MySQLdb
import pytest
from MySQLdb.constants import CR

from playground.comparison import Comparison, compare, keep_copy
from playground.connections import connected, query
from playground.ledger import Kind
from playground.server import PrivateServer
from playground.shop import create_shop
from playground.writer import LiveWriter
from tests.conftest import Schema
from tests.doors import Door

ORDERS = 3000
DEADLINE_SECS = 60


@pytest.fixture
def shop(schema: Schema) -> Schema:
    """A small shop, with a copy of its orders made before anybody writes."""
    create_shop(schema.dsn, orders=ORDERS)
    keep_copy(schema.dsn, "orders", "orders_before")
    return schema


def wait_until(claim: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECS
    while not claim():
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECS} s: {what}"
        time.sleep(0.01)


def compared(schema: Schema, writer: LiveWriter, baseline: str = "orders_before") -> Comparison:
    return compare(schema.dsn, writer.table, writer.ledger, baseline)


def written(schema: Schema, changes: int, **choices: object) -> LiveWriter:
    """A writer that has made so many changes and stopped."""
    writer = LiveWriter(schema.dsn, rate=5000, max_changes=changes, **choices)  # type: ignore[arg-type]
    with writer:
        wait_until(lambda: not writer.is_writing, f"{changes} changes")
    return writer


def test_without_a_migration_the_table_is_as_the_ledger_says(shop: Schema) -> None:
    writer = written(shop, 2000)
    report = writer.report()
    assert report.writes == 2000
    assert report.surprises == []
    assert set(report.by_kind) == {str(kind) for kind in Kind}
    result = compared(shop, writer)
    assert result.differences == []
    assert result.rows == shop.execute("SELECT COUNT(*) FROM orders")[0][0]
    assert result.touched == len(writer.ledger) > 500


def test_a_table_with_a_composite_key_works_the_same(shop: Schema) -> None:
    keep_copy(shop.dsn, "order_items", "items_before")
    writer = written(shop, 800, table="order_items")
    assert writer.surprises == []
    assert compared(shop, writer, "items_before").differences == []


def test_a_table_with_a_binary_key_works_the_same(shop: Schema) -> None:
    keep_copy(shop.dsn, "events", "events_before")
    writer = written(shop, 500, table="events")
    assert writer.surprises == []
    assert compared(shop, writer, "events_before").differences == []


def touched_row(writer: LiveWriter) -> int:
    return next(key[0] for key, row in writer.ledger.rows.items() if row is not None)


def untouched_row(schema: Schema, writer: LiveWriter) -> int:
    rows = schema.execute("SELECT id FROM orders_before ORDER BY id")
    return next(row[0] for row in rows if row not in writer.ledger.rows)


@pytest.mark.parametrize(
    "sql, what, columns",
    [
        ("UPDATE orders SET total = total + 0.01 WHERE id = %s", "different", ("total",)),
        (
            "UPDATE orders SET reference = LOWER(reference) WHERE id = %s",
            "different",
            ("reference",),
        ),
        (
            "UPDATE orders SET shipping_address = '[]' WHERE id = %s",
            "different",
            ("shipping_address",),
        ),
        ("DELETE FROM orders WHERE id = %s", "missing", ()),
    ],
)
def test_a_row_that_was_changed_behind_its_back_is_found(
    shop: Schema, sql: str, what: str, columns: tuple[str, ...]
) -> None:
    writer = written(shop, 300)
    key = untouched_row(shop, writer)
    # Without this, the server would change a second column.
    sql = sql.replace("WHERE", ", updated_at = updated_at WHERE") if "UPDATE" in sql else sql
    shop.execute(sql, key)
    [difference] = compared(shop, writer).differences
    assert (difference.key, difference.what, difference.columns) == ((key,), what, columns)
    assert not difference.touched


def test_a_row_it_wrote_itself_is_compared_with_its_own_books(shop: Schema) -> None:
    writer = written(shop, 300)
    key = touched_row(writer)
    shop.execute("UPDATE orders SET total = 0, updated_at = updated_at WHERE id = %s", key)
    [difference] = compared(shop, writer).differences
    assert (difference.key, difference.touched, difference.columns) == ((key,), True, ("total",))


def test_a_deleted_row_that_came_back_is_an_extra_one(shop: Schema) -> None:
    writer = written(shop, 300)
    key = next(key[0] for key, row in writer.ledger.rows.items() if row is None)
    other = untouched_row(shop, writer)
    shop.execute("UPDATE orders SET id = %s, updated_at = updated_at WHERE id = %s", key, other)
    found = {(d.key[0], d.what) for d in compared(shop, writer).differences}
    assert found == {(key, "extra"), (other, "missing")}


def test_a_lost_write_surprises_the_writer_while_it_writes(shop: Schema) -> None:
    with LiveWriter(shop.dsn, rate=1000, seed=3) as writer:
        wait_until(lambda: writer.changes > 50, "some changes")
        shop.execute("DELETE FROM orders")
        wait_until(lambda: bool(writer.surprises), "a surprise")
    assert "0 rows, not 1" in writer.surprises[0]


def test_it_survives_a_swap_beneath_it_with_a_new_column(shop: Schema) -> None:
    shop.execute("CREATE TABLE orders_new LIKE orders")
    shop.execute("ALTER TABLE orders_new ADD COLUMN channel VARCHAR(16) NOT NULL DEFAULT 'web'")
    columns = ", ".join(f"`{row[0]}`" for row in shop.execute("SHOW COLUMNS FROM orders"))
    with LiveWriter(shop.dsn, rate=1000) as writer:
        wait_until(lambda: writer.changes > 300, "changes before the swap")
        swap(shop, columns)
        after = writer.changes
        wait_until(lambda: writer.changes > after + 300, "changes after the swap")
    assert writer.surprises == []
    # The old table is a baseline: every row the writer did not touch stands in it, too.
    assert compared(shop, writer, "_orders_old").differences == []
    assert compared(shop, writer).differences == []


def swap(schema: Schema, columns: str) -> None:
    """Copy under a lock and swap, on one connection, as a cut-over does."""
    with connected(schema.dsn) as connection:
        query(connection, "LOCK TABLES orders WRITE, orders_new WRITE")
        query(connection, f"INSERT INTO orders_new ({columns}) SELECT {columns} FROM orders")
        query(connection, "RENAME TABLE orders TO _orders_old, orders_new TO orders")
        query(connection, "UNLOCK TABLES")


def test_the_bounds_hold(shop: Schema) -> None:
    writer = LiveWriter(shop.dsn, rate=200, max_secs=1.0, max_changes=10_000)
    with writer:
        wait_until(lambda: not writer.is_writing, "the time bound")
    assert 0 < writer.changes <= 200 + 2 * 8
    assert written(shop, 101, seed=2).changes == 101


def test_killed_sessions_leave_the_ledger_exact(shop: Schema) -> None:
    with LiveWriter(shop.dsn, rate=1000) as writer:
        for round_ in range(1, 20):
            wait_until(lambda: writer.changes > round_ * 40, "changes between two kills")  # noqa: B023
            for session in sessions_in(shop):
                kill(shop, session)
    assert writer.report().retries
    assert writer.surprises == []
    assert compared(shop, writer).differences == []


def test_a_greeting_that_was_meant_for_another_is_survived(shop: Schema) -> None:
    with Door(shop.dsn) as door, LiveWriter(door.dsn, rate=1000) as writer:
        wait_until(lambda: writer.changes > 40, "changes before the kill")
        door.wrong_greetings = 3
        for session in sessions_in(shop):
            kill(shop, session)
        wait_until(lambda: door.wrong_greetings == 0, "attempts to connect again")
        before = writer.changes
        wait_until(lambda: writer.changes > before + 40, "changes after the kill")
    assert writer.report().retries[CR.VERSION_ERROR] == 3
    assert compared(shop, writer).differences == []


def sessions_in(schema: Schema) -> list[int]:
    return [
        int(session)
        for (session,) in schema.execute(
            "SELECT id FROM information_schema.processlist WHERE db = %s AND id <> CONNECTION_ID()",
            schema.name,
        )
    ]


def kill(schema: Schema, session: int) -> None:
    with contextlib.suppress(MySQLdb.OperationalError):  # it has ended by itself
        schema.execute(f"KILL {session}")


@pytest.fixture
def own_server() -> Iterator[Schema]:
    with PrivateServer(options={"innodb-buffer-pool-size": "128M"}) as server:
        server.execute("CREATE DATABASE shop")
        schema = Schema(server, "shop")
        create_shop(schema.dsn, orders=ORDERS)
        keep_copy(schema.dsn, "orders", "orders_before")
        yield schema


def test_a_server_that_is_killed_and_restarted_leaves_the_ledger_exact(own_server: Schema) -> None:
    with LiveWriter(own_server.dsn, rate=1000) as writer:
        for _ in range(2):
            before = writer.changes
            wait_until(lambda: writer.changes > before + 200, "changes before the crash")  # noqa: B023
            own_server.server.kill()
            own_server.server.start()
        before = writer.changes
        wait_until(lambda: writer.changes > before + 200, "changes after the crash")
    assert writer.surprises == []
    assert compared(own_server, writer).differences == []


def test_latency_counts_from_when_a_change_was_due(shop: Schema) -> None:
    with LiveWriter(shop.dsn, rate=200) as writer:
        wait_until(lambda: writer.changes > 40, "some changes")
        with connected(shop.dsn) as connection:
            query(connection, "LOCK TABLES orders READ")
            began_at = writer.elapsed_secs
            wait_until(lambda: writer.elapsed_secs > began_at + 1.5, "a stall")
        done = writer.changes
        wait_until(lambda: writer.changes > done + 400, "the backlog done")
    stalled = writer.latency(since_secs=began_at, until_secs=began_at + 1.4)
    # One that was sent late because of the stall was waited for just the same.
    assert stalled.max_ms > 1000
    assert stalled.count > 100
    assert stalled.p50_ms > 100
