"""One round: a table, a writer, attempt after attempt with faults in between, and the proof."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import MySQLdb

from playground.connections import connected
from playground.server import PrivateServer
from playground.torture import faults, verify
from playground.torture.attempt import Attempt
from playground.torture.faults import Fault, FaultKind, Hold
from playground.torture.plan import Plan
from playground.torture.tables import NAME
from playground.writer import LiveWriter
from playground.writersession import WriterError

LONGEST_SECS = 150.0
_LOOK_EVERY_SECS = 0.01
_WRITE_ON_SECS = 0.7
# Beyond one attempt for each fault.
_SPARE_ATTEMPTS = 4
_SHOWN_LINES = 40
_ZOMBIE_SECS = 40.0

Hook = Callable[[str], None]
"""Gets the DSN once the change is made, before anything is compared."""


class RoundFailedError(Exception):
    """The engine, or the table, is not as it must be; the message says what was found."""


@dataclasses.dataclass
class Result:
    """What a round has seen. history: with the seconds since its beginning; failure: "" if all
    was right."""

    plan: Plan
    history: list[str] = dataclasses.field(default_factory=list)
    injected: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    attempts: int = 0
    resumes: int = 0
    fresh_starts: int = 0
    rows: int = 0
    writes: int = 0
    secs: float = 0.0
    failure: str = ""
    last_lines: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    trace: str = ""


@dataclasses.dataclass
class Zombie:
    """A suspended engine that has lost its lock; wakes at a time of time.monotonic()."""

    attempt: Attempt
    wakes_at: float


def run_round(
    plan: Plan, server: PrivateServer, *, before_comparison: Hook | None = None
) -> Result:
    """Run one round in a schema of its own; whatever it started has ended when this returns.

    before_comparison: for the tests, which spoil a row there to see that it is found.
    """
    return _Round(plan, server, before_comparison).run()


class _Round:
    def __init__(self, plan: Plan, server: PrivateServer, hook: Hook | None) -> None:
        self.plan = plan
        self.server = server
        self.schema = f"torture_{plan.seed}"
        self.result = Result(plan)
        self.began_at = time.monotonic()
        self._hook = hook
        self._waiting = list(plan.faults)
        self._holds: list[Hold] = []
        self._writer: LiveWriter | None = None
        self._zombies: list[Zombie] = []
        self._may_be_strict = True
        self._kept = False

    def run(self) -> Result:
        try:
            with self._schema(), self._condition():
                self._play()
        except (RoundFailedError, WriterError) as error:
            self.result.failure = str(error)
        except Exception:
            # A mistake of the round itself also fails it; the next one may find more.
            self.result.failure = traceback.format_exc()
        self.result.secs = time.monotonic() - self.began_at
        return self.result

    @property
    def _dsn(self) -> str:
        return self.server.root_dsn(self.schema)

    @property
    def _books(self) -> LiveWriter:
        assert self._writer is not None
        return self._writer

    def _note(self, text: str) -> None:
        self.result.history.append(f"{time.monotonic() - self.began_at:6.2f} s  {text}")

    @contextlib.contextmanager
    def _schema(self) -> Iterator[None]:
        self.server.start()
        self.server.execute(f"DROP DATABASE IF EXISTS {self.schema}")
        self.server.execute(f"CREATE DATABASE {self.schema}")
        try:
            yield
        finally:
            self.server.start()
            self.server.execute(f"DROP DATABASE {self.schema}")

    @contextlib.contextmanager
    def _condition(self) -> Iterator[None]:
        """A global setting for the length of the round; ``PERSIST`` holds through restarts."""
        if not self.plan.condition:
            yield
            return
        name, _, _ = self.plan.condition.partition("=")
        self.server.execute(f"SET PERSIST {self.plan.condition}")
        try:
            yield
        finally:
            self.server.start()
            self.server.execute(f"SET GLOBAL {name} = DEFAULT")
            self.server.execute(f"RESET PERSIST {name}")

    def _play(self) -> None:
        plan = self.plan
        with connected(self._dsn) as connection:
            plan.shape.create(connection)
        self._writer = LiveWriter(
            self._dsn,
            table=plan.shape.table(),
            rate=plan.rate,
            max_secs=LONGEST_SECS,
            threads=plan.threads,
        )
        self._note("the table is made; the writer begins")
        try:
            with self._books:
                try:
                    self._attempts()
                    self._bury(wait_secs=_ZOMBIE_SECS)
                finally:
                    self._bury(wait_secs=0.0)
                    self._settle()
                if self._books.is_writing:
                    time.sleep(_WRITE_ON_SECS)
        finally:
            self.result.writes = self._books.changes
        self._note("the writer has stopped")
        if self._hook is not None:
            self._hook(self._dsn)
        self._verify()

    def _settle(self) -> None:
        """Nothing of ours stands in the writer's way any more."""
        for hold in self._holds:
            hold.release()
        self.server.start()
        faults.end_stall(self.server)

    def _bury(self, wait_secs: float) -> None:
        """End the zombies. Woken, they must end by themselves: as having lost their table to the
        successor, or, when that had ended before, by going on where it was."""
        while self._zombies:
            zombie = self._zombies.pop().attempt
            if wait_secs and zombie.suspended:
                zombie.wake()
            in_time = bool(wait_secs) and zombie.wait(wait_secs)
            code = zombie.close()
            self._note(f"the zombie ended with exit code {code}: {zombie.message}")
            if wait_secs and not (in_time and code in (0, 5)):
                self._learn(zombie)
                raise RoundFailedError(
                    f"An engine that had lost its lock "
                    f"{f'ended with exit code {code}' if in_time else 'went on'}: {zombie.message}"
                )

    # -- attempts

    def _attempts(self) -> None:
        most = len(self.plan.faults) + _SPARE_ATTEMPTS
        for number in range(most):
            options = dict(self.plan.options[min(number, len(self.plan.options) - 1)])
            options["strict"] = options["strict"] and self._may_be_strict
            if self._attempt(options):
                return
        raise RoundFailedError(f"The change was not made in {most} attempts.")

    def _attempt(self, options: dict[str, Any]) -> bool:
        """Run the engine once; returns whether the change is made."""
        self.server.start()
        self.result.attempts += 1
        attempt = Attempt(self._dsn, self.plan.statement, options)
        before = sum(self.result.injected.values())
        try:
            self._watch(attempt)
        except BaseException:
            attempt.close()
            self._learn(attempt)
            raise
        if attempt.suspended:
            return self._was_swapped()
        code = attempt.close()
        self._learn(attempt)
        self._note(f"attempt {self.result.attempts} ended with exit code {code}: {attempt.message}")
        disturbed = sum(self.result.injected.values()) > before or bool(self._holds)
        return self._judge(code, attempt, disturbed=disturbed)

    def _watch(self, attempt: Attempt) -> None:
        """Wait for the end of an attempt, and inject what is due meanwhile."""
        armed: float | None = None
        while attempt.lives and not attempt.suspended:
            now = time.monotonic()
            if now - self.began_at > LONGEST_SECS:
                raise RoundFailedError(f"The round was not over in {LONGEST_SECS:.0f} s.")
            self._books.check()
            self._release(now)
            if self._waiting and armed is None and self._waiting[0].phase in attempt.phases:
                armed = now + self._waiting[0].delay_secs
            if armed is not None and now >= armed:
                armed = None
                self._inject(self._waiting.pop(0), attempt)
            if armed is None and "waiting_for_cutover" in attempt.phases:
                self._order_swap()
            time.sleep(_LOOK_EVERY_SECS)

    def _release(self, now: float) -> None:
        for hold in [hold for hold in self._holds if hold.until <= now]:
            hold.release()
            self._holds.remove(hold)
        for zombie in self._zombies:
            if zombie.wakes_at <= now and zombie.attempt.suspended:
                zombie.attempt.wake()
                self._note("the zombie is woken")

    def _order_swap(self) -> None:
        """A deferred swap: nobody writes any more, so every row can be compared afterwards."""
        if self._books.is_writing:
            if any(hold.stops_writer for hold in self._holds):
                return
            self._books.stop()
            self._note("the writer has stopped before the swap")
        with contextlib.suppress(MySQLdb.Error):
            self.server.execute("DROP TABLE IF EXISTS _spirit_sentinel", schema=self.schema)

    def _learn(self, attempt: Attempt) -> None:
        self.result.resumes += len(attempt.events("resumed"))
        self.result.fresh_starts += len(attempt.events("fresh_start"))
        self.result.last_lines = attempt.last_lines(_SHOWN_LINES)
        self.result.trace = attempt.trace
        for kind in ("resumed", "fresh_start", "resume_failed", "cutover_blocked"):
            for event in attempt.events(kind):
                self._note(f"the engine: {event['message']}")

    def _judge(self, code: int, attempt: Attempt, *, disturbed: bool) -> bool:
        if code == 0:
            # The engine says so when a fault has met it at the tidying.
            self._kept = "could not be dropped" in attempt.message
            return True
        # -15: the order to stop came before it could be heard, or after the end.
        if code in (3, -9, -15) and disturbed:
            return self._was_swapped()
        if code == 4 and self.result.attempts > 1 and f"_{NAME}_new" in self._tables():
            # Kept, as strict mode promises; without it the next attempt starts afresh.
            self._may_be_strict = False
            return False
        if code == 5 and disturbed:
            return self._was_swapped()
        if code == 2 and FaultKind.ZOMBIE in self.result.injected:
            # The woken one has the table, or has made the change: end it, and go on from there.
            self._bury(0.0)
            return self._was_swapped()
        raise RoundFailedError(
            f"The engine ended with exit code {code}"
            f"{'' if disturbed else ', undisturbed'}: {attempt.message}"
        )

    def _tables(self) -> set[str]:
        self.server.start()
        rows = self.server.execute(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s",
            (self.schema,),
        )
        return {row[0] for row in rows}

    def _was_swapped(self) -> bool:
        """Whether it ended after its very last step, so that nothing is left to go on with."""
        tables = self._tables()
        done = verify.OLD in tables and not tables & {f"_{NAME}_new", f"_{NAME}_chkpnt"}
        if done:
            self.server.execute("DROP TABLE IF EXISTS _spirit_sentinel", schema=self.schema)
        return done

    # -- faults

    def _inject(self, fault: Fault, attempt: Attempt) -> None:
        try:
            done = self._do(fault, attempt)
        except MySQLdb.Error as error:
            done = f"not done: {error}"
        self.result.injected[fault.kind] += 1
        self._note(f"{fault.kind} {done}".rstrip() + f" (phase {attempt.phases[-1:]})")

    def _do(self, fault: Fault, attempt: Attempt) -> str:
        """Returns what there is to say about it."""
        match fault.kind:
            case FaultKind.KILL_ENGINE:
                attempt.kill()
            case FaultKind.STOP_ENGINE:
                attempt.ask_to_stop()
            case FaultKind.PURGE_LOGS:
                attempt.close()
                verify.sessions_end(self.server)
                faults.purge_logs(self.server)
            case FaultKind.ZOMBIE:
                attempt.suspend()
                self._zombies.append(Zombie(attempt, time.monotonic() + fault.secs / 4))
                return f"({faults.kill_owners(self.server, faults.ENGINE_LOCKS)} locks)"
            case FaultKind.LOCK_ROWS | FaultKind.LOCK_SHADOW_ROWS | FaultKind.HOLD_TABLE:
                held = faults.hold(self._books.dsn, fault)
                self._holds += [held] if held else []
                return f"for {fault.secs} s" if held else "not to be had"
            case _:
                return faults.trouble(self.server, fault)
        return ""

    # -- the proof

    def _verify(self) -> None:
        plan, problems = self.plan, []
        verify.make_expected(self._dsn, plan.statement, self.schema)
        problems += verify.differing_definition(self._dsn)
        of = NAME if plan.live else verify.OLD
        self.result.rows, found = verify.differing_from_books(self._dsn, self._books, of=of)
        problems += found
        if not plan.live:
            self.result.rows, found = verify.differing_rows(self._dsn)
            problems += found
        left = verify.left_behind(self.server, self.schema, tables=not self._kept)
        problems += [f"left behind: {what}" for what in left]
        if problems:
            raise RoundFailedError("\n".join(problems))
        self._note(f"{self.result.rows} rows are right")
