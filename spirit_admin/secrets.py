"""Keys: required in production, made once into ``var/`` for development and the demo."""

from __future__ import annotations

import base64
import os
import pathlib
import secrets
import time
from collections.abc import Callable

from django.core.exceptions import ImproperlyConfigured


def random_secret_key() -> str:
    return secrets.token_urlsafe(50)


def random_encryption_key() -> str:
    """As cryptography.fernet wants it: 32 bytes in URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def kept_key(
    name: str, given: str, file: pathlib.Path, make: Callable[[], str], *, may_make: bool
) -> str:
    """The given key; else the one kept in ``file``, made on the first call if that is allowed.

    Raises ImproperlyConfigured when there is none and none may be made.
    """
    if given:
        return given
    if not may_make:
        raise ImproperlyConfigured(
            f"{name} is not set. Set it in the environment or in .env (see .env.example). It is "
            f"only made up by itself with DEBUG=on or GENERATE_KEYS=on, neither of them for "
            f"production."
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Several processes may start at once: one of them makes the file, readable by its owner.
        descriptor = os.open(file.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _wait_for(file)
    with os.fdopen(descriptor, "w") as new:
        if file.exists():
            file.with_suffix(".new").unlink()
            return file.read_text().strip()
        new.write(make())
    file.with_suffix(".new").replace(file)
    return file.read_text().strip()


def _wait_for(file: pathlib.Path) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if file.exists():
            return file.read_text().strip()
        time.sleep(0.02)
    raise ImproperlyConfigured(
        f"{file.with_suffix('.new')} was left by a process that ended while it made a key: "
        f"remove it."
    )
