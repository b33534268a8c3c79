"""The moving parts of a request page: rendered once for the page, again for every poll.

Each part is one template below ``templates/spirit/request/`` in a ``<section>`` that carries a
signature of its content. The browser swaps a part only when its signature changed, which is what
keeps focus, typed text and open details in place. What differs from one rendering to the next
without meaning anything (the text of an age, a CSRF token's mask) is left out of the signature.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.http import HttpRequest
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.functional import SimpleLazyObject
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

PART_NAMES = (
    "poller",
    "head",
    "banner",
    "progress",
    "charts",
    "orders",
    "volume",
    "checkpoint",
    "approvals",
    "timeline",
    "checkpoints",
    "runs",
)

_VOLATILE = re.compile(r'(?<=data-age>)[^<]*|(?<=name="csrfmiddlewaretoken" value=")[^"]*')


def signature(html: str) -> str:
    """A short digest of what a part says, the same for as long as it says the same."""
    return hashlib.sha256(_VOLATILE.sub("", html).encode()).hexdigest()[:16]


def render_part(name: str, context: Mapping[str, Any], *, for_swap: bool) -> SafeString:
    """One part as a section; ``for_swap`` marks it to replace the one in the page."""
    html = render_to_string(f"spirit/request/{name}.html", dict(context))
    return format_html(
        '<section id="part-{}" data-signature="{}"{}>{}</section>',
        name,
        signature(html),
        mark_safe(' hx-swap-oob="true"') if for_swap else "",
        mark_safe(html),  # noqa: S308 - rendered by a template, which escaped its values
    )


def render_parts(
    request: HttpRequest,
    context: Mapping[str, Any],
    names: Iterable[str] = PART_NAMES,
    *,
    for_swap: bool = False,
) -> dict[str, SafeString]:
    """Parts by name, in the order in which the page shows them on a narrow screen.

    They are rendered without context processors: these cost more than the parts themselves.
    """
    with_token = {**context, "csrf_token": SimpleLazyObject(lambda: get_token(request))}
    return {name: render_part(name, with_token, for_swap=for_swap) for name in names}
