"""Chunks of the copy are short while others write to the server, and only then."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

import pytest

from migrations_app.engine import Options, OutcomeKind, others, pulse
from migrations_app.engine.abort import Abort
from migrations_app.engine.others import SHARED_CHUNK_SECS, Others
from migrations_app.engine.pulse import Pulse
from migrations_app.engine.session import Session, Sessions
from playground.server import PrivateServer
from tests.conftest import Schema, fresh_schema
from tests.engine.support import RunInThread, make_numbers, migrate, wait_until
from tests.engine.test_rules import open_connection

Query = Callable[[str], object]
WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


def nobody() -> int:
    """Of the run's own sessions, but for the one that asks."""
    return 0


def seen(counts: list[tuple[float, int]]) -> Others:
    found = Others(nobody)
    start = found._wrote_at
    for after_secs, writes in counts:
        found.saw(start + after_secs, writes, 1)
    return found


def test_until_it_is_known_somebody_else_writes() -> None:
    assert Others(nobody).are_writing
    assert Others(nobody).chunk_time_secs(0.5) == SHARED_CHUNK_SECS
    assert seen([(0, 1_000)]).are_writing


def test_a_chunk_is_never_longer_than_the_volume_says() -> None:
    assert Others(nobody).chunk_time_secs(0.05) == 0.05
    assert seen([(0, 0), (1, 0), (200, 0)]).chunk_time_secs(0.05) == 0.05


def test_chunks_grow_when_nobody_has_written_for_long_and_shrink_at_once() -> None:
    quiet = [(float(secs), 1_000 + secs) for secs in range(101)]  # one write a second
    assert not seen(quiet[:50]).are_writing
    assert seen(quiet[:50]).chunk_time_secs(0.5) == SHARED_CHUNK_SECS
    assert seen(quiet).chunk_time_secs(0.5) == 0.5
    assert seen([*quiet, (101.0, 1_200)]).chunk_time_secs(0.5) == SHARED_CHUNK_SECS


def test_a_burst_of_a_short_moment_and_counters_that_were_reset() -> None:
    assert not seen([(0, 0), (0.01, 6)]).are_writing, "a few in an instant are a run's own"
    assert seen([(0, 0), (0.2, 260)]).are_writing
    assert seen([(0, 0), (1, 500), (2, 3)]).are_writing, "what was known before holds"


def test_while_somebody_writes_the_chunks_of_a_run_stay_short(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a server of its own a run's chunks grow; with the first writes of others they shrink."""
    monkeypatch.setattr(others, "_ALONE_AFTER_SECS", 0.2)
    monkeypatch.setattr(pulse, "SAMPLE_EVERY_SECS", 0.1)
    targets: list[float] = []
    sample = Pulse._sample

    def watched(self: Pulse, now: float) -> None:
        sample(self, now)
        targets.append(self._copier.sizer.target_secs)

    monkeypatch.setattr(Pulse, "_sample", watched)
    make_numbers(schema, "t", 900_000)
    make_numbers(schema, "busy", 20)
    with RunInThread(schema, WIDEN, Options(defer_cutover=True)) as run:
        wait_until(lambda: targets and targets[-1] == 0.5, "long chunks on an idle server")
        with open_connection(schema) as connection:
            for number in range(100_000):
                connection.query(f"UPDATE busy SET v = {number} WHERE id = 7")
                # Statements are counted, and a commit may be slow.
                if number % 50 == 0:
                    connection.commit()
                if targets[-1] == SHARED_CHUNK_SECS:
                    break
        assert targets[-1] == SHARED_CHUNK_SECS
        run.stop.set()
        assert run.outcome().kind is OutcomeKind.STOPPED


class CountedWaits(Abort):
    """Counts how often somebody waited."""

    def __init__(self) -> None:
        super().__init__()
        self.waits = 0

    def wait(self, secs: float) -> None:
        self.waits += 1
        super().wait(secs)


@contextlib.contextmanager
def at_work(schema: Schema, sleeps: str, queries: dict[int, Query]) -> Iterator[None]:
    """The sessions of these ids run a statement that sleeps, until the end of the block."""
    threads = [threading.Thread(target=query, args=(sleeps,)) for query in queries.values()]
    for thread in threads:
        thread.start()
    running = "SELECT COUNT(*) FROM performance_schema.threads WHERE PROCESSLIST_INFO = %s"
    try:
        wait_until(lambda: schema.execute(running, sleeps) == [(len(queries),)], sleeps)
        yield
    finally:
        for session_id in queries:
            schema.execute(f"KILL QUERY {session_id}")
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def queue_of(schema: Schema, sessions: int) -> Iterator[None]:
    """So many sessions of others at work, until the end of the block."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(open_connection(schema)) for _ in range(sessions)]
        with at_work(schema, "DO SLEEP(600)", {one.thread_id(): one.query for one in opened}):
            yield


@contextlib.contextmanager
def queue_of_ours(schema: Schema, sessions: Sessions, number: int) -> Iterator[None]:
    """So many sessions of the run at work, until the end of the block."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(sessions.opened("works")) for _ in range(number)]
        with at_work(schema, "DO SLEEP(601)", {one.id: one.query for one in opened}):
            assert sessions.at_work == number
            yield
        assert sessions.at_work == 0


def test_others_that_queue_are_let_pass_but_not_for_ever(schema: Schema) -> None:
    with contextlib.closing(Session(schema.dsn, "test", "")) as session:
        seen_by, abort = Others(nobody), CountedWaits()
        seen_by.look(session)
        assert seen_by.let_pass(session, 60.0, abort) == 0
        assert abort.waits == 0, "nobody queues"
        with queue_of(schema, 20):
            assert seen_by.let_pass(session, 0.2, abort) >= 0.2
            assert abort.waits > 0
            waited, seen_by.are_writing = abort.waits, False
            seen_by.let_pass(session, 60.0, abort)
            assert abort.waits == waited, "who only reads does not wait for commits"


@pytest.fixture
def own_schema() -> Iterator[Schema]:
    """On a server where nothing of earlier tests, such as a dump that has lost its reader, is still
    at work."""
    with PrivateServer() as server, fresh_schema(server) as schema:
        yield schema


def test_sessions_of_the_run_itself_are_no_queue(own_schema: Schema) -> None:
    """Nor part of what is usual: counted in, they hid a queue of sixteen behind them."""
    sessions = Sessions(own_schema.dsn, "")
    asks = sessions.open("asks")
    seen_by = Others(lambda: sessions.at_work)

    def others_running() -> int:
        seen_by.look(asks)
        return seen_by.running

    with contextlib.closing(asks), queue_of_ours(own_schema, sessions, 10):
        # A thread of the server's own comes and goes, and counts as another's.
        wait_until(lambda: others_running() <= 2, "nobody else")
        abort = CountedWaits()
        with queue_of(own_schema, 20):
            wait_until(lambda: 20 <= others_running() <= 22, "twenty of others")
            assert Others(lambda: 25).let_pass(asks, 60.0, abort) == 0
            assert Others(lambda: sessions.at_work).let_pass(asks, 0.1, abort) > 0


def test_sessions_that_have_been_at_work_for_a_minute_are_no_queue(schema: Schema) -> None:
    with contextlib.closing(Session(schema.dsn, "test", "")) as session, queue_of(schema, 20):
        seen_by, abort = Others(nobody), CountedWaits()
        for secs in range(61):
            seen_by.saw(secs, 100 * secs, 2 if secs == 0 else 25)
            if secs == 30:
                assert seen_by.let_pass(session, 0.1, abort) > 0
        assert seen_by.let_pass(session, 60.0, abort) == 0


def test_a_copy_lets_others_pass_only_at_the_default_volume_or_below(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def let_pass(_others: Others, _session: Session, secs: float, _abort: Abort) -> float:
        asked.append(secs)
        return 0.0

    monkeypatch.setattr(Others, "let_pass", let_pass)
    make_numbers(schema, "t", 5_000)
    assert migrate(schema, WIDEN)[0].kind is OutcomeKind.COMPLETED
    assert asked
    asked.clear()
    back = WIDEN.replace("BIGINT", "INT")
    assert migrate(schema, back, Options(volume=4))[0].kind is OutcomeKind.COMPLETED
    assert not asked
