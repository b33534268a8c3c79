"""Finding runs that lost their worker, and waking those that should run.

One look is safe to make from anywhere and as often as one likes: every step is a guarded move.
A request that a person stopped is never started here.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from django.db import close_old_connections, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django_q.models import Schedule

from migrations_app import admission, answers, lifecycle, mirrors, queue
from migrations_app.answers import Answer, settle_open
from migrations_app.crypto import SecretUnavailableError
from migrations_app.engine import EngineError, clean_up
from migrations_app.lifecycle import ConflictError, LeaseLostError
from migrations_app.models import DesiredState, MigrationRequest, Run, State

logger = logging.getLogger(__name__)

# A wake-up that nobody followed within this time is taken for lost.
_WAKE_AGAIN_SECS = 60.0
# name, task, minutes
_SCHEDULE = (
    ("supervise", queue.SUPERVISE_TASK, 1),
    ("look at checkpoints", queue.LOOK_TASK, 5),
    ("tidy up", queue.TIDY_TASK, 60),
    ("send notices", queue.NOTICES_TASK, 1),
)


def supervise() -> None:
    """One look: lost runs, pauses that are over, wake-ups that got lost."""
    close_old_connections()
    for request in lifecycle.expired():
        # Two supervisors may look at once, or the run may just have ended: then nothing is to do.
        with contextlib.suppress(ConflictError, LeaseLostError):
            _take_back(request)
    due = Q(next_attempt_at=None) | Q(next_attempt_at__lte=Now())
    for request in MigrationRequest.objects.filter(
        due, state=State.INTERRUPTED, desired_state=DesiredState.RUN
    ):
        with contextlib.suppress(ConflictError):
            _queue_again(request)
    _wake_queued()


def ensure_schedule() -> None:
    """What the cluster ``control`` does by itself; the workers look at runs, too."""
    for name, task, minutes in _SCHEDULE:
        values = {
            "func": task,
            "schedule_type": Schedule.MINUTES,
            "minutes": minutes,
            "repeats": -1,
            "cluster": queue.CONTROL_CLUSTER,
        }
        Schedule.objects.update_or_create(name=name, defaults=values)


def _take_back(request: MigrationRequest) -> None:
    """A run whose lease ran out: its token is void from here on, whatever it still does."""
    if not request.lease_owner and request.state == State.STOPPING:
        _finish_order(request)  # no run was under way when it was ordered
        return
    lost = Run.objects.filter(request=request, lease_token=request.lease_token, ended_at=None)
    message = (
        f"The run of worker {request.lease_owner} has not shown itself since "
        f"{request.last_heartbeat_at:%Y-%m-%d %H:%M:%S} UTC. Progress up to the last checkpoint is "
        f"kept."
        if request.last_heartbeat_at
        else "The run's worker was lost before it began."
    )
    with transaction.atomic():
        lifecycle.move(
            request,
            "lose",
            message,
            token=request.lease_token,
            run=lost.first(),
            data={"worker": request.lease_owner, "lease_token": request.lease_token},
            changes=lifecycle.ends_lease(next_attempt_at=None),
        )
        lost.update(ended_at=Now(), outcome=Run.LOST, message=message)
        mirrors.look_soon(request)
    _finish_order(request)


def _finish_order(request: MigrationRequest) -> None:
    """Bring a stop or a cancellation that has no run any more to its end."""
    if request.desired_state == DesiredState.STOP:
        words = "Stopped: its worker was lost while it was stopping."
        _move_and_settle(request, "stopped", words, answers.LOST_AND_STOPPED)
    elif request.desired_state == DesiredState.CANCEL:
        _cancel(request)


def _cancel(request: MigrationRequest) -> None:
    try:
        dropped = clean_up(request.target.dsn(), request.statement)
    except (EngineError, SecretUnavailableError) as error:
        words = f"Cancelled, but the shadow table could not be dropped: {error} Cancel it again."
        _move_and_settle(
            request, "fail", words, answers.NOT_CANCELLED,
            desired_state=DesiredState.IDLE, ended_at=Now(),
        )  # fmt: skip
        return
    name = "cancelled" if request.state == State.STOPPING else "cancel"
    words = f"Cancelled. {dropped_words(dropped)}"
    _move_and_settle(request, name, words, answers.CANCELLED, ended_at=Now())


def _move_and_settle(
    request: MigrationRequest,
    name: str,
    message: str,
    settled: Mapping[str, Answer],
    **changes: Any,
) -> None:
    with transaction.atomic():
        lifecycle.move(request, name, message, changes=changes)
        settle_open(request, settled)


def dropped_words(dropped: list[str]) -> str:
    """What was removed from the target, for people."""
    return f"Dropped: {', '.join(dropped)}." if dropped else "There was nothing to drop."


def _queue_again(request: MigrationRequest) -> None:
    with transaction.atomic():
        lifecycle.move(
            request,
            "requeue",
            "Queued again; it goes on from its last checkpoint.",
            # It keeps its place: whoever has begun goes on first.
            changes={"next_attempt_at": None},
        )
        queue.enqueue(request)


def _wake_queued() -> None:
    """Wake-ups for queued requests that may begin and have none, or whose last one went unheard."""
    unheard = timezone.now() - dt.timedelta(seconds=_WAKE_AGAIN_SECS)
    for request in admission.may_begin():
        if request.enqueued_at is None or request.enqueued_at < unheard:
            with transaction.atomic():
                queue.enqueue(request)
