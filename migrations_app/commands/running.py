"""Orders about runs: what the person wants is written down, and a worker carries it out.

They are rows, kept while no worker lives, and obeyed when one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from migrations_app import hours, lifecycle, offers, queue
from migrations_app.commands.common import (
    Arguments,
    OrderRefused,
    move,
    require,
    require_start,
    settled,
    take_back,
    write,
)
from migrations_app.engine import MAX_VOLUME, MIN_VOLUME
from migrations_app.models import (
    Command,
    CommandKind,
    DesiredState,
    MigrationRequest,
    State,
)

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def start(actor: User, request: MigrationRequest) -> Command:
    """Queue it: the next free worker takes it up, and resumes if there is a checkpoint."""
    return _queue(CommandKind.START, actor, request, fresh=False)


def retry(actor: User, request: MigrationRequest) -> Command:
    """Queue it again after a failure, with a new count of attempts."""
    return _queue(CommandKind.RETRY, actor, request, fresh=False)


def start_afresh(actor: User, request: MigrationRequest) -> Command:
    """Queue it, and let the run drop an existing checkpoint and shadow table first."""
    return _queue(CommandKind.START_AFRESH, actor, request, fresh=True)


def _queue(kind: CommandKind, actor: User, request: MigrationRequest, *, fresh: bool) -> Command:
    require(kind.value, request, actor)
    with transaction.atomic():
        move(
            request,
            "queue",
            f"Queued by {actor.get_username()}.",
            actor,
            {"order": kind.value, "fresh": fresh},
            desired_state=DesiredState.RUN,
            fresh_wanted=fresh,
            failed_attempts=0,
            next_attempt_at=None,
            queued_at=Now(),
            waiting_for="",
            ended_at=None,
        )
        command = settled(kind, request, actor, "Queued for the next free worker.")
        queue.enqueue(request)
    return command


def stop(actor: User, request: MigrationRequest) -> Command:
    """Let the run write a checkpoint and end; one that is only queued is held at once."""
    with transaction.atomic():
        # Whether a worker has taken it up is asked where no worker can do so meanwhile.
        request.refresh_from_db(from_queryset=MigrationRequest.objects.select_for_update())
        require("stop", request, actor)
        take_back(request, CommandKind.CUT_OVER, "Taken back: the run was ordered to stop.")
        if request.state in offers.NOT_RUNNING:
            move(
                request,
                "stopped",
                "Stopped before a worker took it up.",
                actor,
                desired_state=DesiredState.STOP,
                next_attempt_at=None,
                waiting_for="",
            )
            return settled(CommandKind.STOP, request, actor, "Stopped; no run was under way.")
        move(
            request,
            "stopping",
            f"{actor.get_username()} ordered it to stop.",
            actor,
            desired_state=DesiredState.STOP,
        )
        return write(CommandKind.STOP, request, actor)


def set_volume(actor: User, request: MigrationRequest, volume: int | None) -> Command:
    """Set the volume, 1 to 11: a run changes to it within seconds; later runs start with it."""
    require("set_volume", request, actor)
    highest = min(MAX_VOLUME, request.target.max_volume)
    if volume is None:
        raise OrderRefused(f"Say which volume, from {MIN_VOLUME} to {highest}.")
    if not MIN_VOLUME <= volume <= highest:
        raise OrderRefused(
            f"The volume must be between {MIN_VOLUME} and {highest} on {request.target}, "
            f"not {volume}."
        )
    with transaction.atomic():
        old = request.volume
        MigrationRequest.objects.filter(pk=request.pk).update(volume=volume)
        lifecycle.record(
            request,
            "volume_ordered",
            f"{actor.get_username()} set the volume from {old} to {volume}.",
            actor=actor,
            data={"old": old, "volume": volume},
        )
        request.refresh_from_db()
        if request.state == State.RUNNING:
            return write(CommandKind.SET_VOLUME, request, actor, {"volume": volume})
        words = "Kept for the next run."
        return settled(CommandKind.SET_VOLUME, request, actor, words, {"volume": volume})


def schedule(actor: User, request: MigrationRequest, said: Arguments) -> Command:
    """Say from when on, and in which hours, a request may begin and swap its tables."""
    require("schedule", request, actor)
    require_start(said.start_after)
    try:
        hours.parse(said.hours)
    except hours.HoursError as error:
        raise OrderRefused(str(error)) from None
    later = said.start_after.isoformat(timespec="minutes") if said.start_after else ""
    limits = [f"not before {later}"] if later else []
    limits += [f"only {said.hours.strip()} ({request.target.time_zone})"] if said.hours else []
    words = "; ".join(limits) or "whenever the target allows"
    with transaction.atomic():
        rows = MigrationRequest.objects.filter(
            pk=request.pk, state__in=offers.ORDERS["schedule"].states
        )
        if not rows.update(start_after=said.start_after, hours=said.hours.strip()):
            raise OrderRefused("A worker has taken it up at this moment: it has begun.")
        lifecycle.record(
            request,
            "scheduled",
            f"{actor.get_username()} scheduled it: {words}.",
            actor=actor,
            data={"start_after": later, "hours": said.hours},
        )
        request.refresh_from_db()
        argument = {"start_after": later, "hours": said.hours}
        return settled(CommandKind.SCHEDULE, request, actor, f"Kept: {words}.", argument)


def cut_over(actor: User, request: MigrationRequest) -> Command:
    """Let a run swap the tables, as soon as it is ready to."""
    require("cut_over", request, actor)
    with transaction.atomic():
        MigrationRequest.objects.filter(pk=request.pk).update(cutover_held=False)
        words = f"{actor.get_username()} ordered the cut-over."
        lifecycle.record(request, "cutover_ordered", words, actor=actor)
        request.refresh_from_db()
        return write(CommandKind.CUT_OVER, request, actor)


def hold_cutover(actor: User, request: MigrationRequest) -> Command:
    """Take the order to cut over back, or keep a run from swapping the tables by itself."""
    require("hold_cutover", request, actor)
    who = actor.get_username()
    with transaction.atomic():
        MigrationRequest.objects.filter(pk=request.pk).update(cutover_held=True)
        taken_back = take_back(request, CommandKind.CUT_OVER, f"Taken back by {who}.")
        words = f"{who} took the cut-over back." if taken_back else f"{who} holds the cut-over."
        lifecycle.record(request, "cutover_hold_ordered", words, actor=actor)
        request.refresh_from_db()
        if request.state in offers.RUNNING:
            return write(CommandKind.HOLD_CUTOVER, request, actor)
        words = "Kept for the next run: it waits for the order to cut over."
        return settled(CommandKind.HOLD_CUTOVER, request, actor, words)


def cancel(actor: User, request: MigrationRequest) -> Command:
    """Give the request up for good; what it left on the target is dropped by a worker."""
    require("cancel", request, actor)
    who = actor.get_username()
    with transaction.atomic():
        take_back(request, CommandKind.CUT_OVER, "Taken back: the request was cancelled.")
        if request.state == State.STOPPING:
            MigrationRequest.objects.filter(pk=request.pk).update(desired_state=DesiredState.CANCEL)
            words = f"{who} cancelled it while it was stopping."
            lifecycle.record(request, "cancel_ordered", words, actor=actor)
            return write(CommandKind.CANCEL, request, actor)
        if request.state in offers.RUNNING or request.runs.exists():
            # A worker drops the tables: that can take long, and the target may be down.
            move(
                request,
                "cancelling",
                f"{who} cancelled it: no run goes on, and what was copied is dropped.",
                actor,
                desired_state=DesiredState.CANCEL,
                next_attempt_at=None,
                waiting_for="",
            )
            command = write(CommandKind.CANCEL, request, actor)
            if request.lease_expires_at is None:
                queue.enqueue_supervision()
            return command
        words = "There was nothing to drop."
        move(
            request,
            "cancel",
            f"Cancelled by {who}. {words}",
            actor,
            {"dropped": []},
            desired_state=DesiredState.CANCEL,
            next_attempt_at=None,
            waiting_for="",
            ended_at=timezone.now(),
        )
        return settled(CommandKind.CANCEL, request, actor, words)
