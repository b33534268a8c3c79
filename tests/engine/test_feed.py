"""Catching up with the binary log: given up only when nothing moves any more."""

from __future__ import annotations

import threading

import pytest

from migrations_app.engine import feed as feed_module
from migrations_app.engine.abort import Abort
from migrations_app.engine.binlog import Position
from migrations_app.engine.deltas import DeltaBuffer
from migrations_app.engine.errors import TransientError
from migrations_app.engine.feed import Feed
from migrations_app.engine.options import Options
from migrations_app.engine.visibility import Visibility

TABLE = ("shop", "orders")
START, TARGET = Position("b.000001", 100), Position("b.000001", 1_000)
PATIENCE_SECS = 5


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "CATCH_UP_SECS", PATIENCE_SECS)


@pytest.fixture
def deltas() -> DeltaBuffer:
    return DeltaBuffer(START, comparable=False, ticket=lambda: 0)


@pytest.fixture
def feed(deltas: DeltaBuffer) -> Feed:
    visibility = Visibility(lambda session: None)
    return Feed(START, {TABLE: deltas}, visibility, Abort(), lambda event: None, Options())


class Waiting:
    """``feed.wait_for(TARGET)`` on a thread of its own; asked of ``over`` and ``error``."""

    def __init__(self, feed: Feed, deadline_secs: float | None = None) -> None:
        self.error: TransientError | None = None
        self._arguments = (feed, deadline_secs)
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()

    def _wait(self) -> None:
        feed, deadline_secs = self._arguments
        try:
            feed.wait_for(TARGET, deadline_secs)
        except TransientError as error:
            self.error = error

    def over_within(self, secs: float) -> bool:
        self._thread.join(secs)
        return not self._thread.is_alive()


def test_it_goes_on_for_as_long_as_the_reader_moves(feed: Feed) -> None:
    waiting = Waiting(feed)
    for step in range(1, 16):  # one and a half times the patience
        over = waiting.over_within(PATIENCE_SECS / 10)
        assert not over, waiting.error
        feed.position_moved(Position(START.file, START.offset + step))
    feed.position_moved(TARGET)
    assert waiting.over_within(60)
    assert waiting.error is None


def test_it_goes_on_for_as_long_as_the_applier_moves(feed: Feed, deltas: DeltaBuffer) -> None:
    """The reader is held back, for too much waits: each key applied brings it nearer."""
    keys = [(number,) for number in range(15)]
    deltas.add(keys, deleted=False)
    batch = deltas.take_everything()
    waiting = Waiting(feed)
    for key in keys:
        over = waiting.over_within(PATIENCE_SECS / 10)
        assert not over, waiting.error
        deltas.applied({key: batch.deltas[key]})
    feed.position_moved(TARGET)
    assert waiting.over_within(60)
    assert waiting.error is None


def test_it_ends_when_nothing_moves(feed: Feed) -> None:
    waiting = Waiting(feed)
    assert waiting.over_within(60)
    assert waiting.error is not None
    assert "b.000001:1000" in str(waiting.error)
    assert "now at b.000001:100" in str(waiting.error)


def test_under_a_lock_its_time_is_over_however_much_moves(feed: Feed) -> None:
    """The application waits meanwhile."""
    waiting = Waiting(feed, PATIENCE_SECS)
    for step in range(1, 31):  # three times the deadline
        if waiting.over_within(PATIENCE_SECS / 10):
            break
        feed.position_moved(Position(START.file, START.offset + step))
    assert waiting.error is not None
