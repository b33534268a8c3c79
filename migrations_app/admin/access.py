"""Who may see and do what on the pages.

A role is a Django group (requester, approver, operator) and grants permissions; the pages ask for
permissions only, never for a group's name, so that a site may cut its roles differently.
"""

from __future__ import annotations

from typing import TypeAlias, cast

from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest

Reader: TypeAlias = User | AnonymousUser

APP = "migrations_app"
SUBMIT = "submit_migrationrequest"
APPROVE = "approve_migrationrequest"
OPERATE = "operate_migrationrequest"


def may(user: Reader, permission: str) -> bool:
    """Whether a user holds one of this application's permissions, by its codename."""
    return user.has_perm(f"{APP}.{permission}")


def person(request: HttpRequest) -> User:
    """Whoever is logged in: every admin view is behind the login, so it is a real account."""
    return cast(User, request.user)
