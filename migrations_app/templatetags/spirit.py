"""``{% load spirit %}``: the pages' words and markup as filters and tags."""

from __future__ import annotations

from django import template

from migrations_app import markup, words

register = template.Library()

for name, function in (
    ("age", markup.age),
    ("clock", markup.clock),
    ("diff", markup.diff),
    ("duration", words.duration),
    ("event_label", words.event_label),
    ("grouped", words.grouped),
    ("level_tone", words.level_tone),
    ("phase_label", words.phase_label),
    ("pretty_json", markup.pretty_json),
    ("state_badge", markup.state_badge),
):
    register.filter(name, function)
register.simple_tag(markup.badge)
register.simple_tag(markup.bar)
