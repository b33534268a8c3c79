"""Secrets at rest: encrypted with the keys of settings.FIELD_ENCRYPTION_KEYS.

The first key encrypts, all of them decrypt: put a new key in front to rotate. A secret may also be
a reference, ``env:NAME``: then only the name is stored, and the worker's environment has the value.
Only names that begin with settings.SECRET_VARIABLES_PREFIX are read: whoever may edit a target
chooses the server that the value is offered to, and must not get at other variables that way.
"""

from __future__ import annotations

import os

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

ENV_PREFIX = "env:"


class SecretUnavailableError(Exception):
    """A secret cannot be had: its key is gone, or its environment variable is not set."""


def _keys() -> MultiFernet:
    try:
        return MultiFernet([Fernet(key) for key in settings.FIELD_ENCRYPTION_KEYS])
    except ValueError as error:
        raise ImproperlyConfigured(
            "FIELD_ENCRYPTION_KEYS must hold keys of 32 bytes in URL-safe base64, as made by "
            "cryptography.fernet.Fernet.generate_key()."
        ) from error


def encrypt(secret: str) -> str:
    """A secret in the form in which it is stored; a reference stays as it is."""
    if not secret or secret.startswith(ENV_PREFIX):
        return secret
    return _keys().encrypt(secret.encode()).decode()


def decrypt(stored: str) -> str:
    """The secret of a stored text. Raises SecretUnavailableError, without the secret in it."""
    if not stored:
        return ""
    if stored.startswith(ENV_PREFIX):
        name = stored.removeprefix(ENV_PREFIX)
        if not name.startswith(settings.SECRET_VARIABLES_PREFIX):
            raise SecretUnavailableError(
                f"The secret refers to the environment variable {name}, but only variables that "
                f"begin with {settings.SECRET_VARIABLES_PREFIX} may be referred to."
            )
        if name not in os.environ:
            raise SecretUnavailableError(
                f"The environment variable {name}, which should hold the secret, is not set for "
                f"this process. Set it where the web server and the workers are started."
            )
        return os.environ[name]
    try:
        return _keys().decrypt(stored.encode()).decode()
    except InvalidToken:
        raise SecretUnavailableError(
            "The stored secret cannot be decrypted: FIELD_ENCRYPTION_KEYS does not hold the key it "
            "was encrypted with. Enter the secret again, or bring the old key back."
        ) from None


def rotated(stored: str) -> str | None:
    """A stored secret encrypted with the first key; None when it is already, or holds nothing to
    encrypt. Raises SecretUnavailableError when no key fits."""
    if not stored or stored.startswith(ENV_PREFIX):
        return None
    first = Fernet(settings.FIELD_ENCRYPTION_KEYS[0])
    try:
        first.decrypt(stored.encode())
    except InvalidToken:
        return encrypt(decrypt(stored))
    return None
