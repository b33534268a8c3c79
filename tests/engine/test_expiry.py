"""How long the binary log that a checkpoint needs will be there: the arithmetic, and a server's."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest

from migrations_app.engine.binlog import Position, begun_at, current_position
from migrations_app.engine.errors import EngineError
from migrations_app.engine.expiry import LogFacts, forecast, read_log_facts
from migrations_app.engine.session import Session
from tests.conftest import Schema

HOUR = 3600
GIB = 1024**3
FACTS = LogFacts(
    kept_secs=30 * HOUR,
    file_limit_bytes=GIB,
    sizes={"binlog.000041": GIB, "binlog.000042": GIB // 2, "binlog.000043": GIB // 4},
    position=Position("binlog.000042", GIB // 4),
    age_secs=10 * HOUR,
    closed_secs_ago=5 * HOUR,
)


def test_a_closed_file_lasts_from_its_closing() -> None:
    expiry = forecast(FACTS)
    assert expiry.hours == 25
    assert "binlog.000042 was closed 5 h ago" in expiry.reason


def test_the_rate_is_that_since_the_checkpoint() -> None:
    assert forecast(FACTS).bytes_per_hour == pytest.approx(GIB / 2 / 10)
    for other in ({"age_secs": 30.0}, {"position": Position("binlog.000007", 4)}):
        assert forecast(dataclasses.replace(FACTS, **other)).bytes_per_hour is None


def test_it_goes_when_the_next_file_is_begun() -> None:
    # 0.05 GiB an hour: new files are begun in 15 h, 35 h, 55 h; the file is old enough in 25 h.
    expiry = forecast(FACTS)
    assert expiry.likely_hours == pytest.approx(35)
    assert "deleted in about 35 h" in expiry.reason
    old = dataclasses.replace(FACTS, closed_secs_ago=9.9 * HOUR, kept_secs=9 * HOUR)
    assert forecast(old).hours == 0
    assert forecast(old).likely_hours == pytest.approx(15)


def test_the_file_in_use_is_closed_first() -> None:
    facts = dataclasses.replace(
        FACTS, position=Position("binlog.000043", 0), age_secs=5 * HOUR, closed_secs_ago=None
    )
    expiry = forecast(facts)
    # 0.05 GiB an hour: it is closed in 15 h, old in 45 h, and the second file after it is begun
    # in 55 h.
    assert expiry.hours == 30
    assert expiry.likely_hours == pytest.approx(55)
    assert "in use" in expiry.reason


def test_an_idle_server_tells_no_likely_time() -> None:
    facts = dataclasses.replace(FACTS, position=Position("binlog.000043", GIB // 4))
    assert forecast(facts).likely_hours is None
    slow = dataclasses.replace(FACTS, position=Position("binlog.000043", GIB // 4 - 1))
    assert "present rate" not in forecast(slow).reason


def test_a_server_that_deletes_nothing() -> None:
    expiry = forecast(dataclasses.replace(FACTS, kept_secs=0))
    assert expiry.hours is None
    assert "no binary logs by itself" in expiry.reason


def test_without_the_closing_time_the_checkpoint_counts() -> None:
    expiry = forecast(dataclasses.replace(FACTS, closed_secs_ago=None))
    assert expiry.hours == 20
    assert "not before the checkpoint" in expiry.reason


def test_a_server_tells_when_a_file_was_closed(any_scheme: Schema) -> None:
    schema = any_scheme
    with contextlib.closing(Session(schema.dsn, "test", "")) as session:
        schema.execute("CREATE TABLE t (id INT PRIMARY KEY)")
        position = current_position(session)
        before = session.query_one("SELECT UNIX_TIMESTAMP()")[0]
        schema.execute("FLUSH BINARY LOGS")
        schema.execute("INSERT INTO t VALUES (1)")
        begun = begun_at(schema.dsn, current_position(session).file)
        assert begun is not None
        assert before <= begun <= session.query_one("SELECT UNIX_TIMESTAMP()")[0]
        facts = read_log_facts(session, schema.dsn, position, age_secs=7200.0)
        assert facts.closed_secs_ago is not None
        assert 0 <= facts.closed_secs_ago < 60  # and not two hours, the checkpoint's age
        assert forecast(facts).hours == pytest.approx(facts.kept_secs / HOUR, abs=0.1)
        with pytest.raises(EngineError):
            begun_at(schema.dsn, "nowhere.000001")
