"""Hours of the week in which something is allowed, as people write them.

``Mon-Fri 22:00-06:00, Sat-Sun`` means: from 22 o'clock until 6 o'clock of the next morning, five
times a week, and all of Saturday and Sunday. A span without days is for every day; one without
times is for all day. Times are a wall clock's in a named time zone. Empty text allows always.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import zoneinfo

from django.core.exceptions import ValidationError
from django.utils import timezone

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MINUTES_OF_DAY = 24 * 60
# Far enough for every plan, and near enough to be a date in every time zone.
_FARTHEST_YEARS = 10
_SPAN = re.compile(
    r"""
    \s* (?: (?P<first>[a-z]{3}) (?: \s*[-\u2013]\s* (?P<last>[a-z]{3}) )? )?
    \s* (?: (?P<from>\d{1,2}:\d{2}) \s*[-\u2013]\s* (?P<to>\d{1,2}:\d{2}) )? \s*
    """,
    re.VERBOSE | re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """One span: on these days (0 is Monday) it begins; minutes since midnight. ``until`` at or
    before ``since`` is on the next day."""

    days: frozenset[int]
    since: int
    until: int

    def holds(self, weekday: int, minute: int) -> bool:
        """Whether it is open in that minute of that day."""
        if self.since < self.until:
            return weekday in self.days and self.since <= minute < self.until
        yesterday = (weekday - 1) % 7
        return (weekday in self.days and minute >= self.since) or (
            yesterday in self.days and minute < self.until
        )


class HoursError(ValueError):
    """The text is no description of hours; str() says which part, to people."""


def parse(text: str) -> tuple[Span, ...]:
    """The spans; none for an empty text. Raises HoursError."""
    if not text.strip():
        return ()
    return tuple(_parse_span(part) for part in text.split(","))


def is_open(text: str, zone: str, at: dt.datetime) -> bool:
    """Whether the hours allow an instant."""
    spans = parse(text)
    local = at.astimezone(zoneinfo.ZoneInfo(zone))
    minute = local.hour * 60 + local.minute
    return not spans or any(span.holds(local.weekday(), minute) for span in spans)


def next_open(text: str, zone: str, after: dt.datetime) -> dt.datetime | None:
    """The first minute from ``after`` on that is open; None when no minute of a week is."""
    if is_open(text, zone, after):
        return after
    # By the minute of absolute time: a wall clock skips hours and repeats them.
    at = after.replace(second=0, microsecond=0)
    for _ in range(8 * _MINUTES_OF_DAY):
        at += dt.timedelta(minutes=1)
        if is_open(text, zone, at):
            return at
    return None


def validate(text: str) -> None:
    """For a model's field: raises ValidationError."""
    try:
        parse(text)
    except HoursError as error:
        raise ValidationError(str(error)) from None


def validate_start(moment: dt.datetime) -> None:
    """For a time before which nothing is to begin: raises ValidationError."""
    if abs(moment - timezone.now()) > dt.timedelta(days=366 * _FARTHEST_YEARS):
        raise ValidationError(
            f"The time before which it may not begin must be within {_FARTHEST_YEARS} years of now."
        )


def validate_time_zone(name: str) -> None:
    """For a model's field: raises ValidationError for what is no zone's name."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValidationError(
            f"There is no time zone called “{name}”; they are named like Europe/Berlin."
        ) from None


def _parse_span(part: str) -> Span:
    found = _SPAN.fullmatch(part)
    if found is None or not part.strip():
        raise HoursError(
            f"“{part.strip()}” is not understood: write hours like “Mon-Fri 22:00-06:00, Sat-Sun”."
        )
    days = _days(found["first"], found["last"])
    if found["from"] is None:
        return Span(days, 0, _MINUTES_OF_DAY)
    since, until = _minute(found["from"]), _minute(found["to"])
    if since == until:
        raise HoursError(f"“{part.strip()}” begins and ends at the same time.")
    return Span(days, since % _MINUTES_OF_DAY, until)


def _days(first: str | None, last: str | None) -> frozenset[int]:
    if first is None:
        return frozenset(range(7))
    begin, end = _day(first), _day(last or first)
    return frozenset((begin + n) % 7 for n in range((end - begin) % 7 + 1))


def _day(name: str) -> int:
    if name.lower() not in _DAYS:
        raise HoursError(f"“{name}” is no day: they are called Mon, Tue, Wed, Thu, Fri, Sat, Sun.")
    return _DAYS.index(name.lower())


def _minute(text: str) -> int:
    hour, minute = (int(part) for part in text.split(":"))
    if hour * 60 + minute > _MINUTES_OF_DAY or minute > 59:
        raise HoursError(f"“{text}” is no time of the day: they go from 00:00 to 24:00.")
    return hour * 60 + minute
