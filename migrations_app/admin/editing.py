"""Who may still change what a request asks for."""

from __future__ import annotations

from django.contrib.auth.models import User

from migrations_app.admin.access import SUBMIT, may
from migrations_app.models import MigrationRequest, State

EDITABLE_STATES = frozenset({State.DRAFT, State.SUBMITTED, State.APPROVED})


def may_edit(req: MigrationRequest, user: User) -> bool:
    """Whether this person may change what was asked for: its requester, before it is started."""
    return req.requester_id == user.pk and req.state in EDITABLE_STATES and may(user, SUBMIT)
