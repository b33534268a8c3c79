"""What a run reports and what it is ordered, by way of the control database, under its token."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from migrations_app import admission, drain, lifecycle, words
from migrations_app.engine import CheckpointRow, Level, Migration, Phase, Progress
from migrations_app.engine import Event as EngineEvent
from migrations_app.models import (
    Checkpoint,
    Command,
    CommandKind,
    CommandResult,
    DesiredState,
    MigrationRequest,
    Run,
    Sample,
    State,
)

SAMPLE_EVERY_SECS = 5.0
_FINAL_EVENTS = frozenset({Phase.COMPLETED.value, Phase.STOPPED.value, Phase.FAILED.value})


class RunStop:
    """The engine's stop signal: an order, or the worker is draining."""

    def __init__(self) -> None:
        self._ordered = threading.Event()

    def order(self) -> None:
        self._ordered.set()

    def is_set(self) -> bool:
        return self._ordered.is_set() or drain.is_raised()


class RunObserver:
    """What the engine tells, written to the control database under the run's token."""

    def __init__(self, request: MigrationRequest, run_row: Run, token: int, stop: RunStop) -> None:
        self._request = request
        self._run = run_row
        self._token = token
        self._stop = stop
        self._next_sample = 0.0
        self._throttled_since: dt.datetime | None = None
        self._told_throttled_long = False
        # From the consent to a swap until it is known whether it was made.
        self._swapping = False
        self.migration: Migration | None = None
        self.volume_order: Command | None = None

    # -- Observer

    def phase_changed(self, phase: Phase) -> None:
        if phase.value in _FINAL_EVENTS:
            return
        lifecycle.renew_lease(self._request, self._token, settings.LEASE_SECS, phase=phase.value)
        self._request.refresh_from_db(fields=["state"])
        if self._request.state == State.STOPPING:
            return
        name, message = {
            Phase.WAITING_FOR_CUTOVER: ("wait", self._waiting_words()),
            Phase.CUT_OVER: ("cut_over", "The tables are being swapped."),
        }.get(phase, ("copy", "The run is under way."))
        if lifecycle.can(self._request, name):
            lifecycle.move(self._request, name, message, token=self._token, run=self._run)

    def progressed(self, progress: Progress) -> None:
        lifecycle.renew_lease(
            self._request,
            self._token,
            settings.LEASE_SECS,
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
            throttled_since=self._note_throttling(progress.throttled),
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
        if event.kind in ("cutover_blocked", "cutover_held"):
            self._swapping = False
            self._tell_cut_over(event)
        with transaction.atomic():
            self._assert_lease()
            if event.kind in ("started", "resumed"):
                self._note_begin(event)
            elif event.kind == "threads_changed":
                Run.objects.filter(pk=self._run.pk).update(threads=event.data["threads"])
            lifecycle.record(
                self._request,
                event.kind,
                event.message,
                run=self._run,
                data=event.data,
                level=event.level,
            )

    def may_cut_over(self) -> bool:
        """The last word before the rename: still ours, still wanted, still in its hours."""
        self._request.refresh_from_db(fields=["desired_state", "cutover_held", "hours"])
        wanted = self._request.desired_state == DesiredState.RUN
        order = self._request.open_cut_over
        if wanted and not self._may_swap_now(order) and self.migration is not None:
            self.migration.hold_cut_over()
            return False
        self._swapping = wanted and lifecycle.holds_lease(self._request, self._token)
        return self._swapping

    def _waiting_words(self) -> str:
        waits = admission.hours_words(self._request) or "It waits for the order to cut over."
        return f"Every row is copied and verified. {waits}"

    def _may_swap_now(self, order: Command | None) -> bool:
        """Whether orders and hours allow the swap. order: the open one to cut over."""
        ordered = order is not None or not self._request.waits_for_order
        return ordered and admission.hours_are_open(self._request)

    # -- the parts of it

    def _assert_lease(self) -> None:
        lifecycle.renew_lease(self._request, self._token, settings.LEASE_SECS)

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

    def _note_throttling(self, reason: str) -> dt.datetime | None:
        """Since when the copy has been held back; when that is long, people are told once."""
        if not reason:
            self._throttled_since, self._told_throttled_long = None, False
            return None
        now = timezone.now()
        self._throttled_since = since = self._throttled_since or now
        secs = (now - since).total_seconds()
        if secs >= settings.THROTTLED_LONG_SECS and not self._told_throttled_long:
            self._told_throttled_long = True
            lifecycle.record(
                self._request,
                "throttled_long",
                f"The copy has been held back for {words.duration(secs)}: {reason}.",
                run=self._run,
                data={"since": since.isoformat(timespec="seconds"), "reason": reason},
                level=Level.WARNING,
            )
        return since

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
            elif command.kind == CommandKind.HOLD_CUTOVER and not self._swapping:
                self._obey_hold(command)
        self._open_gate()

    def _open_gate(self) -> None:
        """Let the engine swap when orders and hours allow it; it asks again right before."""
        self._request.refresh_from_db(fields=["defer_cutover", "cutover_held", "hours", "state"])
        migration = self.migration
        if migration is None or self._swapping or self._request.state == State.STOPPING:
            return
        order = self._request.open_cut_over
        if self._may_swap_now(order):
            migration.allow_cut_over()
        elif self._request.cutover_held:
            migration.hold_cut_over()
        if order is None or order.result != CommandResult.PENDING:
            return
        hours = admission.hours_words(self._request)
        if hours:
            self._say(order, hours)
        elif self._request.state == State.CUTTING_OVER:
            order.being_tried("The first attempt is under way.")

    def _say(self, command: Command, answer: str) -> None:
        """What an order waits for, written once."""
        if command.answer != answer:
            Command.objects.filter(pk=command.pk, obeyed_at=None).update(answer=answer)

    def _tell_cut_over(self, event: EngineEvent) -> None:
        order = self._request.open_cut_over
        if order is not None and event.kind == "cutover_blocked":
            order.being_tried(event.message)

    def _obey_hold(self, command: Command) -> None:
        if self.migration is not None:
            self.migration.hold_cut_over()
        command.settle("Held: the tables are not swapped until the cut-over is ordered.")

    def _obey_volume(self, command: Command) -> None:
        volume = int(command.argument["volume"])
        if volume == self._run.volume:
            command.settle(f"The run already has volume {volume}.")
            return
        self._request.refresh_from_db(fields=["state"])
        if self._request.state in (State.WAITING_FOR_CUTOVER, State.CUTTING_OVER):
            # A new run would only check again what is ready to be swapped.
            command.settle("Every row is copied and verified by now; kept for later runs.")
            return
        self.volume_order = command
        command.settle(f"The run resumes from its checkpoint with volume {volume}.")
        lifecycle.record(
            self._request,
            "volume_changed",
            f"Volume {self._run.volume} → {volume}.",
            actor=command.actor,
            run=self._run,
            data={"volume": volume, "before": self._run.volume},
        )
        self._stop.order()
