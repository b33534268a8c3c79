"""Waking a worker for a request. The queue only wakes; whether it runs, the database decides."""

from __future__ import annotations

import logging

from django.db import transaction
from django.db.models.functions import Now
from django_q.tasks import async_task

from migrations_app.models import MigrationRequest

logger = logging.getLogger(__name__)

SUPERVISE_TASK = "migrations_app.tasks.supervise"
LOOK_TASK = "migrations_app.tasks.look_at_checkpoints"
TIDY_TASK = "migrations_app.tasks.tidy_up"
NOTICES_TASK = "migrations_app.tasks.send_notices"
RUN_TASK = "migrations_app.tasks.run_migration"
RUNNER_CLUSTER = "runner"
CONTROL_CLUSTER = "control"


def enqueue(request: MigrationRequest) -> None:
    """Send a wake-up for a queued request, once the present transaction is committed.

    A lost one is sent again by the supervisor; a second one finds the lease taken.
    """
    MigrationRequest.objects.filter(pk=request.pk).update(enqueued_at=Now())
    request_id = request.pk
    transaction.on_commit(
        lambda: async_task(
            RUN_TASK,
            request_id,
            cluster=RUNNER_CLUSTER,
            task_name=f"request {request_id}",
        )
    )


def enqueue_supervision() -> None:
    """Let the supervisor look soon, once the present transaction is committed; it looks by itself
    in any case."""
    transaction.on_commit(
        lambda: async_task(SUPERVISE_TASK, cluster=CONTROL_CLUSTER, task_name="supervise")
    )


def enqueue_look(request: MigrationRequest) -> None:
    """Let ``control`` look at a request's checkpoint, once the present transaction is committed."""
    request_id = request.pk
    transaction.on_commit(
        lambda: async_task(
            LOOK_TASK,
            request_id,
            cluster=CONTROL_CLUSTER,
            task_name=f"checkpoint of request {request_id}",
        )
    )


def enqueue_notices() -> None:
    """Have notices sent soon, once the present transaction is committed; they are looked for each
    minute in any case, so that a queue that does not answer is no reason to fail."""
    transaction.on_commit(_wake_for_notices)


def _wake_for_notices() -> None:
    try:
        async_task(NOTICES_TASK, cluster=CONTROL_CLUSTER, task_name="send notices")
    except Exception:
        logger.warning("The queue could not be woken to send notices.", exc_info=True)
