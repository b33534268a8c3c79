"""The checkpoints page: what was saved, where, and which run went on from it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from migrations_app import words
from migrations_app.admin import checkpoint_words
from migrations_app.admin.columns import age, request_link
from migrations_app.admin.readonly import ReadOnlyAdmin
from migrations_app.markup import badge, clock
from migrations_app.models import Checkpoint


class StepFilter(admin.SimpleListFilter):
    """By the steps people know; to look up which phases there are would read every checkpoint."""

    title = "step"
    parameter_name = "step"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(step.phases[0].value, step.label) for step in words.STEPS]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[Checkpoint]
    ) -> QuerySet[Checkpoint]:
        for step in words.STEPS:
            if self.value() == step.phases[0].value:
                return queryset.filter(phase__in=step.phases)
        return queryset


@admin.register(Checkpoint)
class CheckpointAdmin(ReadOnlyAdmin[Checkpoint]):
    """One line a checkpoint, newest first."""

    list_display = (
        "saved",
        "of_request",
        "at",
        "step",
        "rows",
        "resumable_for",
        "run_number",
        "went_on",
    )
    list_display_links = ("saved",)
    list_filter = ("resumable", StepFilter, "request__target", "received_at")
    list_select_related = ("request__target", "run")
    search_fields = ("binlog_name", "gtid_set", "request__table_name", "request__title")
    fields = (
        "saved",
        "of_request",
        "run_number",
        "engine_id",
        "at",
        "standing",
        "log_expiry",
        "found",
        "gtid_set",
        "step",
        "rows",
        "copied",
        "copier_watermark",
        "checksum_watermark",
        "deferred_indexes",
        "cutover_intent",
        "engine_version",
        "went_on",
        "written",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Checkpoint]:
        return super().get_queryset(request).prefetch_related("resumed_by")

    @admin.display(description="Saved", ordering="id")
    def saved(self, checkpoint: Checkpoint) -> str:
        return age(checkpoint.received_at)

    @admin.display(description="Written, by the target's clock")
    def written(self, checkpoint: Checkpoint) -> str:
        return clock(checkpoint.created_at)

    @admin.display(description="Request")
    def of_request(self, checkpoint: Checkpoint) -> str:
        return request_link(checkpoint.request)

    @admin.display(description="Position")
    def at(self, checkpoint: Checkpoint) -> str:
        return format_html('<code class="sp-mono">{}</code>', checkpoint.position)

    @admin.display(description="Resumable")
    def resumable_for(self, checkpoint: Checkpoint) -> SafeString:
        found = checkpoint_words.standing(checkpoint, checkpoint.request, timezone.now())
        return badge(found.label, found.tone, found.sentence)

    @admin.display(description="Can be resumed")
    def standing(self, checkpoint: Checkpoint) -> str:
        return checkpoint_words.standing(checkpoint, checkpoint.request, timezone.now()).sentence

    @admin.display(description="Log may be deleted")
    def log_expiry(self, checkpoint: Checkpoint) -> str:
        return age(checkpoint.log_expires_at)

    @admin.display(description="This was found")
    def found(self, checkpoint: Checkpoint) -> str:
        return age(checkpoint.looked_at)

    @admin.display(description="Step", ordering="phase")
    def step(self, checkpoint: Checkpoint) -> str:
        return words.phase_label(checkpoint.phase)

    @admin.display(description="Rows copied", ordering="rows_copied")
    def rows(self, checkpoint: Checkpoint) -> str:
        return words.grouped(checkpoint.rows_copied)

    @admin.display(description="Copied completely")
    def copied(self, checkpoint: Checkpoint) -> str:
        return checkpoint_words.bounds(checkpoint.copier_watermark) or "nothing yet"

    @admin.display(description="Run")
    def run_number(self, checkpoint: Checkpoint) -> str:
        return f"run {checkpoint.run.number}"

    @admin.display(description="Resumed by")
    def went_on(self, checkpoint: Checkpoint) -> str:
        return ", ".join(f"run {run.number}" for run in checkpoint.resumed_by.all()) or "–"
