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
import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import close_old_connections, transaction
from django.db.models import Max
from django.db.models.functions import Now

from migrations_app import admission, answers, drain, lifecycle, mirrors, snapshots
from migrations_app.answers import Answer, settle_open
from migrations_app.crypto import SecretUnavailableError
from migrations_app.engine import (
    EngineError,
    Level,
    Migration,
    Outcome,
    OutcomeKind,
    clean_up,
)
from migrations_app.lifecycle import ConflictError, LeaseLostError
from migrations_app.models import DesiredState, MigrationRequest, Run, State
from migrations_app.runobserver import RunObserver, RunStop
from migrations_app.supervisor import dropped_words

logger = logging.getLogger(__name__)

MAX_FAILED_ATTEMPTS = 20
_FIRST_PAUSE_SECS = 5.0
_LONGEST_PAUSE_SECS = 600.0
# A run that lived this long had recovered from what failed the one before it.
_HEALTHY_SECS = 300.0


def worker_name() -> str:
    """Who holds a lease: the worker's name, which its watch knows, and this process."""
    worker = os.environ.get(drain.NAME_VARIABLE, socket.gethostname())
    return f"{worker}:{os.getpid()}"


def run(request_id: int) -> None:
    """Run the first queued request that may begin to its next rest; returns at once when none may.

    request_id: of the request whose wake-up this is. It may be another's turn.
    """
    if drain.is_raised():
        return  # the supervisor of another worker wakes somebody again
    close_old_connections()
    leased = admission.admit(worker_name(), settings.LEASE_SECS)
    if leased is None:
        # Its wake-up is used up; the supervisor sends another when it may begin.
        MigrationRequest.objects.filter(pk=request_id, state=State.QUEUED).update(enqueued_at=None)
        return
    Runner(leased).run()


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
        if not self._is_as_approved():
            return False
        run_row = self._open_run()
        stop = RunStop()
        observer = RunObserver(self.request, run_row, self.token, stop)
        began = time.monotonic()
        try:
            migration = Migration(
                self.request.target.dsn(),
                self.request.statement,
                self.request.options(),
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

    def _is_as_approved(self) -> bool:
        """Before the first row is copied: the table is still what the approvers saw. Otherwise the
        request needs a new look, or has been made already; it comes to rest here then."""
        request = self.request
        before = request.runs.first()
        was_lost = before is not None and before.outcome == Run.LOST
        is_new = request.fresh_wanted or not request.checkpoints.exists()
        if not is_new and not was_lost:
            return True
        try:
            drift = snapshots.drift(request)
        except snapshots.CannotLookError:
            return True  # the run says what is the matter, and tries again
        if drift is None or drift.begun:
            return True  # the engine compares a copy that has begun
        data = {"diff": drift.diff}
        if drift.already_made and was_lost:
            # Its run was lost when everything was done, and that had not been told yet.
            self._rest_as_completed(None, "The change has been made: the table is as asked for.")
            return False
        if not is_new:
            return True
        words = (
            f"Not begun, since something is not as it was approved: {drift.words}. Nothing was "
            f"changed. Its requester looks at it and submits it again."
        )
        try:
            with transaction.atomic():
                request.approvals.filter(voided_at=None).update(voided_at=Now())
                self._move(
                    "drift", None, words, data, answers.FAILED, desired_state=DesiredState.IDLE
                )
        except ConflictError:
            return True  # a person has just stopped or cancelled it: the run ends by that order
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
                request, self.token, settings.LEASE_SECS, running_volume=volume, started_at=Now()
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
            self._rest_as_completed(run_row, outcome.message, data, method=outcome.method.value)
        elif self.request.desired_state == DesiredState.CANCEL:
            self._cancel(run_row)
        elif self.request.desired_state == DesiredState.STOP:
            self._move("stopped", run_row, outcome.message, data, answers.STOPPED)
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
                "fail", run_row, outcome.message, data, answers.FAILED,
                ended_at=Now(), desired_state=DesiredState.IDLE,
            )  # fmt: skip

    def _rest_as_completed(
        self,
        run_row: Run | None,
        message: str,
        data: dict[str, Any] | None = None,
        **changes: Any,
    ) -> None:
        self._move(
            "complete", run_row, message, data or {}, answers.COMPLETED,
            ended_at=Now(), fraction=1.0, fresh_wanted=False, eta_secs=None, **changes,
        )  # fmt: skip

    def _move(
        self,
        name: str,
        run_row: Run | None,
        message: str,
        data: dict[str, Any],
        settled: Mapping[str, Answer] | None = None,
        **changes: Any,
    ) -> None:
        """Move the request and give its lease back. settled: what becomes of its open orders, in
        the same transaction; None: they stay open for the next run."""
        with transaction.atomic():
            lifecycle.move(
                self.request,
                name,
                message,
                token=self.token,
                run=run_row,
                data=data,
                changes=lifecycle.ends_lease(**changes),
            )
            if settled is not None:
                settle_open(self.request, settled)
            mirrors.look_soon(self.request)

    def _pause(
        self, run_row: Run, outcome: Outcome, data: dict[str, Any], lived_secs: float
    ) -> None:
        """After a transient failure: try again by itself, later and later, up to a limit."""
        attempts = 1 if lived_secs > _HEALTHY_SECS else self.request.failed_attempts + 1
        if attempts > MAX_FAILED_ATTEMPTS:
            self._move(
                "fail", run_row,
                f"{outcome.message} It was tried {MAX_FAILED_ATTEMPTS} times; progress was kept, "
                f"and Retry goes on from the last checkpoint.", data, answers.FAILED,
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
                {}, answers.NOT_CANCELLED, ended_at=Now(), desired_state=DesiredState.IDLE,
            )  # fmt: skip
            return
        self._move(
            "cancelled", run_row, f"Cancelled. {dropped_words(dropped)}",
            {"dropped": dropped}, answers.CANCELLED, ended_at=Now(),
        )  # fmt: skip


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
