"""Secrets with which programs act as a person: made, shown once, looked up by their digest."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence

from django.contrib.auth.models import User
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from migrations_app.models import ApiToken, Scope

_BEGINNING = "spirit_"
_PREFIX_LENGTH = len(_BEGINNING) + 6
# So that a busy program does not write a row with every question.
_USE_NOTED_EVERY = dt.timedelta(minutes=1)


@sensitive_variables("secret")
def make(
    user: User, name: str, scopes: Sequence[str], expires_at: dt.datetime | None = None
) -> tuple[ApiToken, str]:
    """A new token, and its secret, which cannot be had again. Raises ValueError for a scope that
    there is not."""
    unknown = set(scopes) - set(Scope.values)
    if unknown or not scopes:
        raise ValueError(f"Scopes are some of {', '.join(Scope.values)}.")
    secret = _BEGINNING + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=secret[:_PREFIX_LENGTH],
        digest=_digest(secret),
        scopes=sorted(scopes),
        expires_at=expires_at,
    )
    return token, secret


@sensitive_variables("secret")
def find(secret: str) -> ApiToken | None:
    """The valid token of a secret; notes that it was used. None for any other secret.

    Looked up by digest: how long it takes says nothing about the secret.
    """
    token = ApiToken.objects.select_related("user").filter(digest=_digest(secret)).first()
    now = timezone.now()
    if token is None or not token.is_valid(now):
        return None
    if token.last_used_at is None or now - token.last_used_at > _USE_NOTED_EVERY:
        rows = ApiToken.objects.filter(pk=token.pk, last_used_at=token.last_used_at)
        rows.update(last_used_at=now)
    return token


def revoke(token: ApiToken) -> None:
    """From now on the token is worth nothing."""
    ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=timezone.now())
    token.refresh_from_db()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
