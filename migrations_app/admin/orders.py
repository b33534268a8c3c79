"""The orders page: who ordered what, and what became of it."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html

from migrations_app import words
from migrations_app.admin.columns import age, request_link
from migrations_app.admin.readonly import ReadOnlyAdmin
from migrations_app.markup import pretty_json
from migrations_app.models import Command


@admin.register(Command)
class CommandAdmin(ReadOnlyAdmin[Command]):
    """One line an order, newest first."""

    list_display = ("asked", "what", "of_request", "by", "obeyed", "said")
    list_display_links = ("what",)
    list_filter = ("kind", "request__target", "asked_at")
    list_select_related = ("request__target", "actor")
    search_fields = ("answer", "request__table_name", "request__title")
    fields = ("asked", "what", "of_request", "by", "details", "obeyed", "answer")
    readonly_fields = fields

    @admin.display(description="Ordered", ordering="id")
    def asked(self, order: Command) -> str:
        return age(order.asked_at)

    @admin.display(description="Order", ordering="kind")
    def what(self, order: Command) -> str:
        volume = order.argument.get("volume") if isinstance(order.argument, dict) else None
        label = order.get_kind_display()
        return f"{label} to {volume}" if volume else label

    @admin.display(description="Request")
    def of_request(self, order: Command) -> str:
        return request_link(order.request)

    @admin.display(description="By", ordering="actor__username")
    def by(self, order: Command) -> str:
        return order.actor.get_username()

    @admin.display(description="Carried out", ordering="obeyed_at")
    def obeyed(self, order: Command) -> str:
        return age(order.obeyed_at) if order.obeyed_at else "not yet"

    @admin.display(description="Answer")
    def said(self, order: Command) -> str:
        return words.shortened(order.answer) or "–"

    @admin.display(description="Details")
    def details(self, order: Command) -> str:
        return format_html('<pre class="sp-sql">{}</pre>', pretty_json(order.argument))
