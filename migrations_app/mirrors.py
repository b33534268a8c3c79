"""Whether a request's checkpoint can still be resumed: asked of the target, kept with its mirror.

The target is asked by the question that its next run would ask (``engine/saved``). What it says is
written on the newest mirror of the request; older ones do not count any more. A target that does
not answer changes no finding: the mirror says since when it could not be asked. Nothing is written
when nothing but the time of the look is new.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import random
import time

from django.db import close_old_connections, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from migrations_app import expiries, queue
from migrations_app.crypto import SecretUnavailableError
from migrations_app.engine import EngineError, Options, TransientError, parse_change
from migrations_app.engine.saved import Saved, look_up
from migrations_app.models import Checkpoint, MigrationRequest, State
from migrations_app.models.request import FINAL_STATES

logger = logging.getLogger(__name__)

RESTING = frozenset({State.STOPPED, State.INTERRUPTED, State.FAILED, State.QUEUED})
# A run that swaps its tables is asked nothing: they are somewhere in between.
RUNNING = frozenset({State.RUNNING, State.WAITING_FOR_CUTOVER})
SUPERSEDED = "A newer checkpoint counts."
ENDED = "The request has ended: it is not needed any more."
NOT_ASKED = "The target could not be asked since"

# For each answer of a target.
_ANSWER_SECS = 10
# For all of them: the cluster ends a task after two minutes. What is left is asked next time.
_ROUND_SECS = 60.0
# Of requests that have ended, in one round; SQLite takes no more values than this in a statement.
_SETTLED_ROWS = 500
# A forecast moves with every look; less than this is no news.
_SAME_FORECAST_SECS = 900.0
_SAME_FORECAST_PART = 0.02


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What a look at the target found.

    resumable, why_not: of the newest mirror; is_lost: whether the next start has nothing to go on
    from, which is not the same where another run's checkpoint counts; log_expires_at, log_reason:
    when its log may be deleted at the earliest, and how that was found; oldest_log, newest_log: the
    files that the target has.
    """

    resumable: bool
    why_not: str
    is_lost: bool
    log_expires_at: dt.datetime | None
    log_reason: str
    oldest_log: str = ""
    newest_log: str = ""


def look_at_all() -> None:
    """Look at every request that has a checkpoint and may need it, as far as the time allows.

    A target that does not answer is not asked again in the same round.
    """
    close_old_connections()
    deadline = time.monotonic() + _ROUND_SECS
    _settle_ended()
    silent: dict[int, str] = {}
    requests = list(_to_look_at())
    # When the time is too short for all, it is not always the same ones that are left out.
    random.shuffle(requests)
    for request in requests:
        if time.monotonic() > deadline:
            logger.warning("Not every checkpoint could be looked at in %.0f s.", _ROUND_SECS)
            return
        if request.target_id in silent:
            _note_silence(request, silent[request.target_id])
            continue
        try:
            look(request)
        except TransientError as error:
            silent[request.target_id] = str(error)


def look_soon(request: MigrationRequest) -> None:
    """Let ``control`` look at one request, once the present transaction is committed."""
    queue.enqueue_look(request)


def look_at_one(request_id: int) -> None:
    """What ``look_soon`` asks for; nothing when the request has moved on."""
    close_old_connections()
    request = _to_look_at().filter(pk=request_id).first()
    if request is not None:
        try:
            look(request)
        except TransientError as error:
            logger.info("The checkpoint of #%s was not looked at: %s", request_id, error)


def _settle_ended() -> None:
    """What was saved for a request that has ended since yesterday serves nothing any more."""
    lately = timezone.now() - dt.timedelta(days=1)
    rows = Checkpoint.objects.filter(
        request__state__in=FINAL_STATES, request__ended_at__gte=lately
    ).exclude(resumable=False)
    pks = list(rows.order_by("pk").values_list("pk", flat=True)[:_SETTLED_ROWS])
    if pks:
        Checkpoint.objects.filter(pk__in=pks).update(
            resumable=False, why_not=ENDED, log_expires_at=None, looked_at=timezone.now()
        )


def _to_look_at() -> QuerySet[MigrationRequest]:
    """fresh_wanted: it was ordered to begin again, so its checkpoint matters no more."""
    saved = Checkpoint.objects.filter(request=OuterRef("pk"))
    return (
        MigrationRequest.objects.filter(
            Exists(saved), state__in=RESTING | RUNNING, fresh_wanted=False
        )
        .select_related("target")
        .order_by("id")
    )


def look(request: MigrationRequest) -> None:
    """Ask the request's target once, and keep what it says.

    Raises TransientError when it did not answer; that is noted by then.
    """
    try:
        saved = _ask(request)
    except (EngineError, SecretUnavailableError) as error:
        _note_silence(request, str(error))
        if isinstance(error, TransientError):
            raise
        return
    newest = request.latest_checkpoint
    # An order or a run may have moved it while the target was asked: what it said is old then.
    if newest is None or not _is_where_it_was(request):
        return
    if request.state in RUNNING and not saved.resumable:
        return  # it is being begun again at this moment, or about to end
    finding = _judge(request, newest, saved)
    _keep(request, newest, finding)
    _supersede(newest)
    if request.state in RESTING and not finding.is_lost:
        expiries.warn(request, newest, finding.log_reason)
    elif request.state in RUNNING:
        expiries.forget(request)


def _ask(request: MigrationRequest) -> Saved:
    target = request.target
    dsn = dataclasses.replace(target.dsn(), answer_secs=_ANSWER_SECS)
    options = Options(checkpoint_max_age_secs=float(request.checkpoint_max_age_secs))
    return look_up(dsn, parse_change(request.statement, target.database), options)


def _is_where_it_was(request: MigrationRequest) -> bool:
    return MigrationRequest.objects.filter(pk=request.pk, version=request.version).exists()


def _judge(request: MigrationRequest, newest: Checkpoint, saved: Saved) -> Finding:
    expires_at = None
    if saved.expiry.hours is not None and saved.newest is not None:
        expires_at = timezone.now() + dt.timedelta(hours=saved.expiry.hours)
    why_lost = _why_lost(saved)
    if why_lost:
        return Finding(False, why_lost, True, None, "", saved.oldest_log, saved.newest_log)
    why_not = _why_other(request, newest, saved)
    return Finding(
        not why_not,
        why_not,
        False,
        expires_at,
        saved.expiry.reason,
        saved.oldest_log,
        saved.newest_log,
    )


def _why_lost(saved: Saved) -> str:
    """Why the next start cannot go on from anything, "" when it can; a sentence."""
    if saved.problem:
        return saved.problem
    if saved.nothing:
        names = saved.names
        return (
            f"The checkpoint table {names.checkpoint} and the shadow table {names.shadow} are not "
            f"on the target any more: somebody has dropped them."
        )
    if not saved.resumable:
        return _sentence(saved.next_run.reason)
    return ""


def _why_other(request: MigrationRequest, newest: Checkpoint, saved: Saved) -> str:
    """Why the next start goes on from another checkpoint than the newest one recorded here."""
    row = saved.newest
    if request.state in RUNNING or row is None:
        return ""
    if (row.id, row.position) == (newest.engine_id, newest.position):
        return ""
    return (
        f"{SUPERSEDED} The target has number {row.id} at {row.position}, which was not recorded "
        f"here: another run wrote it."
    )


def _sentence(reason: str) -> str:
    text = reason.strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def _keep(request: MigrationRequest, newest: Checkpoint, finding: Finding) -> None:
    """Write a finding that is new, and with it the event that a checkpoint is of no use."""
    found = (finding.resumable, finding.why_not, finding.oldest_log, finding.newest_log)
    known = (newest.resumable, newest.why_not, newest.oldest_log, newest.newest_log)
    if known == found and _is_same_forecast(newest.log_expires_at, finding.log_expires_at):
        return
    with transaction.atomic():
        rows = Checkpoint.objects.filter(pk=newest.pk)
        # Two looks at once: one of them tells.
        is_news = not finding.resumable and rows.exclude(resumable=False).exists()
        rows.update(
            resumable=finding.resumable,
            why_not=finding.why_not,
            log_expires_at=finding.log_expires_at,
            oldest_log=finding.oldest_log,
            newest_log=finding.newest_log,
            looked_at=timezone.now(),
        )
        if is_news and finding.is_lost and _is_where_it_was(request):
            expiries.tell_stale(request, newest, finding.why_not)
    newest.refresh_from_db()


def _is_same_forecast(old: dt.datetime | None, new: dt.datetime | None) -> bool:
    if old is None or new is None:
        return old is new
    left_secs = abs((new - timezone.now()).total_seconds())
    moved_secs = abs((new - old).total_seconds())
    return moved_secs <= max(_SAME_FORECAST_SECS, left_secs * _SAME_FORECAST_PART)


def _supersede(newest: Checkpoint) -> None:
    older = Checkpoint.objects.filter(request=newest.request_id, pk__lt=newest.pk)
    older = older.exclude(resumable=False)
    # Asked first: an UPDATE of no rows would still take the write lock of SQLite.
    if older.exists():
        older.update(
            resumable=False, why_not=SUPERSEDED, log_expires_at=None, looked_at=timezone.now()
        )


def _note_silence(request: MigrationRequest, error: str) -> None:
    """The former finding stays; since when it could not be looked at again is said once."""
    newest = request.latest_checkpoint
    if newest is None or newest.resumable is False:
        return
    if not newest.why_not.startswith(NOT_ASKED):
        now = timezone.now()
        words = f"{NOT_ASKED} {now.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC: {error}"
        Checkpoint.objects.filter(pk=newest.pk).update(why_not=words, looked_at=now)
        newest.why_not = words
    # What was foretold comes true without being asked for.
    if request.state in RESTING and newest.resumable:
        expiries.warn(request, newest, newest.why_not)
