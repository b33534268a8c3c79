"""Notice channels, the team's and everybody's own, and what became of each notice.

Others' own channels are nobody's business: not in lists, not by their pages' addresses, not even a
superuser's.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from migrations_app import crypto, words
from migrations_app.admin.access import may, person
from migrations_app.admin.columns import age, request_link
from migrations_app.admin.links import admin_url
from migrations_app.admin.notice_form import NoticeChannelForm
from migrations_app.admin.readonly import ReadOnlyAdmin, TypedAdmin
from migrations_app.markup import badge
from migrations_app.models import NoticeChannel, NoticeDelivery
from migrations_app.notices import addresses, posting
from migrations_app.notices.wording import test_notice

_MOST_KINDS_SHOWN = 4


def is_colleague(request: HttpRequest) -> bool:
    """Whether whoever asks has an account of these pages, and so may have channels of their own."""
    return request.user.is_active and request.user.is_staff


def seen_by(request: HttpRequest, model: str) -> Q:
    """Which channels a reader sees: their own, and the team's with the permission to view them."""
    own = Q(owner=person(request))
    return own | Q(owner=None) if may(request.user, f"view_{model}") else own


@admin.register(NoticeChannel)
class NoticeChannelAdmin(TypedAdmin[NoticeChannel]):
    """Team channels by permission; one's own for everybody with an account of these pages."""

    form = NoticeChannelForm
    list_display = ("name", "whose", "where", "told", "only_of", "is_on")
    list_display_links = ("name",)
    search_fields = ("name",)
    actions = None
    warn_unsaved_form = True
    readonly_fields = ("whose", "where", "told", "only_of")
    change_form_outer_after_template = "spirit/notices/test.html"

    @admin.display(description="Whose", ordering="owner")
    def whose(self, channel: NoticeChannel) -> str:
        return "Team" if channel.owner_id is None else "Your own"

    @admin.display(description="Address")
    def where(self, channel: NoticeChannel) -> SafeString:
        return format_html('<code class="sp-mono">{}</code>', addresses.shown(channel))

    @admin.display(description="Told of")
    def told(self, channel: NoticeChannel) -> str:
        if not channel.kinds:
            return "the usual"
        labels = [words.event_label(kind) for kind in channel.kinds]
        more = len(labels) - _MOST_KINDS_SHOWN
        shown = ", ".join(labels[:_MOST_KINDS_SHOWN])
        return f"{shown} and {more} more" if more > 0 else shown

    @admin.display(description="Targets")
    def only_of(self, channel: NoticeChannel) -> str:
        return ", ".join(target.name for target in channel.targets.all()) or "all"

    @admin.display(description="Switched on", ordering="is_active", boolean=True)
    def is_on(self, channel: NoticeChannel) -> bool:
        return channel.is_active

    def get_queryset(self, request: HttpRequest) -> QuerySet[NoticeChannel]:
        seen = super().get_queryset(request).filter(seen_by(request, "noticechannel"))
        return seen.prefetch_related("targets")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_colleague(request)

    def has_view_permission(self, request: HttpRequest, obj: NoticeChannel | None = None) -> bool:
        return self._may(request, "view", obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_colleague(request)

    def has_change_permission(self, request: HttpRequest, obj: NoticeChannel | None = None) -> bool:
        return self._may(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: NoticeChannel | None = None) -> bool:
        return self._may(request, "delete", obj)

    def _may(self, request: HttpRequest, what: str, channel: NoticeChannel | None) -> bool:
        if not is_colleague(request):
            return False
        if channel is None:
            return True
        if channel.owner_id is None:
            return may(request.user, f"{what}_noticechannel")
        return channel.owner_id == request.user.pk

    def get_fieldsets(self, request: HttpRequest, obj: NoticeChannel | None = None) -> Any:
        if obj is not None and not self.has_change_permission(request, obj):
            return ((None, {"fields": ("name", "whose", "where", "is_active")}), self._seen_what())
        whose: tuple[str, ...] = ("whose",)
        if obj is None:
            whose = ("is_shared",) if may(request.user, "add_noticechannel") else ()
        return (
            (None, {"fields": ("name", *whose, "address", "is_active")}),
            ("What is told", {"fields": ("kinds", "targets")}),
        )

    def _seen_what(self) -> tuple[str, dict[str, Any]]:
        return ("What is told", {"fields": ("told", "only_of")})

    def save_model(
        self, request: HttpRequest, obj: NoticeChannel, form: forms.ModelForm[Any], change: bool
    ) -> None:
        """A new channel is its maker's own, unless they may make the team's and want to."""
        if not change:
            wanted = form.cleaned_data.get("is_shared")
            shared = wanted and may(request.user, "add_noticechannel")
            obj.owner = None if shared else person(request)
        super().save_model(request, obj, form, change)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Its deliveries go with it, though nobody may delete them by themselves."""
        channels = list(objs)
        denied = {"notice channel" for obj in channels if not self._may(request, "delete", obj)}
        counts = {
            "channels": len(channels),
            "notices": NoticeDelivery.objects.filter(channel__in=channels).count(),
        }
        return [str(channel) for channel in channels], counts, denied, []

    def get_urls(self) -> list[URLPattern]:
        test = require_POST(self.admin_site.admin_view(self.test_view))
        return [
            path("<int:pk>/test/", test, name="migrations_app_noticechannel_test"),
            *super().get_urls(),
        ]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        channel = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if channel is not None:
            if self.has_change_permission(request, channel):
                context["test_url"] = admin_url("noticechannel_test", channel.pk)
            deliveries = admin_url("noticedelivery_changelist")
            context["deliveries_url"] = f"{deliveries}?channel__id__exact={channel.pk}"
        return super().change_view(request, object_id, form_url, context)

    def test_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Send a test to the address as it is stored, and say what came of it."""
        channel = get_object_or_404(self.get_queryset(request), pk=pk)
        if not self.has_change_permission(request, channel):
            raise PermissionDenied("Only who may change a channel may send a test through it.")
        notice = test_notice(channel.name, person(request).get_username())
        try:
            problem = posting.send(channel.address(), notice)
        except crypto.SecretUnavailableError as error:
            problem = str(error)
        context = {"channel": channel, "problem": problem}
        if request.headers.get("HX-Request"):
            return TemplateResponse(request, "spirit/notices/report.html", context)
        page = {
            **self.admin_site.each_context(request),
            **context,
            "title": f"Test of {channel.name}",
            "opts": self.opts,
            "channel_url": admin_url("noticechannel_change", channel.pk),
        }
        return TemplateResponse(request, "spirit/notices/report_page.html", page)


class StateFilter(admin.SimpleListFilter):
    """By what became of a notice."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("waiting", "Waiting"), ("delivered", "Delivered"), ("failed", "Given up")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[NoticeDelivery]
    ) -> QuerySet[NoticeDelivery]:
        match self.value():
            case "waiting":
                return queryset.filter(delivered_at=None, failed_at=None)
            case "delivered":
                return queryset.exclude(delivered_at=None)
            case "failed":
                return queryset.exclude(failed_at=None)
        return queryset


@admin.register(NoticeDelivery)
class NoticeDeliveryAdmin(ReadOnlyAdmin[NoticeDelivery]):
    """One line a notice and channel, newest first."""

    list_display = ("when", "what", "of_request", "through", "state", "attempts", "error")
    list_display_links = ("what",)
    # Not by channel: the choices would name other people's own.
    list_filter = (StateFilter, "event__kind", "event__request__target", "created_at")
    list_select_related = ("channel", "event__request__target")
    search_fields = ("error", "channel__name", "event__request__table_name")
    fields = ("when", "what", "of_request", "through", "state", "attempts", "next_one", "error")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[NoticeDelivery]:
        channels = NoticeChannel.objects.filter(seen_by(request, "noticedelivery"))
        return super().get_queryset(request).filter(channel__in=channels)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_colleague(request)

    def has_view_permission(self, request: HttpRequest, obj: NoticeDelivery | None = None) -> bool:
        # Which ones is the query's business.
        return is_colleague(request)

    @admin.display(description="Written", ordering="id")
    def when(self, delivery: NoticeDelivery) -> str:
        return age(delivery.created_at)

    @admin.display(description="What", ordering="event__kind")
    def what(self, delivery: NoticeDelivery) -> str:
        return words.event_label(delivery.event.kind)

    @admin.display(description="Request")
    def of_request(self, delivery: NoticeDelivery) -> str:
        return request_link(delivery.event.request)

    @admin.display(description="Channel", ordering="channel__name")
    def through(self, delivery: NoticeDelivery) -> SafeString:
        channel = delivery.channel
        url = admin_url("noticechannel_change", channel.pk)
        return format_html('<a href="{}">{}</a>', url, channel.name)

    @admin.display(description="State")
    def state(self, delivery: NoticeDelivery) -> SafeString:
        if delivery.delivered_at:
            return badge("delivered", "good")
        if delivery.failed_at:
            return badge("given up", "bad")
        return badge("waiting", "warn" if delivery.error else "quiet")

    @admin.display(description="Next attempt")
    def next_one(self, delivery: NoticeDelivery) -> str:
        return age(delivery.next_attempt_at)
