"""The page's vocabulary in templates: ages, durations, grouped numbers, badges, bars.

Everything a filter returns is either plain text (escaped by the template) or built with
``format_html``, so that a statement or a server's message can never become markup.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from migrations_app.admin import words

register = template.Library()

register.filter("grouped", words.grouped)
register.filter("duration", words.duration)
register.filter("percent", words.percent)
register.filter("event_label", words.event_label)
register.filter("level_tone", words.level_tone)
register.filter("outcome_tone", words.outcome_tone)
register.filter("phase_label", words.phase_label)
register.filter("shortened", words.shortened)


@register.filter
def age(moment: dt.datetime | None) -> str | SafeString:
    """``12 s ago``, with the exact time on hover; counted on in the browser by live.js."""
    if moment is None:
        return "–"
    return format_html(
        '<time datetime="{}" title="{}" data-age>{}</time>',
        moment.isoformat(timespec="milliseconds"),
        exact(moment),
        words.ago(moment, timezone.now()),
    )


def exact(moment: dt.datetime) -> str:
    """A moment to the second, with its zone: ``2026-03-01 14:05:09 UTC``."""
    return timezone.localtime(moment).strftime("%Y-%m-%d %H:%M:%S %Z")


@register.filter
def clock(moment: dt.datetime | None) -> str | SafeString:
    """The exact time, for a table in which ages would not help."""
    if moment is None:
        return "–"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), exact(moment), exact(moment)
    )


@register.filter
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


@register.simple_tag
def badge(text: str, tone: str, title: str = "") -> SafeString:
    """Any short text on a tone's colour."""
    return format_html(
        '<span class="sp-badge sp-{}" title="{}">{}</span>', tone or "quiet", title, text
    )


@register.simple_tag
def bar(fraction: float | None, label: str, tone: str = "live", size: str = "") -> SafeString:
    """A progress bar that a screen reader can read too."""
    value = words.percent(fraction)
    return format_html(
        '<div class="sp-bar sp-{}{}" role="progressbar" aria-valuemin="0" aria-valuemax="100"'
        ' aria-valuenow="{}" aria-label="{}"><span style="width:{}%"></span></div>',
        tone,
        " sp-bar-small" if size == "small" else "",
        value,
        label,
        value,
    )


@register.filter
def pretty_json(value: Any) -> str:
    """Details of an event as indented JSON; values JSON does not know are shown as text."""
    return json.dumps(value, indent=2, sort_keys=True, default=str, ensure_ascii=False)
