"""What a checkpoint says, for people: its bounds in words instead of a watermark's JSON."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

from django.conf import settings

from migrations_app import expiries, mirrors, words
from migrations_app.models import Checkpoint, MigrationRequest


def bounds(watermark: str) -> str:
    """A copier watermark as a sentence: ``every row with id below 1,001``.

    Returns "" when there is none yet and the text itself when it cannot be read, so that nothing
    a checkpoint holds is ever hidden.
    """
    if not watermark:
        return ""
    try:
        document = json.loads(watermark)
        columns, upper = document["Key"], document["UpperBound"]
        if upper["Value"] is None:
            return "every row"
        values = [_value(value) for value in upper["Value"]]
        word = "up to" if upper.get("Inclusive") else "below"
    except (ValueError, KeyError, TypeError):
        return watermark
    if len(columns) == 1:
        return f"every row with {columns[0]} {word} {values[0]}"
    return f"every row with ({', '.join(columns)}) {word} ({', '.join(values)})"


def _value(value: Any) -> str:
    """A key's value: whole numbers are grouped, everything else is shown as it is."""
    text = str(value)
    return f"{int(text):,}" if text.lstrip("-").isdigit() else text


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """Whether a checkpoint can be resumed. label: a few words; sentence: with the reason, begins
    in lower case; tone: a colour of the style sheet; expires_soon: sooner than people are warned;
    by_age: for the request's own limit."""

    label: str
    sentence: str
    tone: str
    expires_soon: bool = False
    by_age: bool = False


def standing(checkpoint: Checkpoint, request: MigrationRequest, now: dt.datetime) -> Standing:
    """What the last look at the target found, as of now."""
    if request.is_final:
        return Standing("not needed", "not needed any more: the request has ended.", "quiet")
    if checkpoint.resumable is False:
        if checkpoint.why_not == mirrors.SUPERSEDED:
            return Standing("replaced", "replaced: a newer checkpoint counts.", "quiet")
        return Standing("not resumable", f"not resumable: {checkpoint.why_not}", "bad")
    if checkpoint.resumable is None:
        sentence = checkpoint.why_not or "The target is asked within minutes."
        return Standing("not looked at yet", f"not looked at yet. {sentence}", "quiet")
    end = expiries.end_of(checkpoint, request)
    hours = end.hours_left(now)
    soon = hours < settings.CHECKPOINT_WARN_HOURS
    reason = (
        f"From then on it is older than the request allows, which is "
        f"{words.duration(request.checkpoint_max_age_secs)}."
        if end.by_age
        else "The target may delete the binary log that it needs from then on."
    )
    label = f"for {words.about(hours * 3600)}" if hours else "not for sure"
    sentence = f"resumable {label} at least. {reason}"
    if not hours:
        sentence = "resumable at the last look, but its time is over: it may be gone."
    tone = "warn" if soon else "good"
    if checkpoint.why_not:
        sentence += f" {checkpoint.why_not}"
        tone = "warn" if soon else "quiet"
    return Standing(label, sentence, tone, soon, end.by_age)
