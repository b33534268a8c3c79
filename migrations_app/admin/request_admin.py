"""The requests pages: list, submit, request, and the addresses of its orders and its live parts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from migrations_app import words
from migrations_app.admin import (
    home,
    order_view,
    request_list,
    request_view,
    submit_check,
    submit_view,
)
from migrations_app.admin.access import SUBMIT, may
from migrations_app.admin.columns import age
from migrations_app.admin.links import request_url
from migrations_app.admin.readonly import TypedAdmin
from migrations_app.markup import bar, state_badge
from migrations_app.models import MigrationRequest


@admin.register(MigrationRequest)
class RequestAdmin(TypedAdmin[MigrationRequest]):
    """Requests are written by ``commands`` only: this page shows them and passes orders on."""

    list_display = ("change", "status", "progress", "on", "asked")
    list_display_links = None
    list_filter = (
        request_list.TabFilter,
        "state",
        "target",
        ("requester", admin.RelatedOnlyFieldListFilter),
        "created_at",
    )
    list_select_related = ("target", "requester")
    search_help_text = "Words of the statement, the title or the table; or a request's number."
    search_fields = ("statement", "title", "table_name", "=id")
    list_per_page = 50
    show_full_result_count = False
    list_filter_submit = True
    actions = None
    list_before_template = "spirit/requests/tabs.html"

    # -- what may be done here

    def has_add_permission(self, request: HttpRequest) -> bool:
        return may(request.user, SUBMIT)

    def has_change_permission(
        self, request: HttpRequest, obj: MigrationRequest | None = None
    ) -> bool:
        return False

    def has_delete_permission(
        self, request: HttpRequest, obj: MigrationRequest | None = None
    ) -> bool:
        return False

    # -- the list

    def get_queryset(self, request: HttpRequest) -> QuerySet[MigrationRequest]:
        # the statement may be long, and the list does not show it
        return super().get_queryset(request).defer("statement", "reason")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {
            "title": "Requests",
            "tabs": request_list.tabs(request) if self.has_view_permission(request) else [],
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    @admin.display(description="Change", ordering="id")
    def change(self, req: MigrationRequest) -> str:
        return format_html(
            '<a class="sp-strong sp-title" href="{}">#{} {}</a>',
            request_url(req.pk),
            req.pk,
            words.shortened(req.title or req.table, 70),
        )

    @admin.display(description="State", ordering="state")
    def status(self, req: MigrationRequest) -> SafeString:
        if not req.is_active or req.last_heartbeat_at is None:
            return state_badge(req.state)
        return format_html(
            '{}<br><span class="sp-faint sp-small">reported {}</span>',
            state_badge(req.state),
            age(req.last_heartbeat_at),
        )

    @admin.display(description="Progress")
    def progress(self, req: MigrationRequest) -> str:
        if not req.is_active or not req.phase:
            return "–"
        text = home.progress_words(req)
        return format_html(
            '<span class="sp-progress">{}<span class="sp-faint sp-small">{}</span></span>',
            bar(words.share(req.phase, req.fraction), text, size="small"),
            text,
        )

    @admin.display(description="Table", ordering="table_name")
    def on(self, req: MigrationRequest) -> str:
        return format_html(
            '<code class="sp-mono sp-breaks">{}</code><br>'
            '<span class="sp-faint sp-small">{}</span>',
            words.shortened(req.table, 80),
            req.target.name,
        )

    @admin.display(description="Asked by", ordering="created_at")
    def asked(self, req: MigrationRequest) -> str:
        return format_html(
            '{}<br><span class="sp-faint sp-small">{}</span>',
            req.requester.get_username(),
            age(req.created_at),
        )

    # -- the other pages

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path(
                "<int:pk>/live/",
                request_view.quick_live(wrap(request_view.live)),
                name="migrations_app_migrationrequest_live",
            ),
            path(
                "<int:pk>/order/<slug:kind>/",
                wrap(order_view.order),
                name="migrations_app_migrationrequest_order",
            ),
            path(
                "check/",
                wrap(submit_check.check),
                name="migrations_app_migrationrequest_check",
            ),
            path(
                "<int:pk>/edit/", wrap(self.edit_view), name="migrations_app_migrationrequest_edit"
            ),
            *super().get_urls(),
        ]

    def edit_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The submit page for a request that is there already."""
        return submit_view.edit(request, self, pk)

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return submit_view.submit(request, self)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        return request_view.page(request, self, object_id)
