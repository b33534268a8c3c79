"""Requests and orders as JSON-compatible documents, for the API and the command line."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User

from migrations_app import admission, commands
from migrations_app.models import Command, MigrationRequest

_OPTIONS = (
    "volume", "strict", "defer_cutover", "skip_drop", "autoscale", "defer_indexes",
    "checkpoint_max_age_secs", "start_after", "hours",
)  # fmt: skip
_LINE = (
    "id", "version", "title", "state", "phase", "fraction", "rows_copied", "rows_total",
    "rows_per_sec", "eta_secs", "throttled", "volume", "waiting_for", "message", "created_at",
    "updated_at", "last_heartbeat_at", "table",
)  # fmt: skip
_FULL = (
    "statement", "reason", "running_volume", "rows_checked", "deltas_waiting", "deltas_applied",
    "position", "method", "is_unsafe", "acknowledgement", "cutover_held", "approvals_missing",
    "snapshot", "submitted_at", "approved_at", "started_at", "ended_at",
)  # fmt: skip


def _values(row: object, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def line(request: MigrationRequest) -> dict[str, Any]:
    """One line of a list; needs its target and requester."""
    return {
        **_values(request, _LINE),
        "target": request.target.name,
        "requester": request.requester.get_username(),
    }


def full(request: MigrationRequest, user: User) -> dict[str, Any]:
    """Everything about a request, with what this person may order."""
    acknowledged_by = request.acknowledged_by
    return {
        **line(request),
        **_values(request, _FULL),
        "options": _values(request, _OPTIONS),
        "place_in_queue": admission.place(request),
        "acknowledged_by": acknowledged_by.get_username() if acknowledged_by else "",
        "approvals": [
            {
                "approver": one.approver.get_username(),
                **_values(one, ("comment", "created_at", "voided_at")),
            }
            for one in request.approvals.select_related("approver")
        ],
        "open_orders": [
            order(one) for one in request.commands.filter(obeyed_at=None).select_related("actor")
        ],
        "offers": [
            _values(one, ("kind", "label", "help", "is_allowed", "reason"))
            for one in commands.available_orders(request, user)
        ],
    }


def order(command: Command) -> dict[str, Any]:
    """An order and what became of it; needs its actor."""
    names = ("id", "kind", "argument", "asked_at", "obeyed_at", "result", "answer")
    return {**_values(command, names), "actor": command.actor.get_username()}
