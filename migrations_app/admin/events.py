"""The events page: everything that happened, to be read and filtered, never changed."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from migrations_app import exports, words
from migrations_app.admin.columns import age, request_link
from migrations_app.admin.readonly import ReadOnlyAdmin
from migrations_app.markup import badge, pretty_json
from migrations_app.models import Event


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin[Event]):
    """One line an event, newest first."""

    list_display = ("when", "what", "severity", "of_request", "said", "by")
    list_display_links = ("what",)
    list_filter = ("level", "kind", "request__target", "created_at")
    list_select_related = ("request__target", "run", "actor")
    list_before_template = "spirit/events/export.html"
    search_fields = ("message", "request__title", "request__table_name")
    fields = ("when", "what", "severity", "of_request", "run", "actor", "message", "details")
    readonly_fields = fields

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        return [
            path("export/<slug:form>/", view, name="migrations_app_event_export"),
            *super().get_urls(),
        ]

    def export_view(self, request: HttpRequest, form: str) -> HttpResponseBase:
        """The events that the page's filters leave, as a download."""
        if not self.has_view_permission(request):
            raise PermissionDenied("Your account may not see events.")
        if form not in exports.FORMATS:
            raise Http404("Events can be had as csv and json.")
        try:
            found = self.get_changelist_instance(request).get_queryset(request)
        except IncorrectLookupParameters:
            raise Http404("There are no events like these.") from None
        return exports.answer(found, form)

    @admin.display(description="When", ordering="id")
    def when(self, event: Event) -> str:
        return age(event.created_at)

    @admin.display(description="What", ordering="kind")
    def what(self, event: Event) -> str:
        return words.event_label(event.kind)

    @admin.display(description="Level", ordering="level")
    def severity(self, event: Event) -> SafeString:
        return badge(event.level, words.level_tone(event.level))

    @admin.display(description="Request")
    def of_request(self, event: Event) -> str:
        return request_link(event.request)

    @admin.display(description="Message")
    def said(self, event: Event) -> str:
        return words.shortened(event.message, 160)

    @admin.display(description="By")
    def by(self, event: Event) -> str:
        return event.actor.get_username() if event.actor else "–"

    @admin.display(description="Details")
    def details(self, event: Event) -> str:
        return format_html('<pre class="sp-sql">{}</pre>', pretty_json(event.data))
