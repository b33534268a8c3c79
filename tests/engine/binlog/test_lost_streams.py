"""What happens when the connection, the server or the binary log itself goes away."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import socket
import threading
from collections.abc import Iterator

import MySQLdb
import pytest
from MySQLdb.constants import ER

from migrations_app.engine import Dsn, TlsMode, TransientError
from migrations_app.engine.binlog import (
    BinlogReader,
    Position,
    PositionLostError,
    why_unavailable,
)
from migrations_app.engine.errors import ServerLostError
from migrations_app.engine.keys import Key
from playground.server import PrivateServer
from tests.conftest import TEST_SERVER_OPTIONS, Schema, fresh_schema
from tests.engine.binlog.recorder import (
    Recorder,
    position_now,
    reading,
    session,
    subscription,
    wait_until,
)
from tests.engine.binlog.test_reader import dumps
from tests.engine.support import ELSEWHERE

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module", params=[True, False], ids=["gtid", "file_position"])
def own_server(request: pytest.FixtureRequest) -> Iterator[PrivateServer]:
    """A server that these tests may stop, purge and reset."""
    with PrivateServer(gtid=request.param, options=TEST_SERVER_OPTIONS) as server:
        yield server


@pytest.fixture
def own(own_server: PrivateServer) -> Iterator[Schema]:
    with fresh_schema(own_server) as schema:
        schema.execute("CREATE TABLE t (id INT PRIMARY KEY, a VARCHAR(1000))")
        yield schema


def kill_dumps(schema: Schema) -> None:
    for dump in dumps(schema):
        try:
            schema.execute(f"KILL {dump}")
        except MySQLdb.Error as error:  # it was ending by itself
            if error.args[0] != ER.NO_SUCH_THREAD:
                raise


def unavailable(schema: Schema, position: Position) -> str:
    asking = session(schema)
    try:
        return why_unavailable(asking, position, schema.server.gtid)
    finally:
        asking.close()


def test_a_killed_dump_is_reconnected_and_misses_nothing(own: Schema) -> None:
    with reading(own, subscription(own)) as following:
        for number in range(6):
            own.execute(f"INSERT INTO t VALUES ({number}, '')")
            if number % 2:
                kill_dumps(own)
        wait_until(lambda: len(following.recorder.changes()) >= 6, "all rows")
        assert following.changes() == [((number,), False) for number in range(6)]
        wait_until(lambda: bool(following.recorder.calls("reconnected")), "the report")
        positions = following.recorder.positions
        assert all(
            later.reached(earlier.file, earlier.offset)
            for earlier, later in itertools.pairwise(positions)
        )


def test_a_dump_killed_within_a_transaction_delivers_it_whole(own: Schema) -> None:
    own.execute("INSERT INTO t VALUES (0, '')")
    with reading(own, subscription(own)) as following:
        threads: list[threading.Thread] = []
        original = following.recorder.keys_changed

        def kill_once(table: tuple[str, str], keys: list[Key], deleted: bool) -> None:
            original(table, keys, deleted)
            if not threads:
                # On another thread: the reader goes on and meets the end in mid-transaction.
                threads.append(threading.Thread(target=kill_dumps, args=(own,)))
                threads[0].start()
                threads[0].join()

        following.recorder.keys_changed = kill_once  # type: ignore[method-assign]
        own.execute(
            "INSERT INTO t "
            "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n WHERE x < 999) "
            "SELECT a.x * 1000 + b.x, REPEAT('a', 1000) FROM n a, n b WHERE a.x < 31"
        )
        changes = following.changes()
        assert len({key for key, _ in changes}) == 30 * 999
        assert len(following.recorder.calls("reconnected")) == 1
        assert len(following.recorder.calls("ended")) == 1


def test_a_restarted_server_is_reconnected_and_misses_nothing(own: Schema) -> None:
    with reading(own, subscription(own)) as following:
        own.execute("INSERT INTO t VALUES (1, '')")
        own.server.restart()
        own.execute("INSERT INTO t VALUES (2, '')")
        own.server.kill()
        own.server.start()
        own.execute("INSERT INTO t VALUES (3, '')")
        assert following.changes() == [((1,), False), ((2,), False), ((3,), False)]
        assert following.recorder.calls("reconnected")


def test_a_server_that_stays_away_ends_the_reader(own: Schema) -> None:
    with reading(own, subscription(own), give_up_after_secs=0.5) as following:
        own.server.kill()
        wait_until(lambda: not following.reader.is_alive, "the end of the thread")
        assert isinstance(following.reader.error, ServerLostError)
        own.server.start()


def test_stop_while_reconnecting_ends_the_thread_without_an_error(own: Schema) -> None:
    with reading(own, subscription(own)) as following:
        own.server.kill()
        following.reader.stop()
        assert not following.reader.is_alive
        assert following.reader.error is None
        own.server.start()


def purge(schema: Schema) -> None:
    schema.execute("INSERT INTO t VALUES (1, '')")
    schema.execute("FLUSH BINARY LOGS")
    last = schema.execute("SHOW BINARY LOGS")[-1][0]
    schema.execute(f"PURGE BINARY LOGS TO '{last}'")


def test_a_purged_position_is_lost_and_said_so_before_anything_is_started(own: Schema) -> None:
    position = position_now(own)
    assert unavailable(own, position) == ""
    purge(own)
    assert unavailable(own, position) != ""
    reader = BinlogReader(
        own.dsn, position, [subscription(own)], Recorder(), use_gtid=own.server.gtid
    )
    with pytest.raises(PositionLostError) as caught:
        reader.start()
    assert "urged" in caught.value.server_message or "Could not find" in caught.value.server_message
    assert not reader.is_alive
    wait_until(lambda: not dumps(own), "the end of the connection")


def test_a_position_purged_while_the_stream_was_down_ends_the_reader(own: Schema) -> None:
    paused, holding = threading.Event(), threading.Event()

    def throttle() -> bool:
        if paused.is_set():
            holding.set()
        return paused.is_set()

    with reading(own, subscription(own), throttle=throttle) as following:
        paused.set()
        assert holding.wait(60)
        own.execute("INSERT INTO t VALUES (9, '')")
        kill_dumps(own)
        wait_until(lambda: not dumps(own), "the end of the dump")
        purge(own)
        paused.clear()
        wait_until(
            lambda: not following.reader.is_alive or bool(following.recorder.calls("reconnected")),
            "an end",
        )
        assert isinstance(following.reader.error, PositionLostError)


def test_a_position_behind_the_end_is_lost(own: Schema) -> None:
    now = position_now(own)
    if own.server.gtid:
        ahead = dataclasses.replace(now, gtid_set=now.gtid_set + "0")
    else:
        ahead = dataclasses.replace(now, offset=now.offset + 10_000)
    assert unavailable(own, ahead) != ""
    with pytest.raises(PositionLostError):
        BinlogReader(
            own.dsn, ahead, [subscription(own)], Recorder(), use_gtid=own.server.gtid
        ).start()


def test_a_position_inside_an_event_is_lost(schema_file_position: Schema) -> None:
    own = schema_file_position
    position = position_now(own)
    own.execute("CREATE TABLE t (id INT PRIMARY KEY)")
    inside = dataclasses.replace(position, offset=position.offset + 30)
    with pytest.raises(PositionLostError):
        BinlogReader(own.dsn, inside, [subscription(own)], Recorder(), use_gtid=False).start()


@contextlib.contextmanager
def account(schema: Schema, name: str, grants: str) -> Iterator[Dsn]:
    schema.execute(f"CREATE USER {name} IDENTIFIED BY 'secret'")
    schema.execute(f"GRANT {grants} ON *.* TO {name}")
    try:
        yield dataclasses.replace(schema.dsn, user=name, password="secret")
    finally:
        schema.execute(f"DROP USER {name}")


def test_a_missing_privilege_is_named(schema: Schema) -> None:
    schema.execute("CREATE TABLE t (id INT PRIMARY KEY)")
    with account(schema, "reader_1", "SELECT") as dsn:
        reader = BinlogReader(
            dsn, position_now(schema), [subscription(schema)], Recorder(), use_gtid=True
        )
        with pytest.raises(TransientError, match="REPLICATION SLAVE"):
            reader.start()


@pytest.mark.parametrize(
    "mode, host, demanded, encrypted",
    [
        (TlsMode.DISABLED, "127.0.0.1", False, False),
        (TlsMode.PREFERRED, "127.0.0.1", False, False),
        (TlsMode.PREFERRED, "127.0.0.1", True, True),
        (TlsMode.PREFERRED, ELSEWHERE, False, True),
        (TlsMode.REQUIRED, "127.0.0.1", False, True),
    ],
)
def test_an_account_with_replication_slave_reads_in_every_tls_mode(
    schema: Schema, mode: TlsMode, host: str, demanded: bool, encrypted: bool
) -> None:
    schema.execute("CREATE TABLE t (id INT PRIMARY KEY)")
    with account(schema, "reader_2", "REPLICATION SLAVE") as plain:
        if demanded:
            schema.execute("ALTER USER reader_2 REQUIRE SSL")
        dsn = dataclasses.replace(plain, tls_mode=mode, host=host)
        with reading(schema, subscription(schema), dsn=dsn) as following:
            schema.execute("INSERT INTO t VALUES (1)")
            assert following.changes() == [((1,), False)]
            version = schema.execute(
                "SELECT VARIABLE_VALUE FROM performance_schema.status_by_thread JOIN "
                "performance_schema.threads USING (THREAD_ID) WHERE PROCESSLIST_USER = 'reader_2' "
                "AND VARIABLE_NAME = 'Ssl_version' ORDER BY THREAD_ID DESC"
            )
            assert bool(version[0][0]) is encrypted


def test_verifying_the_certificate_needs_its_authority(schema: Schema) -> None:
    schema.execute("CREATE TABLE t (id INT PRIMARY KEY)")
    unverified = dataclasses.replace(schema.dsn, tls_mode=TlsMode.VERIFY_CA)
    with pytest.raises(TransientError, match="certificate"):
        BinlogReader(
            unverified, position_now(schema), [subscription(schema)], Recorder(), use_gtid=True
        ).start()
    authority = str(schema.server.data_folder / "ca.pem")
    verified = dataclasses.replace(unverified, tls_ca_file=authority)
    with reading(schema, subscription(schema), dsn=verified) as following:
        schema.execute("INSERT INTO t VALUES (1)")
        assert following.changes() == [((1,), False)]


def test_nobody_at_the_address_is_a_lost_server(schema: Schema) -> None:
    schema.execute("CREATE TABLE t (id INT PRIMARY KEY)")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dsn = dataclasses.replace(schema.dsn, port=unused.getsockname()[1])
        with pytest.raises(ServerLostError, match="cannot be reached"):
            BinlogReader(
                dsn, position_now(schema), [subscription(schema)], Recorder(), use_gtid=True
            ).start()


def test_changing_the_checksum_of_the_log_does_not_disturb_the_reader(own: Schema) -> None:
    before = own.execute("SELECT @@GLOBAL.binlog_checksum")[0][0]
    start = position_now(own)
    try:
        with reading(own, subscription(own)) as following:
            for number, checksum in enumerate(["NONE", "CRC32", "NONE"]):
                own.execute(f"SET GLOBAL binlog_checksum = {checksum}")
                own.execute(f"INSERT INTO t VALUES ({number}, '')")
            assert following.changes() == [((0,), False), ((1,), False), ((2,), False)]
        # Begins in a file with checksums on a server that writes none now.
        with reading(own, subscription(own), start=start) as following:
            assert following.changes() == [((0,), False), ((1,), False), ((2,), False)]
    finally:
        own.execute(f"SET GLOBAL binlog_checksum = {before}")
