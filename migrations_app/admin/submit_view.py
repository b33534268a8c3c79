"""The submit page: write a change, keep it as a draft, or send it to the approvers.

What was typed is stored as a draft before the target is asked, so that neither a refusal nor a
server that is slow to answer can lose it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from migrations_app import commands
from migrations_app.admin.access import SUBMIT, may, person
from migrations_app.admin.editing import may_edit
from migrations_app.admin.links import admin_url, request_url
from migrations_app.admin.numbers import whole_number
from migrations_app.admin.request_view import find
from migrations_app.admin.submit_form import HOUR_SECS, OPTION_FIELDS, SubmitForm
from migrations_app.admin.volume_words import volume_steps
from migrations_app.models import MigrationRequest, Target

if TYPE_CHECKING:
    from migrations_app.admin.request_admin import RequestAdmin

WHAT_FIELDS = ("target", "statement")
WHY_FIELDS = ("acknowledgement", "title", "reason")
MORE_FIELDS = ("start_after", "hours", "defer_indexes", "checkpoint_max_age_hours")
_OF_ONE_TIME = ("acknowledgement", "start_after")
CLONED_FIELDS = (
    *(name for name in SubmitForm.Meta.fields if name not in _OF_ONE_TIME),
    "checkpoint_max_age_secs",
)


def submit(request: HttpRequest, page_admin: RequestAdmin) -> HttpResponse:
    """A new request; ``?like=NUMBER`` begins with another one's statement and options."""
    if not may(request.user, SUBMIT):
        raise PermissionDenied("Only requesters submit changes.")
    if request.method != "POST":
        return _show(request, page_admin, SubmitForm(initial=_like(request)))
    return _take(request, page_admin, MigrationRequest(requester=person(request)))


def edit(request: HttpRequest, page_admin: RequestAdmin, pk: int) -> HttpResponse:
    """A request that has not been started; what approvers said of the old one no longer counts."""
    req = find(request, pk)
    if not may_edit(req, person(request)):
        raise PermissionDenied("Only its requester may change a request, and before it is started.")
    if request.method != "POST":
        return _show(request, page_admin, SubmitForm(instance=req))
    return _take(request, page_admin, req)


def _like(request: HttpRequest) -> dict[str, object]:
    number = whole_number(request.GET.get("like", ""))
    if number is None:
        return {}
    other = find(request, number)
    initial = model_to_dict(other, fields=CLONED_FIELDS)
    initial["checkpoint_max_age_hours"] = initial.pop("checkpoint_max_age_secs") // HOUR_SECS
    return initial


def _take(request: HttpRequest, page_admin: RequestAdmin, req: MigrationRequest) -> HttpResponse:
    form = SubmitForm(request.POST, instance=req)
    if not form.is_valid():
        return _show(request, page_admin, form)
    user, is_new = person(request), not req.pk
    draft = form.save(commit=False)
    try:
        if is_new:
            commands.draft(user, draft)
        else:
            commands.edit(user, draft, _version(request))
    except commands.OrderRefused as error:
        form.add_error("statement" if is_new else None, str(error))
        return _show(request, page_admin, form)
    if request.POST.get("action") == "draft":
        messages.success(request, "Kept as a draft. Only you are asked to do something about it.")
        return HttpResponseRedirect(request_url(draft.pk))
    try:
        commands.submit(user, draft)
    except commands.OrderRefused as error:
        is_unexplained = isinstance(error, commands.AcknowledgementNeededError)
        field = "acknowledgement" if is_unexplained else "statement"
        form.add_error(field, str(error).split("\n"))
        return _show(request, page_admin, form, kept=draft)
    messages.success(request, "Submitted. Somebody else must approve it.")
    return HttpResponseRedirect(request_url(draft.pk))


def _version(request: HttpRequest) -> int | None:
    """The version that was edited, if the form says so. Raises OrderRefused."""
    text = request.POST.get("version", "")
    version = whole_number(text)
    if text and version is None:
        raise commands.OrderRefused("The version is a number: look at the request again.")
    return version


def _show(
    request: HttpRequest,
    page_admin: RequestAdmin,
    form: SubmitForm,
    kept: MigrationRequest | None = None,
) -> HttpResponse:
    """The page with the form as it was typed. kept: a draft that holds it already."""
    stored: MigrationRequest = kept if kept is not None else form.instance
    is_stored = bool(stored.pk)
    context = {
        **admin.site.each_context(request),
        "title": f"Edit #{stored.pk}" if is_stored else "Submit a change",
        "opts": page_admin.opts,
        "form": form,
        "kept": kept,
        "form_url": admin_url("migrationrequest_edit", stored.pk) if is_stored else "",
        "check_url": admin_url("migrationrequest_check"),
        "what_fields": [form[name] for name in WHAT_FIELDS],
        "why_fields": [form[name] for name in WHY_FIELDS],
        "check_fields": [form[name] for name in OPTION_FIELDS],
        "more_fields": [form[name] for name in MORE_FIELDS],
        "more_has_errors": any(form[name].errors for name in MORE_FIELDS),
        "volume_steps": volume_steps(),
        "has_targets": Target.objects.exists(),
        "add_target_url": admin_url("target_add") if may(request.user, "add_target") else "",
        "requests_url": admin_url("migrationrequest_changelist"),
    }
    return TemplateResponse(
        request, "spirit/submit/page.html", context, status=422 if form.errors else 200
    )
