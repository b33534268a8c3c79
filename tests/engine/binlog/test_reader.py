"""What the sink is told: keys, transactions, positions, in both coordinate schemes."""

from __future__ import annotations

import itertools
import threading

import pytest

from migrations_app.engine.binlog import GtidSet
from tests.conftest import Schema
from tests.engine.binlog.recorder import position_now, reading, subscription, wait_until

pytestmark = pytest.mark.engine


def make_table(schema: Schema) -> None:
    schema.execute("CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(300))")


def test_inserts_updates_and_deletes_are_told_in_order(any_scheme: Schema) -> None:
    make_table(any_scheme)
    with reading(any_scheme, subscription(any_scheme)) as following:
        any_scheme.execute("INSERT INTO t VALUES (1, 1, 'x'), (2, NULL, NULL), (-3, 3, 'y')")
        any_scheme.execute("UPDATE t SET a = 9 WHERE id = 2")
        any_scheme.execute("DELETE FROM t WHERE id = 1")
        assert following.changes() == [
            ((1,), False), ((2,), False), ((-3,), False), ((2,), False), ((1,), True),
        ]  # fmt: skip


def test_a_changed_key_is_a_delete_and_then_an_upsert(any_scheme: Schema) -> None:
    make_table(any_scheme)
    any_scheme.execute("INSERT INTO t VALUES (1, 1, ''), (2, 2, ''), (3, 3, '')")
    with reading(any_scheme, subscription(any_scheme)) as following:
        any_scheme.execute("UPDATE t SET id = IF(id = 2, 20, id), a = a + 1 ORDER BY id")
        assert following.changes() == [
            ((1,), False), ((2,), True), ((20,), False), ((3,), False),
        ]  # fmt: skip


def test_tables_nobody_asked_for_are_passed_over(any_scheme: Schema) -> None:
    make_table(any_scheme)
    any_scheme.execute("CREATE TABLE other LIKE t")
    with reading(any_scheme, subscription(any_scheme)) as following:
        any_scheme.execute("INSERT INTO other VALUES (1, 1, '')")
        any_scheme.execute("INSERT INTO t VALUES (7, 1, '')")
        assert following.changes() == [((7,), False)]


def test_two_tables_can_be_followed_in_one_transaction(any_scheme: Schema) -> None:
    make_table(any_scheme)
    any_scheme.execute("CREATE TABLE u (k BIGINT UNSIGNED, id INT, PRIMARY KEY (id, k))")
    with reading(
        any_scheme, subscription(any_scheme), subscription(any_scheme, "u", "id", "k")
    ) as following:
        any_scheme.execute("INSERT INTO t VALUES (1, 1, '')")
        any_scheme.execute("INSERT INTO u VALUES (18446744073709551615, -1), (0, 5)")
        any_scheme.execute("UPDATE t, u SET t.a = 5, u.k = 1 WHERE t.id = 1 AND u.id = 5")
        assert following.changes("t") == [((1,), False), ((1,), False)]
        assert following.changes("u") == [
            ((-1, 18446744073709551615), False), ((5, 0), False), ((5, 0), True), ((5, 1), False),
        ]  # fmt: skip


def test_a_reader_that_starts_at_a_delivered_position_sees_only_what_follows(
    any_scheme: Schema,
) -> None:
    make_table(any_scheme)
    with reading(any_scheme, subscription(any_scheme)) as following:
        any_scheme.execute("INSERT INTO t VALUES (1, 1, '')")
        following.catch_up()
        position = following.reader.delivered
    any_scheme.execute("INSERT INTO t VALUES (2, 1, '')")
    with reading(any_scheme, subscription(any_scheme), start=position) as following:
        any_scheme.execute("INSERT INTO t VALUES (3, 1, '')")
        assert following.changes() == [((2,), False), ((3,), False)]


def test_positions_only_move_forward_over_rotations(any_scheme: Schema) -> None:
    make_table(any_scheme)
    with reading(any_scheme, subscription(any_scheme)) as following:
        for number in range(5):
            any_scheme.execute(f"INSERT INTO t VALUES ({number}, 1, '')")
            any_scheme.execute("FLUSH BINARY LOGS")
        following.catch_up()
        positions = following.recorder.positions
        assert all(
            later.reached(earlier.file, earlier.offset)
            for earlier, later in itertools.pairwise(positions)
        )
        assert len({position.file for position in positions}) >= 6
        assert [key for key, _ in following.recorder.changes()] == [(n,) for n in range(5)]


def test_the_delivered_gtid_set_is_what_the_server_executed(schema: Schema) -> None:
    make_table(schema)
    with reading(schema, subscription(schema)) as following:
        schema.execute("INSERT INTO t VALUES (1, 1, '')")
        schema.execute("CREATE TABLE v (id INT)")
        following.catch_up()
        executed = GtidSet.parse(position_now(schema).gtid_set)
        assert GtidSet.parse(following.reader.delivered.gtid_set) == executed


def test_a_transaction_is_announced_with_its_gtid_before_its_rows(schema: Schema) -> None:
    make_table(schema)
    uuid = schema.execute("SELECT @@server_uuid")[0][0]
    with reading(schema, subscription(schema)) as following:
        schema.execute("INSERT INTO t VALUES (1, 1, '')")
        following.catch_up()
        calls = following.recorder.calls("started", "keys", "ended")
        assert [call[0] for call in calls] == ["started", "keys", "ended"]
        assert calls[0][1].startswith(f"{uuid}:")
        assert GtidSet.parse(calls[2][1].gtid_set).contains(GtidSet.parse(calls[0][1]))


def test_without_gtids_transactions_are_anonymous(schema_file_position: Schema) -> None:
    make_table(schema_file_position)
    with reading(schema_file_position, subscription(schema_file_position)) as following:
        schema_file_position.execute("INSERT INTO t VALUES (1, 1, '')")
        following.catch_up()
        calls = following.recorder.calls("started", "ended")
        assert calls[0] == ("started", "")
        assert calls[1][1].gtid_set == ""


def test_a_throttled_reader_holds_still_and_goes_on(any_scheme: Schema) -> None:
    make_table(any_scheme)
    held = threading.Event()
    held.set()
    with reading(any_scheme, subscription(any_scheme), throttle=held.is_set) as following:
        any_scheme.execute("INSERT INTO t VALUES (1, 1, '')")
        any_scheme.execute("INSERT INTO t VALUES (2, 1, '')")
        assert len(following.recorder.changes()) < 2
        held.clear()
        assert following.changes() == [((1,), False), ((2,), False)]


def test_stop_while_throttled_returns(any_scheme: Schema) -> None:
    make_table(any_scheme)
    with reading(any_scheme, subscription(any_scheme), throttle=lambda: True) as following:
        following.reader.stop()
        assert not following.reader.is_alive


def test_stop_leaves_no_thread_and_no_connection(any_scheme: Schema) -> None:
    make_table(any_scheme)
    with reading(any_scheme, subscription(any_scheme)) as following:
        any_scheme.execute("INSERT INTO t VALUES (1, 1, '')")
        following.catch_up()
        wait_until(lambda: len(dumps(any_scheme)) == 1, "no dump but its own")
        following.reader.stop()
        following.reader.stop()
        assert "spirit-binlog" not in {thread.name for thread in threading.enumerate()}
        assert following.reader.error is None
    wait_until(lambda: not dumps(any_scheme), "the end of the dump on the server")


def test_what_the_sink_raises_ends_the_reader(any_scheme: Schema) -> None:
    make_table(any_scheme)
    with reading(any_scheme, subscription(any_scheme)) as following:
        failure = RuntimeError("a sink that fails")

        def fail(*_: object) -> None:
            raise failure

        following.recorder.keys_changed = fail  # type: ignore[method-assign,assignment]
        any_scheme.execute("INSERT INTO t VALUES (1, 1, '')")
        wait_until(lambda: not following.reader.is_alive, "the end of the thread")
        assert following.reader.error is failure


def dumps(schema: Schema) -> list[int]:
    """The ids of the server's dump threads."""
    rows = schema.execute(
        "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'"
    )
    return [int(row[0]) for row in rows]
