"""Addresses of this application's pages, empty where the reader may not go."""

from __future__ import annotations

from django.db.models import Model
from django.urls import reverse

from migrations_app.admin.access import Reader, may


def admin_url(name: str, *args: object) -> str:
    """One of this application's admin pages by its name, such as ``target_changelist``."""
    return reverse(f"admin:migrations_app_{name}", args=args)


def request_url(pk: int) -> str:
    """The page of a request."""
    return admin_url("migrationrequest_change", pk)


def object_link(user: Reader, model: type[Model], pk: int) -> str:
    """The page of a row, or "" when this reader may not see it."""
    name = model._meta.model_name or ""
    return admin_url(f"{name}_change", pk) if may(user, f"view_{name}") else ""


def history_link(user: Reader, model: type[Model], request_pk: int) -> str:
    """The list of a model's rows that belong to a request, or ""."""
    name = model._meta.model_name or ""
    if not may(user, f"view_{name}"):
        return ""
    return f"{admin_url(f'{name}_changelist')}?request__id__exact={request_pk}"
