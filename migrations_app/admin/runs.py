"""The runs page: each attempt of a worker, how it ended and what it said."""

from __future__ import annotations

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString

from migrations_app import words
from migrations_app.admin.columns import age, request_link
from migrations_app.admin.readonly import ReadOnlyAdmin
from migrations_app.markup import badge
from migrations_app.models import Run


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin[Run]):
    """One line a run, newest first."""

    list_display = ("name", "of_request", "ended_as", "began", "took", "rows", "volume", "said")
    list_display_links = ("name",)
    list_filter = ("outcome", "method", "request__target", "started_at")
    list_select_related = ("request__target",)
    search_fields = ("message", "worker", "request__table_name", "request__title")
    fields = (
        "name",
        "of_request",
        "ended_as",
        "message",
        "began",
        "took",
        "method",
        "volume",
        "threads",
        "rows",
        "resumed_from",
        "worker",
        "pid",
        "lease_token",
    )
    readonly_fields = fields

    @admin.display(description="Run", ordering="id")
    def name(self, run: Run) -> str:
        return f"run {run.number}"

    @admin.display(description="Request")
    def of_request(self, run: Run) -> str:
        return request_link(run.request)

    @admin.display(description="Ended as", ordering="outcome")
    def ended_as(self, run: Run) -> SafeString:
        shown = run.outcome or ("running" if run.ended_at is None else "ended")
        return badge(shown, words.outcome_tone(run.outcome))

    @admin.display(description="Began", ordering="started_at")
    def began(self, run: Run) -> str:
        return age(run.started_at)

    @admin.display(description="Took")
    def took(self, run: Run) -> str:
        return words.duration(((run.ended_at or timezone.now()) - run.started_at).total_seconds())

    @admin.display(description="Rows copied")
    def rows(self, run: Run) -> str:
        if run.ended_at is None:
            return f"from {words.grouped(run.rows_at_start)}"
        return f"{words.grouped(run.rows_at_start)} to {words.grouped(run.rows_at_end)}"

    @admin.display(description="What it said")
    def said(self, run: Run) -> str:
        return words.shortened(run.message) or "–"
