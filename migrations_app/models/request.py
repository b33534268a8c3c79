"""A request to change a table: the statement, its options, where it stands, who drives it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django_fsm import FSMField

from migrations_app import hours
from migrations_app.engine import (
    DEFAULT_VOLUME,
    MAX_VOLUME,
    MIN_VOLUME,
    DeferIndexes,
    Method,
    Options,
    Phase,
)
from migrations_app.models.target import Target

if TYPE_CHECKING:
    from migrations_app.models.checkpoint import Checkpoint
    from migrations_app.models.command import Command


class State(models.TextChoices):
    """Where a request stands; lifecycle.py has the ways between them."""

    DRAFT = "draft", "Draft"
    SUBMITTED = "submitted", "Needs approval"
    APPROVED = "approved", "Approved"
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    WAITING_FOR_CUTOVER = "waiting_for_cutover", "Waiting for cut-over"
    CUTTING_OVER = "cutting_over", "Cutting over"
    STOPPING = "stopping", "Stopping"
    STOPPED = "stopped", "Stopped"
    INTERRUPTED = "interrupted", "Interrupted"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    REJECTED = "rejected", "Rejected"
    CANCELLED = "cancelled", "Cancelled"


FINAL_STATES = frozenset({State.COMPLETED, State.REJECTED, State.CANCELLED})
# A run holds the lease, or ought to.
LEASED_STATES = frozenset(
    {State.RUNNING, State.WAITING_FOR_CUTOVER, State.CUTTING_OVER, State.STOPPING}
)
ACTIVE_STATES = LEASED_STATES | {State.QUEUED, State.INTERRUPTED}


WRITTEN_BY_PEOPLE = (
    "target", "statement", "schema_name", "table_name", "title", "reason", "volume", "strict",
    "defer_cutover", "skip_drop", "autoscale", "defer_indexes", "checkpoint_max_age_secs",
    "start_after", "hours", "updated_at",
)  # fmt: skip


class DesiredState(models.TextChoices):
    """What people want, which outlives workers: the supervisor never starts a stopped request."""

    IDLE = "idle", "Not to run"
    RUN = "run", "To run"
    STOP = "stop", "To stop"
    CANCEL = "cancel", "To be given up"


class MigrationRequest(models.Model):
    """One schema change asked for.

    ``version`` counts every change of state: two people acting at once get one winner. The lease
    fields name the run that may write; ``lease_token`` grows with each take-over, and a run with
    an older token is refused every write.
    """

    target = models.ForeignKey(Target, on_delete=models.PROTECT, related_name="requests")
    statement = models.TextField()
    schema_name = models.CharField(max_length=64)
    # Several, with commas, for a change of several tables.
    table_name = models.CharField(max_length=1000)
    title = models.CharField(max_length=200, blank=True)
    reason = models.TextField(blank=True)
    requester = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="migration_requests"
    )

    volume = models.PositiveSmallIntegerField(
        default=DEFAULT_VOLUME,
        validators=[MinValueValidator(MIN_VOLUME), MaxValueValidator(MAX_VOLUME)],
    )
    running_volume = models.PositiveSmallIntegerField(null=True, blank=True)
    strict = models.BooleanField(default=False)
    defer_cutover = models.BooleanField(default=False)
    skip_drop = models.BooleanField(default=False)
    autoscale = models.BooleanField(default=True)
    defer_indexes = models.CharField(
        max_length=10,
        default=DeferIndexes.AUTO.value,
        choices=[(choice.value, choice.value.capitalize()) for choice in DeferIndexes],
    )
    checkpoint_max_age_secs = models.PositiveIntegerField(default=7 * 24 * 3600)

    start_after = models.DateTimeField(
        null=True, blank=True, help_text="Not to begin before this time."
    )
    hours = models.CharField(
        max_length=200,
        blank=True,
        validators=[hours.validate],
        help_text="Only to begin, and to swap the tables, in these hours of the target's time "
        "zone, such as “Mon-Fri 22:00-06:00”; empty: whenever the target allows.",
    )

    # What lint and plan said when it was submitted; approvers decide by it.
    snapshot = models.JSONField(default=dict, blank=True, editable=False)
    is_unsafe = models.BooleanField(default=False, editable=False)
    acknowledgement = models.TextField(
        blank=True, help_text="Why the unsafe parts of the statement are meant."
    )
    acknowledged_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    acknowledged_at = models.DateTimeField(null=True, blank=True)

    state = FSMField(default=State.DRAFT, choices=State.choices, protected=True, max_length=30)
    desired_state = models.CharField(
        max_length=10, choices=DesiredState.choices, default=DesiredState.IDLE
    )
    version = models.PositiveIntegerField(default=0)
    fresh_wanted = models.BooleanField(default=False)
    cutover_held = models.BooleanField(default=False)
    message = models.TextField(blank=True)

    lease_owner = models.CharField(max_length=120, blank=True)
    lease_token = models.PositiveBigIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    failed_attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    enqueued_at = models.DateTimeField(null=True, blank=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    waiting_for = models.TextField(blank=True)
    expiry_warned_at = models.DateTimeField(null=True, blank=True)

    phase = models.CharField(max_length=30, blank=True)
    method = models.CharField(max_length=10, blank=True, default=Method.UNDECIDED.value)
    rows_copied = models.PositiveBigIntegerField(default=0)
    rows_total = models.PositiveBigIntegerField(default=0)
    rows_checked = models.PositiveBigIntegerField(default=0)
    fraction = models.FloatField(default=0.0)
    rows_per_sec = models.FloatField(default=0.0)
    eta_secs = models.FloatField(null=True, blank=True)
    deltas_waiting = models.PositiveBigIntegerField(default=0)
    deltas_applied = models.PositiveBigIntegerField(default=0)
    throttled = models.TextField(blank=True)
    throttled_since = models.DateTimeField(null=True, blank=True)
    position = models.CharField(max_length=300, blank=True)
    last_heartbeat_at = models.DateTimeField(null=True, blank=True)

    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-id",)
        indexes = (
            models.Index(fields=("state", "-id"), name="request_state"),
            models.Index(fields=("target", "state"), name="request_target_state"),
            models.Index(fields=("requester", "state"), name="request_requester_state"),
            models.Index(fields=("state", "lease_expires_at"), name="request_lease"),
        )
        constraints = (
            models.CheckConstraint(
                condition=models.Q(volume__gte=MIN_VOLUME, volume__lte=MAX_VOLUME),
                name="request_volume_1_to_11",
            ),
            # The model's own word: what is unsafe goes no further than a draft without a reason.
            models.CheckConstraint(
                condition=models.Q(is_unsafe=False)
                | ~models.Q(acknowledgement="")
                | models.Q(state__in=("draft", "rejected", "cancelled")),
                name="request_unsafe_is_acknowledged",
            ),
        )
        permissions = (
            ("submit_migrationrequest", "Can write and submit requests"),
            ("approve_migrationrequest", "Can approve or reject requests of others"),
            ("operate_migrationrequest", "Can start, stop, speed up, cut over and cancel requests"),
        )

    def __str__(self) -> str:
        return f"#{self.pk} {self.title or self.table}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save what its requester wrote; of a row that is there, never what lifecycle and the
        run's own guarded updates write: this object may have been read before them."""
        if not self._state.adding and kwargs.get("update_fields") is None:
            kwargs["update_fields"] = WRITTEN_BY_PEOPLE
        super().save(*args, **kwargs)

    def refresh_from_db(
        self, using: str | None = None, fields: Any = None, from_queryset: Any = None
    ) -> None:
        """Read anew. The state is protected against assignment, but this is no transition."""
        names = [field.attname for field in self._meta.concrete_fields]
        wanted = names if fields is None else list(fields)
        if "state" in wanted:
            self.__dict__.pop("state", None)
        super().refresh_from_db(using, wanted, from_queryset)

    @property
    def table(self) -> str:
        """The table as people name it: ``schema.table``."""
        return f"{self.schema_name}.{self.table_name}"

    @property
    def is_final(self) -> bool:
        return self.state in FINAL_STATES

    @property
    def is_active(self) -> bool:
        """Whether a worker drives it, or is about to."""
        return self.state in ACTIVE_STATES

    @property
    def valid_approvals(self) -> int:
        return self.approvals.filter(voided_at=None).count()

    @property
    def approvals_missing(self) -> int:
        return max(0, self.target.required_approvals - self.valid_approvals)

    @property
    def latest_checkpoint(self) -> Checkpoint | None:
        return self.checkpoints.order_by("-id").first()

    @property
    def waits_for_order(self) -> bool:
        """Whether its tables are only swapped when a person orders it."""
        return self.defer_cutover or self.cutover_held

    @property
    def open_cut_over(self) -> Command | None:
        """The order to cut over that is not settled yet."""
        return self.commands.filter(kind="cut_over", obeyed_at=None).first()

    def lease_is_held(self, now: dt.datetime) -> bool:
        """Whether a run may be alive: its lease has not expired yet."""
        return self.lease_expires_at is not None and self.lease_expires_at > now

    def options(self) -> Options:
        """The engine's options for the next run. Raises crypto.SecretUnavailableError."""
        limits: tuple[tuple[str, int], ...] = ()
        if self.target.max_threads_running is not None:
            limits = (("Threads_running", self.target.max_threads_running),)
        return Options(
            volume=min(self.volume, self.target.max_volume),
            strict=self.strict,
            # What the run may do then is said by its observer.
            defer_cutover=self.waits_for_order or bool(self.hours or self.target.allowed_hours),
            skip_drop=self.skip_drop,
            autoscale=self.autoscale,
            defer_indexes=DeferIndexes(self.defer_indexes),
            checkpoint_max_age_secs=float(self.checkpoint_max_age_secs),
            replica_dsns=self.target.replica_dsns,
            replica_max_lag_secs=float(self.target.replica_max_lag_secs),
            max_load=limits,
            run_token=self._run_token(),
            fresh=self.fresh_wanted,
        )

    def _run_token(self) -> str:
        """Whoever runs this request next has taken its lease, and may end what is left of a run."""
        if self._state.adding:
            return ""
        return f"request-{self.pk}-{self.created_at.timestamp():.6f}"

    def progress(self) -> dict[str, Any]:
        """The latest reading, as its columns."""
        return {
            "phase": self.phase,
            "rows_copied": self.rows_copied,
            "rows_total": self.rows_total,
            "rows_checked": self.rows_checked,
            "fraction": self.fraction,
            "rows_per_sec": self.rows_per_sec,
            "eta_secs": self.eta_secs,
            "deltas_waiting": self.deltas_waiting,
            "throttled": self.throttled,
            "verifying": self.phase == Phase.CHECKSUM,
        }
