"""The lag of a real replica pauses the copy; one that has caught up lets it go on."""

from __future__ import annotations

from migrations_app.engine import Dsn, Options, OutcomeKind
from migrations_app.engine.session import Session
from migrations_app.engine.throttle import _read_lag
from playground.server import PrivateServer
from tests.conftest import TEST_SERVER_OPTIONS, fresh_schema
from tests.engine.support import RunInThread, make_numbers, wait_until

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


def order(replica: PrivateServer, sql: str, *arguments: object) -> None:
    """In the words of the server's version."""
    if replica.version < (8, 0, 23):
        sql = sql.replace("REPLICATION SOURCE", "MASTER")
        sql = sql.replace("SOURCE", "MASTER").replace("REPLICA", "SLAVE")
    replica.execute(sql, arguments)


def follow(replica: PrivateServer, source: PrivateServer) -> None:
    source.execute("CREATE USER follower IDENTIFIED BY 'follow'")
    source.execute("GRANT REPLICATION SLAVE ON *.* TO follower")
    order(
        replica,
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = %s, "
        "SOURCE_USER = 'follower', SOURCE_PASSWORD = 'follow', SOURCE_AUTO_POSITION = 1, "
        "GET_SOURCE_PUBLIC_KEY = 1",
        source.port,
    )
    order(replica, "START REPLICA")


def delay(replica: PrivateServer, secs: int) -> None:
    order(replica, "STOP REPLICA SQL_THREAD")
    order(replica, f"CHANGE REPLICATION SOURCE TO SOURCE_DELAY = {secs}")
    order(replica, "START REPLICA SQL_THREAD")


def test_a_replica_that_lags_pauses_the_copy_until_it_has_caught_up() -> None:
    with (
        PrivateServer(options=TEST_SERVER_OPTIONS) as source,
        PrivateServer(options=TEST_SERVER_OPTIONS) as replica,
        fresh_schema(source) as schema,
    ):
        follow(replica, source)
        make_numbers(schema, "t", 5_000)
        rows = f"SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = '{schema.name}'"
        wait_until(lambda: replica.execute(rows), "the replica to have the table")
        delay(replica, 3_600)
        schema.execute("UPDATE t SET v = -v WHERE id = 1")
        session = Session(Dsn.parse(replica.root_dsn(schema.name)), "test", "")
        wait_until(lambda: _read_lag(session)[0] > 2, "a lag of two seconds")
        session.close()
        options = Options(
            replica_dsns=(replica.root_dsn(schema.name),),
            replica_max_lag_secs=1.0,
            repair_differences=False,
        )
        with RunInThread(schema, WIDEN, options) as run:
            wait_until(
                lambda: (
                    "throttled" in run.recorder.kinds()
                    and "lags" in run.recorder.event("throttled").message
                ),
                "the lag to be noticed",
            )
            wait_until(lambda: run.recorder.readings[-1].throttled, "a reading that says so")
            delay(replica, 0)
            run.wait_for_event("unthrottled")
            outcome = run.outcome()
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
        wait_until(
            lambda: "bigint" in replica.execute(f"SHOW CREATE TABLE `{schema.name}`.t")[0][1],
            "the replica to have the new table",
        )
        assert replica.execute(f"SELECT COUNT(*) FROM `{schema.name}`.t") == [(5_000,)]
