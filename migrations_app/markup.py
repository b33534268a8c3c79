"""Words with markup: ages, badges, bars, for templates and for the cells of lists.

Outside ``admin``, because django-unfold loads every template library while ``admin`` is imported.
Everything a function returns is either plain text (escaped by the template) or built with
``format_html``, so that a statement or a server's message can never become markup.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from migrations_app import words


def age(moment: dt.datetime | None) -> str | SafeString:
    """``12 s ago``, with the exact time on hover; counted on in the browser by times.js."""
    if moment is None:
        return "–"
    return format_html(
        '<time datetime="{}" title="{}" data-age>{}</time>',
        moment.isoformat(timespec="milliseconds"),
        exact(moment),
        words.ago(moment, timezone.now()),
    )


def diff(text: str) -> SafeString:
    """A unified diff with its lines coloured; the file names are left out."""
    kinds = {"+": "add", "-": "drop"}
    lines = (
        (kinds.get(line[:1], "same"), line)
        for line in text.splitlines()
        if not line.startswith(("+++", "---", "@@"))
    )
    spans = format_html_join("", '<span class="sp-diff-{}">{}\n</span>', lines)
    return format_html('<pre class="sp-sql sp-diff" tabindex="0">{}</pre>', spans)


def exact(moment: dt.datetime) -> str:
    """A moment to the second, with its zone: ``2026-03-01 14:05:09 UTC``."""
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S %Z")


def clock(moment: dt.datetime | None) -> str | SafeString:
    """The exact time, where an age would not help; put in the reader's zone by times.js."""
    if moment is None:
        return "–"
    return format_html(
        '<time datetime="{}" title="{}" data-clock>{}</time>',
        moment.isoformat(),
        exact(moment),
        exact(moment),
    )


def state_badge(state: str, size: str = "") -> SafeString:
    """A request's state as text on its colour, with its sentence on hover."""
    shown = words.state_words(state)
    return format_html(
        '<span class="sp-badge sp-{}{}" data-state="{}" title="{}">{}</span>',
        shown.tone,
        " sp-badge-large" if size == "large" else "",
        state,
        shown.sentence,
        shown.label,
    )


def badge(text: str, tone: str, title: str = "") -> SafeString:
    """Any short text on a tone's colour."""
    return format_html(
        '<span class="sp-badge sp-{}" title="{}">{}</span>', tone or "quiet", title, text
    )


def bar(share: int | None, label: str, tone: str = "live", size: str = "") -> SafeString:
    """A progress bar that a screen reader can read too. share: whole percent, None when nobody
    knows: a striped bar, and no value."""
    return format_html(
        '<div class="sp-bar sp-{}{}{}" role="progressbar" aria-valuemin="0" aria-valuemax="100"'
        '{} aria-label="{}"><span style="width:{}%"></span></div>',
        tone,
        " sp-bar-small" if size == "small" else "",
        " sp-bar-unknown" if share is None else "",
        "" if share is None else format_html(' aria-valuenow="{}"', share),
        label,
        100 if share is None else share,
    )


def pretty_json(value: Any) -> str:
    """Details of an event as indented JSON; values JSON does not know are shown as text."""
    return json.dumps(value, indent=2, sort_keys=True, default=str, ensure_ascii=False)
