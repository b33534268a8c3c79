"""django-q's own pages, reduced to what is safe: to be read, with nothing to set in motion.

django-q offers to submit a finished task again. For a run that would be a second delivery of an
order nobody gave; runs are started by orders on the request's page, and only there. Schedules and
queued tasks belong to the worker, which creates what it needs.
"""

from __future__ import annotations

from typing import Any

import django_q.admin  # noqa: F401 - it registers its pages on import; they are replaced below
from django.contrib import admin
from django.http import HttpRequest
from django_q.models import Failure, OrmQ, Schedule, Success

from migrations_app.admin.readonly import ReadOnlyAdmin


class TaskAdmin(ReadOnlyAdmin[Any]):
    """Tasks that ended. Their payload is left out: it is of no use to people."""

    list_display = ("func", "cluster", "started", "stopped")
    list_filter = ("cluster",)
    fields = ("id", "func", "cluster", "started", "stopped", "attempt_count", "success")
    search_fields = ("func",)


class ScheduleAdmin(ReadOnlyAdmin[Any]):
    """What the control cluster does regularly."""

    list_display = ("name", "func", "schedule_type", "next_run", "cluster")
    fields = ("name", "func", "schedule_type", "minutes", "next_run", "cluster", "repeats")


class QueueAdmin(ReadOnlyAdmin[Any]):
    """Tasks not taken up yet."""

    list_display = ("id", "key", "lock")
    fields = ("key", "lock")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # the queue's rows are signed pickles of no use to people; administrators may count them
        return bool(request.user.is_superuser)


for model, page in (
    (Success, TaskAdmin),
    (Failure, TaskAdmin),
    (Schedule, ScheduleAdmin),
    (OrmQ, QueueAdmin),
):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
    admin.site.register(model, page)
