"""What must hold when the storm is over: answers, runs and tables that agree with each request."""

from __future__ import annotations

import collections
import time

from django.contrib.auth.models import User

from migrations_app import commands
from migrations_app.commands import OrderRefused
from migrations_app.models import LEASED_STATES, Command, MigrationRequest, Run, State
from playground.storm.scene import ADDED, SCHEMA, Scene

_CALM_SECS = 300.0
_POLL_SECS = 0.5
# A run that waits for people is calm, too.
_BUSY = (LEASED_STATES | {State.QUEUED, State.INTERRUPTED}) - {State.WAITING_FOR_CUTOVER}


def wait_for_calm(scene: Scene) -> list[str]:
    """Until nothing is under way; what is still, after a time, is a problem. Closed hours and
    held requests are opened first, so that whatever is queued can run."""
    operator = User.objects.get(username="operator0")
    MigrationRequest.objects.update(start_after=None, hours="")
    deadline = time.monotonic() + _CALM_SECS
    while time.monotonic() < deadline:
        busy = MigrationRequest.objects.filter(state__in=_BUSY)
        waiting = MigrationRequest.objects.filter(state=State.WAITING_FOR_CUTOVER)
        # Those that wait for people hold places that the queued ones need.
        for request in waiting if busy.exists() else ():
            try:
                commands.cut_over(operator, request)
            except OrderRefused:
                continue
        open_orders = Command.objects.filter(obeyed_at=None).exists()
        if not busy.exists() and not open_orders:
            return []
        time.sleep(_POLL_SECS)
    return [
        f"#{request.pk} is still {request.state} after {_CALM_SECS:.0f} s: {request.message}"
        for request in MigrationRequest.objects.filter(state__in=_BUSY)
    ]


def problems(scene: Scene) -> list[str]:
    """Everything that contradicts something else."""
    found = [
        f"order {order.kind} to #{order.request_id} of {order.asked_at} was never answered"
        for order in Command.objects.filter(obeyed_at=None)
    ]
    tables = scene.tables()
    for request in MigrationRequest.objects.order_by("pk"):
        found += [
            f"#{request.pk} ({request.state}): {text}" for text in _of(scene, request, tables)
        ]
    return found


def _of(scene: Scene, request: MigrationRequest, tables: set[str]) -> list[str]:
    table = request.table_name
    found = []
    if scene.sum_of(table) != scene.sums[table]:
        found.append(f"the rows of {table} are not what they were")
    columns = scene.server.execute(f"SHOW COLUMNS FROM {table}", schema=SCHEMA)
    is_changed = ADDED in [column[0] for column in columns]
    if is_changed is not (request.state == State.COMPLETED):
        found.append(f"{table} is {'changed' if is_changed else 'not changed'}")
    left = {name for name in tables if name.startswith(f"_{table}_")}
    found += _of_left_over(request, left)
    alive = Run.objects.filter(request=request, ended_at=None).count()
    expected = 1 if request.state == State.WAITING_FOR_CUTOVER else 0
    if alive != expected:
        found.append(f"{alive} of its runs have not ended")
    if (request.lease_expires_at is not None) is not bool(expected):
        found.append(f"lease of {request.lease_owner or 'nobody'} until {request.lease_expires_at}")
    ends = request.events.filter(kind__in=("completed", "cancelled", "rejected")).count()
    if ends != int(request.is_final):
        found.append(f"{ends} events say that it ended")
    return found


def _of_left_over(request: MigrationRequest, left: set[str]) -> list[str]:
    if left and (request.is_final or not request.runs.exists()):
        return [f"left on the server: {', '.join(sorted(left))}"]
    shadow = f"_{request.table_name}_new"
    if request.state == State.WAITING_FOR_CUTOVER and shadow not in left:
        return [f"it waits for its cut-over, and there is no {shadow}"]
    newest = request.latest_checkpoint
    if request.state == State.STOPPED and newest is not None and shadow not in left:
        return [f"it is stopped at {newest.position}, and there is no {shadow}"]
    return []


def states() -> dict[str, int]:
    """How many requests are in each state."""
    return dict(collections.Counter(MigrationRequest.objects.values_list("state", flat=True)))
