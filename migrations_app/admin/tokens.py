"""One's own API tokens: made, shown once, revoked. A superuser sees everybody's, never a secret."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from migrations_app import tokens
from migrations_app.admin.access import person
from migrations_app.admin.columns import age
from migrations_app.admin.links import admin_url
from migrations_app.admin.notices import is_colleague
from migrations_app.admin.readonly import ReadOnlyAdmin
from migrations_app.markup import badge
from migrations_app.models import ApiToken, Scope

_LONGEST_DAYS = 3650


class TokenForm(forms.Form):
    """What a token is for, and for how long."""

    name = forms.CharField(
        max_length=100,
        help_text="Of the program that will use it.",
        widget=forms.TextInput(attrs={"class": "sp-input"}),
    )
    scopes = forms.MultipleChoiceField(
        choices=Scope.choices,
        initial=[Scope.READ],
        widget=forms.CheckboxSelectMultiple,
        label="It may",
        error_messages={"required": "Choose what it may do."},
    )
    days = forms.IntegerField(
        min_value=1,
        max_value=_LONGEST_DAYS,
        initial=90,
        required=False,
        label="Days until it expires",
        help_text="Empty: it does not expire.",
        widget=forms.NumberInput(attrs={"class": "sp-input"}),
    )


@admin.register(ApiToken)
class TokenAdmin(ReadOnlyAdmin[ApiToken]):
    """Everybody with an account of these pages has tokens of their own."""

    list_display = ("name", "begins", "whose", "may_do", "state", "made", "used", "ends")
    list_display_links = ("name",)
    list_select_related = ("user",)
    fields = ("name", "begins", "whose", "may_do", "state", "made", "used", "ends")
    readonly_fields = fields
    show_add_link = True
    change_form_outer_after_template = "spirit/tokens/revoke.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.filter(user=person(request))

    def has_module_permission(self, request: HttpRequest) -> bool:
        return is_colleague(request)

    def has_view_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        if obj is not None and obj.user_id != request.user.pk and not request.user.is_superuser:
            return False
        return is_colleague(request)

    def has_add_permission(self, request: HttpRequest, *_args: Any) -> bool:
        return is_colleague(request)

    @admin.display(description="Begins with")
    def begins(self, token: ApiToken) -> str:
        return f"{token.prefix}…"

    @admin.display(description="Whose", ordering="user__username")
    def whose(self, token: ApiToken) -> str:
        return token.user.get_username()

    @admin.display(description="May")
    def may_do(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    @admin.display(description="State")
    def state(self, token: ApiToken) -> SafeString:
        if token.revoked_at is not None:
            return badge("revoked", "quiet")
        return badge("valid", "good") if token.is_valid(timezone.now()) else badge("over", "quiet")

    @admin.display(description="Made", ordering="created_at")
    def made(self, token: ApiToken) -> str:
        return age(token.created_at)

    @admin.display(description="Last used", ordering="last_used_at")
    def used(self, token: ApiToken) -> str:
        return age(token.last_used_at) if token.last_used_at else "never"

    @admin.display(description="Expires", ordering="expires_at")
    def ends(self, token: ApiToken) -> str:
        return age(token.expires_at) if token.expires_at else "never"

    # -- addresses

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(require_POST(self.revoke_view))
        return [
            path("<int:pk>/revoke/", revoke, name="migrations_app_apitoken_revoke"),
            *super().get_urls(),
        ]

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied("Tokens are for people with an account of these pages.")
        return self._make(request)

    @sensitive_variables("secret")
    def _make(self, request: HttpRequest) -> HttpResponse:
        """The form; or, this once, the secret. It is in this answer only: no cookie, no session."""
        form = TokenForm(request.POST if request.method == "POST" else None)
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": "Make an API token",
            "opts": self.opts,
            "form": form,
            "list_url": admin_url("apitoken_changelist"),
            "docs_url": reverse("api:openapi-view"),
        }
        if form.is_valid():
            days = form.cleaned_data["days"]
            token, secret = tokens.make(
                person(request),
                form.cleaned_data["name"],
                form.cleaned_data["scopes"],
                timezone.now() + dt.timedelta(days=days) if days else None,
            )
            context |= {"token": token, "secret": secret}
        answer = TemplateResponse(request, "spirit/tokens/make.html", context)
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        token = self.get_object(request, object_id)
        is_open = token is not None and token.revoked_at is None
        context = {"revoke_url": admin_url("apitoken_revoke", object_id) if is_open else ""}
        return super().change_view(
            request, object_id, form_url, {**(extra_context or {}), **context}
        )

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        token = get_object_or_404(self.get_queryset(request), pk=pk)
        tokens.revoke(token)
        messages.success(request, f"The token “{token.name}” is revoked.")
        return HttpResponseRedirect(admin_url("apitoken_changelist"))
