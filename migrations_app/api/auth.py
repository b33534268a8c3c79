"""Who asks, by ``Authorization: Bearer``, and what the token may be used for."""

from __future__ import annotations

from typing import cast

from django.contrib.auth.models import User
from django.db import DatabaseError
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables
from ninja.errors import HttpError
from ninja.security import HttpBearer

from migrations_app import tokens
from migrations_app.models import ApiToken, Scope


class TokenAuth(HttpBearer):
    """A valid token of an active person; anything else is 401."""

    @sensitive_variables("token")
    def authenticate(self, request: HttpRequest, token: str) -> ApiToken | None:
        try:
            return tokens.find(token)
        except DatabaseError:
            # Not passed on: the frames of its trace hold the secret.
            raise HttpError(503, "The control database does not answer.") from None


def token_of(request: HttpRequest) -> ApiToken:
    """The token of an authenticated question."""
    return cast(ApiToken, request.auth)  # type: ignore[attr-defined]


def user_of(request: HttpRequest, scope: Scope) -> User:
    """The person whose token it is. Raises 403 when the token is not for this."""
    token = token_of(request)
    if scope not in token.scopes:
        raise HttpError(
            403,
            f"This token is not for “{scope.label.lower()}”: it needs the scope {scope.value}.",
        )
    return token.user


def reader(request: HttpRequest) -> User:
    """The person, who may see requests. Raises 403."""
    user = user_of(request, Scope.READ)
    if not user.has_perm("migrations_app.view_migrationrequest"):
        raise HttpError(403, "Your account may not see requests.")
    return user
