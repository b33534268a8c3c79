"""The applier: takes deltas that may be applied and writes their rows to the shadow table."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Iterator

from migrations_app.engine.deltas import Deltas
from migrations_app.engine.session import Session
from migrations_app.engine.shadowwriter import ShadowWriter
from migrations_app.engine.work import Work, with_retries

# Waiting a little lets changes of the same hot row fold into one write.
_PAUSE_SECS = 0.2
_MAX_WRITERS = 4


class Applier:
    """Applies deltas in cycles, on a thread of its own from ``start`` to ``join``.

    quiesce, release: stop and restart the copier for a moment; only used for keys that Python
    cannot order (rule 4), whose deltas may be applied only while no chunk is in flight.
    """

    def __init__(
        self,
        work: Work,
        writer: ShadowWriter,
        quiesce: Callable[[], None] = lambda: None,
        release: Callable[[], None] = lambda: None,
    ) -> None:
        self._work = work
        self._writer = writer
        self._quiesce = quiesce
        self._release = release
        self._thread = threading.Thread(target=self._run, name="spirit-applier")
        self._stopping = threading.Event()
        self._cycles = threading.Condition()
        self._begun = 0
        self._completed = 0
        self._flush_wanted = False
        self._turn = threading.Lock()
        self._idle: list[Session] = []
        self._workers = 1 if writer.serial else min(_MAX_WRITERS, max(1, work.threads))
        self._pool = concurrent.futures.ThreadPoolExecutor(
            self._workers, thread_name_prefix="spirit-apply"
        )
        self.applied = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End after the present cycle. Idempotent."""
        self._stopping.set()
        self._work.deltas.changed.set()
        with self._cycles:
            self._cycles.notify_all()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)
        while self._idle:
            self._work.sessions.release(self._idle.pop())

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """No cycle is under way, and none begins, inside the block."""
        with self._turn:
            yield

    def flush(self) -> None:
        """Return when all that could be applied at the call has been applied.

        Raises the abort's reason.
        """
        with self._cycles:
            wanted = self._begun + 1
            self._flush_wanted = True
            self._cycles.notify_all()
        self._work.deltas.changed.set()
        with self._cycles:
            while self._completed < wanted:
                self._work.abort.check()
                self._cycles.wait(0.1)

    def _run(self) -> None:
        try:
            with self._work.sessions.opened("apply") as session:
                while True:
                    with self._turn:
                        # Asked with the turn in hand: after a swap there is no shadow table.
                        if self._stopping.is_set():
                            return
                        self._cycle(session)
                    self._rest()
        except BaseException as error:
            self._work.abort.set(error)

    def _rest(self) -> None:
        """Until there is something to do; a flush does not wait for the pause between cycles."""
        if not self._stopping.is_set():
            self._work.deltas.changed.wait(1.0)
        with self._cycles:
            self._cycles.wait_for(
                lambda: self._flush_wanted or self._stopping.is_set(), timeout=_PAUSE_SECS
            )
        self._work.abort.check()

    def _cycle(self, session: Session) -> None:
        deltas = self._work.deltas
        deltas.changed.clear()
        with self._cycles:
            self._begun += 1
            cycle = self._begun
            self._flush_wanted = False
        if self._work.mapping.keys.comparable:
            batch = deltas.take()
            self._apply(session, batch.deltas, batch.ticket)
        elif deltas.waiting:
            self._quiesce()
            try:
                batch = deltas.take_everything()
                self._apply(session, batch.deltas, batch.ticket)
            finally:
                self._release()
        with self._cycles:
            self._completed = cycle
            self._cycles.notify_all()

    def _apply(self, session: Session, deltas: Deltas, ticket: int) -> None:
        if not deltas:
            return
        work = self._work
        with_retries(work.abort, session, lambda: work.visibility.wait(session, ticket, work.abort))
        batches = work.mapping.source_key.batches(deltas)
        parts = [{key: deltas[key] for key in batch} for batch in batches]
        if len(parts) == 1 or self._workers == 1:
            for part in parts:
                self._write(session, part)
                self._forget(part)
        else:
            futures = {self._pool.submit(self._write_on_any, part): part for part in parts}
            for future in concurrent.futures.as_completed(futures):
                future.result()
                self._forget(futures[future])

    def _forget(self, part: Deltas) -> None:
        """At once, not at the end of the cycle: a reader that is held back goes on the sooner."""
        self._work.deltas.applied(part)
        self.applied += len(part)

    def _write(self, session: Session, part: Deltas) -> None:
        with_retries(self._work.abort, session, lambda: self._writer.write(session, part))

    def _write_on_any(self, part: Deltas) -> None:
        try:
            session = self._idle.pop()
        except IndexError:
            session = self._work.sessions.open("apply")
        try:
            self._write(session, part)
        finally:
            self._idle.append(session)
