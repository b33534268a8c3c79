"""The requests list: tabs by what is waited for, and a line for each request."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.contrib.admin import SimpleListFilter
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest

from migrations_app.admin import needs
from migrations_app.admin.access import Reader
from migrations_app.admin.links import admin_url
from migrations_app.models import ACTIVE_STATES, MigrationRequest, State

TAB_PARAMETER = "tab"


@dataclasses.dataclass(frozen=True, slots=True)
class Tab:
    """A tab above the list, with how many requests it holds."""

    label: str
    url: str
    count: int
    is_active: bool


def tab_conditions(user: Reader) -> dict[str, tuple[str, Q]]:
    """Each tab's label and which requests it holds, in the order in which they are shown."""
    return {
        "needs_me": ("Needs me", needs.condition(user)),
        "active": ("Running", Q(state__in=ACTIVE_STATES)),
        "undecided": ("Needs approval", Q(state=State.SUBMITTED)),
        "resting": ("At rest", Q(state__in=[State.APPROVED, State.STOPPED, State.FAILED])),
        "mine": ("Mine", Q(requester_id=user.pk)),
        "ended": (
            "Ended",
            Q(state__in=[State.COMPLETED, State.REJECTED, State.CANCELLED]),
        ),
    }


def tabs(request: HttpRequest) -> list[Tab]:
    """The tabs with their counts, read in one query."""
    conditions = tab_conditions(request.user)
    counts = MigrationRequest.objects.aggregate(
        all=Count("pk"),
        **{name: Count("pk", filter=condition) for name, (_, condition) in conditions.items()},
    )
    chosen = request.GET.get(TAB_PARAMETER, "")
    base = admin_url("migrationrequest_changelist")
    return [
        Tab("All", base, counts["all"], not chosen),
        *(
            Tab(label, f"{base}?{TAB_PARAMETER}={name}", counts[name], chosen == name)
            for name, (label, _) in conditions.items()
        ),
    ]


class TabFilter(SimpleListFilter):
    """The chosen tab as a filter, so that it combines with the others and with the search."""

    title = "what it waits for"
    parameter_name = TAB_PARAMETER

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _) in tab_conditions(request.user).items()]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[MigrationRequest]
    ) -> QuerySet[MigrationRequest]:
        found = tab_conditions(request.user).get(self.value() or "")
        return queryset.filter(found[1]) if found else queryset
