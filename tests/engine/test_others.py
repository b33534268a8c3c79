"""Chunks of the copy are short while others write to the server, and only then."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import pytest

from migrations_app.engine import Options, OutcomeKind, others, pulse
from migrations_app.engine.abort import Abort
from migrations_app.engine.others import SHARED_CHUNK_SECS, Others
from migrations_app.engine.pulse import Pulse
from migrations_app.engine.session import Session
from tests.conftest import Schema
from tests.engine.support import RunInThread, make_numbers, migrate, wait_until
from tests.engine.test_rules import open_connection

WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


def seen(counts: list[tuple[float, int]]) -> Others:
    found = Others()
    start = found._wrote_at
    for after_secs, writes in counts:
        found.saw(start + after_secs, writes, 1)
    return found


def test_until_it_is_known_somebody_else_writes() -> None:
    assert Others().are_writing
    assert Others().chunk_time_secs(0.5) == SHARED_CHUNK_SECS
    assert seen([(0, 1_000)]).are_writing


def test_a_chunk_is_never_longer_than_the_volume_says() -> None:
    assert Others().chunk_time_secs(0.05) == 0.05
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
            for number in range(2_000):
                connection.query(f"UPDATE busy SET v = {number} WHERE id = 7")
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
def queue_of(schema: Schema, sessions: int) -> Iterator[None]:
    """So many sessions at work, until the end of the block."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(open_connection(schema)) for _ in range(sessions)]
        ids = [one.thread_id() for one in opened]
        threads = [threading.Thread(target=one.query, args=("DO SLEEP(60)",)) for one in opened]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for session_id in ids:
                schema.execute(f"KILL QUERY {session_id}")
            for thread in threads:
                thread.join()


def test_others_that_queue_are_let_pass_but_not_for_ever(schema: Schema) -> None:
    with contextlib.closing(Session(schema.dsn, "test", "")) as session:
        seen_by, abort = Others(), CountedWaits()
        seen_by.look(session)
        seen_by.let_pass(session, 1, 60.0, abort)
        assert abort.waits == 0, "nobody queues"
        with queue_of(schema, 20):
            running = "SELECT COUNT(*) FROM performance_schema.threads WHERE PROCESSLIST_INFO = %s"
            wait_until(lambda: schema.execute(running, "DO SLEEP(60)") == [(20,)], "the queue")
            seen_by.let_pass(session, 1, 0.2, abort)
            assert abort.waits > 0
            waited, seen_by.are_writing = abort.waits, False
            seen_by.let_pass(session, 1, 60.0, abort)
            assert abort.waits == waited, "who only reads does not wait for commits"


def test_a_copy_lets_others_pass_only_at_the_default_volume_or_below(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Others, "let_pass", lambda _self, _session, ours, *_: asked.append(ours))
    make_numbers(schema, "t", 5_000)
    assert migrate(schema, WIDEN)[0].kind is OutcomeKind.COMPLETED
    assert asked
    asked.clear()
    back = WIDEN.replace("BIGINT", "INT")
    assert migrate(schema, back, Options(volume=4))[0].kind is OutcomeKind.COMPLETED
    assert not asked
