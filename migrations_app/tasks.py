"""What the queue calls. Nothing leaves these functions: the queue does not survive it."""

from __future__ import annotations

import logging

from migrations_app import mirrors, retention, runner, supervisor
from migrations_app.notices import sending

logger = logging.getLogger(__name__)


def run_migration(request_id: int) -> None:
    """On the cluster ``runner``: take a queued request's lease and run it to its next rest."""
    try:
        runner.run(request_id)
    except BaseException as error:
        # SystemExit and KeyboardInterrupt, too: either would crash the worker without a record.
        try:
            runner.fail_unexpectedly(request_id, error)
        except Exception:
            logger.exception("Request %s failed, and that could not be recorded.", request_id)


def supervise() -> None:
    """On the cluster ``control``: one look at runs that lost their workers."""
    try:
        supervisor.supervise()
    except Exception:
        logger.exception("A look of the supervisor failed; the next one follows.")


def look_at_checkpoints(request_id: int | None = None) -> None:
    """On the cluster ``control``: whether checkpoints can be resumed, of one request or all."""
    try:
        if request_id is None:
            mirrors.look_at_all()
        else:
            mirrors.look_at_one(request_id)
    except Exception:
        logger.exception("A look at checkpoints failed; the next one follows.")


def tidy_up() -> None:
    """On the cluster ``control``: remove what is too old to be kept."""
    try:
        retention.tidy_up()
    except Exception:
        logger.exception("Tidying up failed; it is tried again in an hour.")


def send_notices() -> None:
    """On the cluster ``control``: send the notices that are due."""
    try:
        sending.send_due()
    except Exception:
        logger.exception("Sending notices failed; it is tried again in a minute.")
