"""Cells that several lists share."""

from __future__ import annotations

import datetime as dt

from django.utils.html import format_html

from migrations_app import words
from migrations_app.admin.links import request_url
from migrations_app.markup import age as age_tag
from migrations_app.models import MigrationRequest


def age(moment: dt.datetime | None) -> str:
    """How long ago, with the exact time on hover."""
    return age_tag(moment)


def request_link(req: MigrationRequest | None) -> str:
    """A request's number and table, leading to its page."""
    if req is None:
        return "–"
    return format_html(
        '<a href="{}" title="{}">#{} {}</a>',
        request_url(req.pk),
        req.title or req.table,
        req.pk,
        words.shortened(req.table, 40),
    )
