"""One leased run of a request inside a worker: the engine, its observer, and the orders in between.

The lease is taken by compare-and-set and renewed with every reading, once a second. Whatever the
run writes is conditional on its token; once that is lost, an exception out of the observer ends the
engine's run, without a checkpoint and without a cut-over. Everything here happens on one thread.

A change of volume ends the engine's run with a checkpoint and begins the next one with the new
volume; the request stays ``running`` all along.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from typing import Any

from django.db import close_old_connections, transaction
from django.db.models import Max
from django.db.models.functions import Now

from migrations_app import drain, lifecycle
from migrations_app.crypto import SecretUnavailableError
from migrations_app.engine import (
    CheckpointRow,
    EngineError,
    Level,
    Migration,
    Outcome,
    OutcomeKind,
    Phase,
    Progress,
    clean_up,
)
from migrations_app.engine import Event as EngineEvent
from migrations_app.lifecycle import LeaseLostError
from migrations_app.models import (
    LEASED_STATES,
    Checkpoint,
    Command,
    CommandKind,
    DesiredState,
    MigrationRequest,
    Run,
    Sample,
    State,
)

logger = logging.getLogger(__name__)

LEASE_SECS = 30.0
SAMPLE_EVERY_SECS = 5.0
MAX_FAILED_ATTEMPTS = 20
_FIRST_PAUSE_SECS = 5.0
_LONGEST_PAUSE_SECS = 600.0
# A run that lived this long had recovered from what failed the one before it.
_HEALTHY_SECS = 300.0
_FINAL_EVENTS = frozenset({Phase.COMPLETED.value, Phase.STOPPED.value, Phase.FAILED.value})


def worker_name() -> str:
    """Who holds a lease: the worker's name, which its watch knows, and this process."""
    worker = os.environ.get(drain.NAME_VARIABLE, socket.gethostname())
    return f"{worker}:{os.getpid()}"


def run(request_id: int) -> None:
    """Run a queued request to its next rest. Returns at once when it is not to be had."""
    if drain.is_raised():
        return  # the supervisor of another worker wakes somebody again
    close_old_connections()
    request = MigrationRequest.objects.select_related("target").filter(pk=request_id).first()
    if request is None or request.state != State.QUEUED or _target_is_full(request):
        return
    leased = lifecycle.take_lease(request_id, worker_name(), LEASE_SECS)
    if leased is None:
        return
    Runner(leased).run()


def _target_is_full(request: MigrationRequest) -> bool:
    """Whether the target has as many runs as it may have; the supervisor asks again later."""
    running = MigrationRequest.objects.filter(target=request.target, state__in=LEASED_STATES)
    if running.count() < request.target.max_concurrent_runs:
        return False
    MigrationRequest.objects.filter(pk=request.pk, state=State.QUEUED).update(
        enqueued_at=None,
        message=f"Waiting: {request.target.name} has {request.target.max_concurrent_runs} "
        f"migration(s) running, which is its limit.",
    )
    return True


class RunStop:
    """The engine's stop signal: an order, or the worker is draining."""

    def __init__(self) -> None:
        self._ordered = threading.Event()

    def order(self) -> None:
        self._ordered.set()

    def is_set(self) -> bool:
        return self._ordered.is_set() or drain.is_raised()


class Runner:
    """Drives one request while it holds the lease."""

    def __init__(self, request: MigrationRequest) -> None:
        self.request = request
        self.token = request.lease_token

    def run(self) -> None:
        """Runs until the request rests. A lost lease ends it silently: another has taken over."""
        try:
            while self._run_once():
                pass
        except LeaseLostError as error:
            logger.warning("Run ended without writing: %s", error)

    def _run_once(self) -> bool:
        """One run of the engine; returns whether another is to follow at once."""
        self.request.refresh_from_db()
        run_row = self._open_run()
        stop = RunStop()
        observer = RunObserver(self.request, run_row, self.token, stop)
        began = time.monotonic()
        try:
            migration = Migration(
                self.request.target.dsn(),
                self.request.statement,
                self.request.options(run_token=str(self.token)),
                observer,
            )
            observer.migration = migration
            outcome = migration.run(stop)
        except SecretUnavailableError as error:
            outcome = Outcome(OutcomeKind.FAILED, str(error))
        except LeaseLostError:
            raise
        except Exception as error:
            logger.exception("A run of request %s ended unexpectedly.", self.request.pk)
            outcome = Outcome(
                OutcomeKind.TRANSIENT,
                f"The run ended unexpectedly ({type(error).__name__}); the worker's log has the "
                f"details. Progress was kept up to the last checkpoint.",
            )
        self.request.refresh_from_db()
        if self.request.lease_token != self.token:
            raise LeaseLostError(f"token {self.token} of #{self.request.pk}")
        self._close_run(run_row, outcome)
        if (
            outcome.kind is OutcomeKind.STOPPED
            and observer.volume_order
            and not drain.is_raised()
            and self.request.desired_state == DesiredState.RUN
        ):
            return True
        self._rest(run_row, outcome, lived_secs=time.monotonic() - began)
        return False

    def _open_run(self) -> Run:
        request = self.request
        volume = min(request.volume, request.target.max_volume)
        with transaction.atomic():
            number = (request.runs.aggregate(last=Max("number"))["last"] or 0) + 1
            row = Run.objects.create(
                request=request,
                number=number,
                lease_token=self.token,
                worker=worker_name(),
                pid=os.getpid(),
                volume=volume,
                rows_at_start=request.rows_copied,
            )
            lifecycle.renew_lease(
                request, self.token, LEASE_SECS, running_volume=volume, started_at=Now()
            )
        return row

    def _close_run(self, run_row: Run, outcome: Outcome) -> None:
        Run.objects.filter(pk=run_row.pk).update(
            ended_at=Now(),
            outcome=outcome.kind.value,
            message=outcome.message,
            method=outcome.method.value,
            rows_at_end=self.request.rows_copied,
        )

    # -- where the request rests

    def _rest(self, run_row: Run, outcome: Outcome, lived_secs: float) -> None:
        kind = outcome.kind
        data = {**outcome.data, "outcome": kind.value, "method": outcome.method.value}
        if kind is OutcomeKind.COMPLETED:
            self._move(
                "complete", run_row, outcome.message, data,
                ended_at=Now(), fraction=1.0, method=outcome.method.value, fresh_wanted=False,
                eta_secs=None,
            )  # fmt: skip
            self._answer_open("The change was already made.")
        elif self.request.desired_state == DesiredState.CANCEL:
            self._cancel(run_row)
        elif self.request.desired_state == DesiredState.STOP:
            self._move("stopped", run_row, outcome.message, data)
            self._answer_open("Stopped; a checkpoint was written.")
        elif kind is OutcomeKind.STOPPED:
            self._move(
                "interrupt", run_row,
                "The worker is being shut down; a checkpoint was written, and another worker goes "
                "on from it.", data, next_attempt_at=Now(),
            )  # fmt: skip
        elif kind is OutcomeKind.TRANSIENT:
            self._pause(run_row, outcome, data, lived_secs)
        else:
            self._move(
                "fail", run_row, outcome.message, data,
                ended_at=Now(), desired_state=DesiredState.IDLE,
            )  # fmt: skip
            self._answer_open("The run failed before it could obey.")

    def _move(
        self, name: str, run_row: Run, message: str, data: dict[str, Any], **changes: Any
    ) -> None:
        lifecycle.move(
            self.request,
            name,
            message,
            token=self.token,
            run=run_row,
            data=data,
            changes=lifecycle.ends_lease(**changes),
        )

    def _pause(
        self, run_row: Run, outcome: Outcome, data: dict[str, Any], lived_secs: float
    ) -> None:
        """After a transient failure: try again by itself, later and later, up to a limit."""
        attempts = 1 if lived_secs > _HEALTHY_SECS else self.request.failed_attempts + 1
        if attempts > MAX_FAILED_ATTEMPTS:
            self._move(
                "fail", run_row,
                f"{outcome.message} It was tried {MAX_FAILED_ATTEMPTS} times; progress was kept, "
                f"and Retry goes on from the last checkpoint.", data,
                ended_at=Now(), desired_state=DesiredState.IDLE,
            )  # fmt: skip
            return
        pause_secs = min(_LONGEST_PAUSE_SECS, _FIRST_PAUSE_SECS * 2 ** (attempts - 1))
        self._move(
            "interrupt", run_row,
            f"{outcome.message} Next attempt in {pause_secs:.0f} s.", {**data, "attempt": attempts},
            failed_attempts=attempts, next_attempt_at=lifecycle.in_secs(pause_secs),
        )  # fmt: skip

    def _cancel(self, run_row: Run) -> None:
        try:
            dropped = clean_up(self.request.target.dsn(), self.request.statement)
        except (EngineError, SecretUnavailableError) as error:
            self._move(
                "fail", run_row,
                f"Cancelled, but the shadow table could not be dropped: {error} Cancel it again.",
                {}, ended_at=Now(), desired_state=DesiredState.IDLE,
            )  # fmt: skip
            self._answer_open("The shadow table could not be dropped.")
            return
        self._move(
            "cancel", run_row, "Cancelled; what was copied was dropped.",
            {"dropped": dropped}, ended_at=Now(),
        )  # fmt: skip
        self._answer_open("Cancelled.")

    def _answer_open(self, answer: str) -> None:
        self.request.commands.filter(obeyed_at=None).update(obeyed_at=Now(), answer=answer)


class RunObserver:
    """What the engine tells, written to the control database under the run's token."""

    def __init__(self, request: MigrationRequest, run_row: Run, token: int, stop: RunStop) -> None:
        self._request = request
        self._run = run_row
        self._token = token
        self._stop = stop
        self._next_sample = 0.0
        self.migration: Migration | None = None
        self.volume_order: Command | None = None

    # -- Observer

    def phase_changed(self, phase: Phase) -> None:
        if phase.value in _FINAL_EVENTS:
            return
        lifecycle.renew_lease(self._request, self._token, LEASE_SECS, phase=phase.value)
        self._request.refresh_from_db(fields=["state"])
        if self._request.state == State.STOPPING:
            return
        name, message = {
            Phase.WAITING_FOR_CUTOVER: ("wait", "Every row is copied and verified."),
            Phase.CUT_OVER: ("cut_over", "The tables are being swapped."),
        }.get(phase, ("copy", "The run is under way."))
        if lifecycle.can(self._request, name):
            lifecycle.move(self._request, name, message, token=self._token, run=self._run)

    def progressed(self, progress: Progress) -> None:
        lifecycle.renew_lease(
            self._request,
            self._token,
            LEASE_SECS,
            phase=progress.phase.value,
            rows_copied=progress.rows_copied,
            rows_total=progress.rows_total,
            rows_checked=progress.rows_checked,
            fraction=progress.fraction,
            rows_per_sec=progress.rows_per_sec,
            eta_secs=progress.eta_secs,
            deltas_waiting=progress.deltas_waiting,
            deltas_applied=progress.deltas_applied,
            throttled=progress.throttled,
            position=progress.position,
        )
        self._obey()
        if time.monotonic() >= self._next_sample:
            self._next_sample = time.monotonic() + SAMPLE_EVERY_SECS
            self._take_sample(progress)

    def checkpoint_written(self, row: CheckpointRow) -> None:
        with transaction.atomic():
            self._assert_lease()
            Checkpoint.objects.create(
                request=self._request,
                run=self._run,
                engine_id=row.id,
                copier_watermark=row.copier_watermark,
                checksum_watermark=row.checksum_watermark,
                binlog_name=row.binlog_name,
                binlog_pos=row.binlog_pos,
                gtid_set=row.gtid_set,
                phase=row.phase,
                deferred_indexes=row.deferred_indexes,
                cutover_intent=row.cutover_intent,
                rows_copied=row.rows_copied,
                engine_version=row.engine_version,
                created_at=row.created_at,
            )

    def happened(self, event: EngineEvent) -> None:
        if event.kind in _FINAL_EVENTS:
            return  # the move that ends the run says it
        with transaction.atomic():
            self._assert_lease()
            if event.kind in ("started", "resumed"):
                self._note_begin(event)
            lifecycle.record(
                self._request,
                event.kind,
                event.message,
                run=self._run,
                data=event.data,
                level=event.level,
            )

    def may_cut_over(self) -> bool:
        """The last word before the rename: still ours, still wanted."""
        wanted = MigrationRequest.objects.filter(
            pk=self._request.pk, desired_state=DesiredState.RUN
        ).exists()
        return wanted and lifecycle.holds_lease(self._request, self._token)

    # -- the parts of it

    def _assert_lease(self) -> None:
        lifecycle.renew_lease(self._request, self._token, LEASE_SECS)

    def _note_begin(self, event: EngineEvent) -> None:
        changes: dict[str, Any] = {
            "method": event.data.get("method", ""),
            "threads": event.data.get("threads"),
        }
        if event.kind == "resumed":
            changes["resumed_from"] = Checkpoint.objects.filter(
                request=self._request, engine_id=event.data["checkpoint_id"]
            ).first()
        else:
            changes["rows_at_start"] = 0
        Run.objects.filter(pk=self._run.pk).update(**changes)
        # The order to start afresh is obeyed: the next run may resume.
        MigrationRequest.objects.filter(pk=self._request.pk).update(fresh_wanted=False)

    def _take_sample(self, progress: Progress) -> None:
        Sample.objects.create(
            run=self._run,
            phase=progress.phase.value,
            rows_copied=progress.rows_copied,
            rows_checked=progress.rows_checked,
            rows_per_sec=progress.rows_per_sec,
            deltas_waiting=progress.deltas_waiting,
            chunk_time_secs=progress.chunk_time_secs,
            replica_lag_secs=progress.replica_lag_secs,
        )

    def _obey(self) -> None:
        for command in self._request.commands.filter(obeyed_at=None).order_by("id"):
            if command.kind in (CommandKind.STOP, CommandKind.CANCEL):
                # Answered when the run has ended.
                self._stop.order()
            elif command.kind == CommandKind.SET_VOLUME:
                self._obey_volume(command)
            elif command.kind == CommandKind.CUT_OVER and self.migration is not None:
                self.migration.allow_cut_over()
                self._answer(command, "The swap is being tried.")

    def _obey_volume(self, command: Command) -> None:
        volume = int(command.argument["volume"])
        if volume == self._run.volume:
            self._answer(command, f"The run already has volume {volume}.")
            return
        self.volume_order = command
        self._answer(command, f"The run resumes from its checkpoint with volume {volume}.")
        lifecycle.record(
            self._request,
            "volume_changed",
            f"Volume {self._run.volume} → {volume}.",
            actor=command.actor,
            run=self._run,
            data={"volume": volume, "before": self._run.volume},
        )
        self._stop.order()

    def _answer(self, command: Command, answer: str) -> None:
        Command.objects.filter(pk=command.pk).update(obeyed_at=Now(), answer=answer)


def fail_unexpectedly(request_id: int, error: BaseException) -> None:
    """What a task's edge says when even the runner failed: the supervisor takes it from there."""
    logger.error("The task of request %s failed.", request_id, exc_info=error)
    request = MigrationRequest.objects.filter(pk=request_id).first()
    if request is not None:
        lifecycle.record(
            request,
            "runner_failed",
            f"The run's process failed ({type(error).__name__}); the supervisor takes it up again.",
            level=Level.ERROR,
        )
