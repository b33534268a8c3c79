"""The targets page: which servers may be changed, how to log in there, and whether that works."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from migrations_app import crypto
from migrations_app.admin.access import person
from migrations_app.admin.links import admin_url
from migrations_app.admin.numbers import whole_number
from migrations_app.admin.readonly import TypedAdmin
from migrations_app.admin.target_form import TargetForm
from migrations_app.engine import Level, TargetReport, inspect_target
from migrations_app.models import Event, Target

SHOWN_FACTS = (
    ("version", "Version"),
    ("binlog_format", "Binary log format"),
    ("gtid_mode", "GTIDs"),
    ("binlog_expire_logs_seconds", "Binary logs are kept for (s)"),
    ("binlog_row_image", "Row image"),
    ("innodb_buffer_pool_size", "Buffer pool (bytes)"),
)


def report_of(target: Target) -> TargetReport:
    """Connect and look. A secret that cannot be read is a problem like any other."""
    try:
        return inspect_target(target.dsn())
    except crypto.SecretUnavailableError as error:
        return TargetReport("", [str(error)], {})


_POLICY = ("required_approvals", "approver_groups", "allowed_hours", "time_zone")


@admin.register(Target)
class TargetAdmin(TypedAdmin[Target]):
    """Targets with a connection test; whoever may only view them sees no form."""

    form = TargetForm
    list_display = ("name", "where", "user", "tls_mode", "required_approvals", "max_volume")
    list_display_links = ("name",)
    search_fields = ("name", "host", "database")
    actions = None
    list_filter_submit = True
    warn_unsaved_form = True
    change_form_outer_after_template = "spirit/targets/test.html"
    fieldsets = (
        (None, {"fields": ("name", ("host", "port"), "database")}),
        ("Account", {"fields": ("user", "password", ("tls_mode", "tls_ca_file"))}),
        ("Policy", {"fields": (*_POLICY, ("max_volume", "max_concurrent_runs"))}),
        ("Checks before a run", {"fields": ("lint_levels",)}),
        (
            "When a copy pauses",
            {
                "fields": (
                    "max_threads_running",
                    "replica_max_lag_secs",
                    "replicas",
                    "forget_replicas",
                )
            },
        ),
    )
    viewed_fieldsets = (
        (None, {"fields": ("name", "where", "user", "tls_mode")}),
        ("Policy", {"fields": (*_POLICY, "max_volume", "max_concurrent_runs")}),
    )

    @admin.display(description="Address", ordering="host")
    def where(self, target: Target) -> str:
        return format_html('<code class="sp-mono">{}</code>', target.address)

    def get_fieldsets(self, request: HttpRequest, obj: Target | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            return self.viewed_fieldsets
        return self.fieldsets

    def get_readonly_fields(self, request: HttpRequest, obj: Target | None = None) -> Any:
        return ("where",)

    def get_urls(self) -> list[URLPattern]:
        test = require_POST(self.admin_site.admin_view(self.test_view))
        return [
            path("<int:pk>/test/", test, name="migrations_app_target_test"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        may_test = whole_number(object_id) is not None and self.has_change_permission(request)
        test_url = admin_url("target_test", object_id) if may_test else ""
        context = {**(extra_context or {}), "test_url": test_url}
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Target, form: Any, change: bool) -> None:
        """Policies decide who may do what: who changed one stays on record. Never a value."""
        super().save_model(request, obj, form, change)
        who, fields = person(request), ", ".join(form.changed_data)
        Event.objects.create(
            kind="target_changed" if change else "target_added",
            level=Level.INFO.value,
            message=f"{who.get_username()} {'changed' if change else 'added'} the target "
            f"{obj.name}{f': {fields}' if change and fields else ''}.",
            data={"target": obj.pk, "fields": list(form.changed_data)},
            actor=who,
        )

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Test the connection as it is stored and say what was found, in words."""
        target = get_object_or_404(Target, pk=pk)
        if not self.has_change_permission(request, target):
            raise PermissionDenied("Only who may change a target may test its connection.")
        report = report_of(target)
        context = {
            "target": target,
            "report": report,
            "facts": [
                (label, report.facts[name]) for name, label in SHOWN_FACTS if name in report.facts
            ],
        }
        if request.headers.get("HX-Request"):
            return TemplateResponse(request, "spirit/targets/report.html", context)
        page = {
            **self.admin_site.each_context(request),
            **context,
            "title": f"Connection test of {target.name}",
            "opts": self.opts,
            "target_url": admin_url("target_change", target.pk),
        }
        return TemplateResponse(request, "spirit/targets/report_page.html", page)
