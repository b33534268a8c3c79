"""The navigation at the left, cut down to what the reader may open.

The settings name ``navigation`` (django-unfold's ``SIDEBAR``), so that this package is imported
only once the applications are ready.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from migrations_app.admin import needs
from migrations_app.admin.access import SUBMIT, may
from migrations_app.admin.links import admin_url


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The groups of links django-unfold shows, without those that would answer 403."""
    groups: list[dict[str, Any]] = [
        {"title": "", "items": _work(request)},
        {"title": "History", "separator": True, "items": _history(request)},
        {"title": "Administration", "separator": True, "items": _administration(request)},
    ]
    return [group for group in groups if group["items"]]


def _work(request: HttpRequest) -> list[dict[str, Any]]:
    items = [_item("Home", "home", reverse("admin:index"))]
    if may(request.user, "view_migrationrequest"):
        waiting = needs.count_needing(request.user)
        item = _item("Requests", "table_rows", _list("migrationrequest"))
        # its address begins the submit page's too, which has an item of its own
        is_adding = request.path == admin_url("migrationrequest_add")
        item["active"] = request.path.startswith(item["link"]) and not is_adding
        if waiting:
            item |= {"badge": str(waiting), "badge_variant": "warning"}
        items.append(item)
    if may(request.user, SUBMIT):
        items.append(
            _item(
                "Submit a change",
                "edit_square",
                admin_url("migrationrequest_add"),
            )
        )
    items += _model_items(request, (("Targets", "dns", "target"),))
    # Everybody may have channels and tokens of their own.
    items.append(_item("Notices", "notifications", _list("noticechannel")))
    items.append(_item("API tokens", "key", _list("apitoken")))
    return items


def _history(request: HttpRequest) -> list[dict[str, Any]]:
    return _model_items(
        request,
        (
            ("Events", "history", "event"),
            ("Checkpoints", "bookmark", "checkpoint"),
            ("Runs", "play_circle", "run"),
            ("Orders", "assignment", "command"),
            ("Workers", "memory", "worker"),
            ("Sent notices", "outgoing_mail", "noticedelivery"),
        ),
    )


def _administration(request: HttpRequest) -> list[dict[str, Any]]:
    items = []
    for title, icon, permission, url_name in (
        ("People", "person", "auth.view_user", "auth_user"),
        ("Roles", "group", "auth.view_group", "auth_group"),
        ("Scheduled tasks", "schedule", "django_q.view_schedule", "django_q_schedule"),
        ("Failed tasks", "error", "django_q.view_failure", "django_q_failure"),
    ):
        if request.user.has_perm(permission):
            items.append(_item(title, icon, reverse(f"admin:{url_name}_changelist")))
    return items


def _model_items(
    request: HttpRequest, models: tuple[tuple[str, str, str], ...]
) -> list[dict[str, Any]]:
    return [
        _item(title, icon, _list(model))
        for title, icon, model in models
        if may(request.user, f"view_{model}")
    ]


def _list(model: str) -> str:
    return reverse(f"admin:migrations_app_{model}_changelist")


def _item(title: str, icon: str, link: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": link}
