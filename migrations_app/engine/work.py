"""What the parts of a copying run share, and how they meet a server that stumbles."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeVar

import MySQLdb
import tenacity

from migrations_app.engine.abort import Abort
from migrations_app.engine.checkpoint import CheckpointTable
from migrations_app.engine.deltas import DeltaBuffer
from migrations_app.engine.errors import EngineError, ServerLostError, TransientError
from migrations_app.engine.feed import Feed
from migrations_app.engine.fence import TableLock
from migrations_app.engine.gate import Gate
from migrations_app.engine.mapping import Mapping
from migrations_app.engine.names import TableNames
from migrations_app.engine.observer import CheckpointRow, Event, Phase
from migrations_app.engine.options import DEFAULT_VOLUME, Options
from migrations_app.engine.others import Others
from migrations_app.engine.session import Session, Sessions, is_contention, server_text
from migrations_app.engine.visibility import Visibility

T = TypeVar("T")
GIVE_UP_AFTER_SECS = 300


@dataclasses.dataclass(frozen=True, slots=True)
class Calls:
    """What the run asks of its caller.

    enter: a phase begins; saved: a checkpoint was written; intend: write a checkpoint before a
    swap is tried; may_swap: the last word before the rename; gate: whether it is to be tried at
    all.
    """

    enter: Callable[[Phase], None]
    saved: Callable[[CheckpointRow], None]
    intend: Callable[[], None]
    may_swap: Callable[[], bool]
    gate: Gate


@dataclasses.dataclass(frozen=True, slots=True)
class Run:
    """What belongs to the run as a whole."""

    sessions: Sessions
    options: Options
    lock: TableLock
    abort: Abort
    tell: Callable[[Event], None]
    calls: Calls
    feed: Feed
    checkpoints: CheckpointTable
    lock_wait_timeout_secs: int
    uses_gtid: bool
    others: Others


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """One table's migration as its parts see it: who it is, and what they share.

    threads, target_chunk_time_secs: as the volume says, for a server that nobody else writes to.
    builds_indexes_beside_writes: of the server (ServerFacts).
    """

    names: TableNames
    mapping: Mapping
    options: Options
    threads: int
    max_threads: int
    target_chunk_time_secs: float
    sessions: Sessions
    lock: TableLock
    deltas: DeltaBuffer
    visibility: Visibility
    abort: Abort
    tell: Callable[[Event], None]
    others: Others
    builds_indexes_beside_writes: bool

    @property
    def first_threads(self) -> int:
        """How many copy at first: one where others write, until it is known how they fare. Who has
        chosen a higher volume than the default is taken at their word."""
        return 1 if self._is_cautious and self.others.are_writing else self.threads

    @property
    def _is_cautious(self) -> bool:
        return self.max_threads > self.threads and self.options.volume <= DEFAULT_VOLUME

    def let_others_pass(self, session: Session, chunk_secs: float) -> float:
        """To be called between two chunks: waits while others queue, as long as the last chunk took
        at most, so that half the time is the run's; returns the seconds."""
        if not self._is_cautious:
            return 0.0
        return self.others.let_pass(session, chunk_secs, self.abort)

    @property
    def chunk_time_secs(self) -> float:
        """How long a chunk of the copy should take now."""
        if not self.options.chunk_time_follows:
            return self.target_chunk_time_secs
        return self.others.chunk_time_secs(self.target_chunk_time_secs)


def with_retries(abort: Abort, session: Session, attempt: Callable[[], T]) -> T:
    """Run a whole transaction again after a deadlock, a lock wait or a lost connection.

    attempt must be harmless to repeat. A lost connection is reopened first: the server rolls the
    old transaction back, or the repetition waits for its row locks. Raises the abort's reason,
    or the last error after five minutes.
    """

    def worth_it(error: BaseException) -> bool:
        return isinstance(error, ServerLostError) or is_contention(error)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(worth_it),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=5),
        stop=tenacity.stop_after_delay(GIVE_UP_AFTER_SECS),
        sleep=abort.wait,
        reraise=True,
    )

    def once() -> T:
        abort.check()
        if session.lost:
            session.open()
        return attempt()

    try:
        return retrying(once)
    except MySQLdb.Error as error:
        # A statement that was interrupted on purpose reports the purpose, not the interruption.
        abort.check()
        if is_contention(error):
            raise TransientError(
                f"Other sessions kept locking what the run needed for {GIVE_UP_AFTER_SECS} s: "
                f"{server_text(error)}. Everything up to the last checkpoint was kept."
            ) from error
        raise
    except EngineError:
        abort.check()
        raise
