"""Which addresses are accepted, and what of one may be shown.

An address is text that an account of the pages types and a worker acts on. So only services on the
network are accepted (settings.NOTICE_SCHEMES), and nothing in an address that names a file or runs
something on the worker's machine. No message here repeats any part of an address but its scheme.
"""

from __future__ import annotations

import re
from typing import Any

from apprise import Apprise, AppriseAsset, NotifyBase
from apprise.plugins import url_to_dict
from django.conf import settings

from migrations_app import crypto
from migrations_app.models import NoticeChannel

_SCHEME = re.compile(r"\s*([a-z][a-z0-9+.-]{0,30})://", re.IGNORECASE)
# Parameters of apprise's services that name a file on the machine which sends, or make one there.
_NAMES_FILES = frozenset(
    {"attach", "attach-as", "config", "keyfile", "pgp", "pgppub", "pgpprv", "subfile", "template"}
)
_METHODS = frozenset({"POST", "PUT"})
_WEB = frozenset({"http", "https"})


class AddressRefusedError(Exception):
    """An address that is not accepted; str() says why, without the address."""


def service(address: str, asset: AppriseAsset | None = None) -> NotifyBase:
    """The service at an address. Raises AddressRefusedError."""
    if len(address.split()) != 1:
        raise AddressRefusedError("Write one address, without spaces.")
    found = _SCHEME.match(address)
    if not found:
        raise AddressRefusedError(
            "An address begins with its service, such as slack://, mailto:// or jsons://."
        )
    scheme = found[1].lower()
    _require_allowed(scheme)
    parts: dict[str, Any] | None = _without_logs(address)
    if parts is None and scheme in _WEB:
        raise AddressRefusedError(
            f"This web address belongs to no service that is known. For a webhook of your own, "
            f"write json{'s' if scheme == 'https' else ''}:// instead of {scheme}://."
        )
    if parts is None:
        raise AddressRefusedError(f"This is not how an address of {scheme}:// is written.")
    # A web address stands for the service it belongs to.
    _require_allowed(str(parts.get("schema", "")).lower())
    _refuse_parameters(parts)
    try:
        made = Apprise.instantiate(parts, asset=asset, suppress_exceptions=False)
    except Exception:
        # Its text may hold the address.
        made = None
    if made is None:
        raise AddressRefusedError(
            f"This is not how an address of {scheme}:// is written, or this service cannot be used "
            f"here."
        )
    return made


def check(typed: str) -> None:
    """Accept an address as it was typed, or a reference ``env:NAME``; else AddressRefusedError."""
    if typed.startswith(crypto.ENV_PREFIX):
        name = typed.removeprefix(crypto.ENV_PREFIX)
        if not name.startswith(settings.SECRET_VARIABLES_PREFIX):
            raise AddressRefusedError(
                f"Only variables that begin with {settings.SECRET_VARIABLES_PREFIX} may be named."
            )
        # What it holds is looked at when something is sent: only workers need to have it.
        return
    service(typed)


def shown(channel: NoticeChannel) -> str:
    """What a page may show of a channel's address: ``slack://…``, or the reference."""
    if channel.stored_address.startswith(crypto.ENV_PREFIX):
        return channel.stored_address
    try:
        found = _SCHEME.match(channel.address())
    except crypto.SecretUnavailableError:
        return "cannot be read"
    return f"{found[1].lower()}://…" if found else "none"


def _without_logs(address: str) -> dict[str, Any] | None:
    try:
        parts: dict[str, Any] | None = url_to_dict(address)  # type: ignore[no-untyped-call]
        return parts
    except Exception:
        # A service's parser fell over; its message may hold the address.
        return None


def _require_allowed(scheme: str) -> None:
    if scheme not in settings.NOTICE_SCHEMES:
        raise AddressRefusedError(
            f"Addresses of {scheme}:// are not accepted here. These are: "
            f"{', '.join(sorted(settings.NOTICE_SCHEMES))} (the setting NOTICE_SCHEMES)."
        )


def _refuse_parameters(parts: dict[str, Any]) -> None:
    given = {str(name).lower() for name in parts.get("qsd") or {}} | {str(name) for name in parts}
    files = sorted(given & _NAMES_FILES)
    if files:
        raise AddressRefusedError(
            f"The parameter {files[0]} is not accepted: it would read or write files where notices "
            f"are sent from."
        )
    method = str(parts.get("method") or "POST").upper()
    if method not in _METHODS:
        raise AddressRefusedError("A webhook is called by POST or PUT; leave the parameter method.")
