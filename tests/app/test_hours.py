"""Hours of the week as people write them."""

from __future__ import annotations

import datetime as dt

import pytest
from django.core.exceptions import ValidationError

from migrations_app import hours

# 2026-11-23 is a Monday.
CASES = [
    ("", "2026-11-23 03:00", True),
    ("Mon-Fri 22:00-06:00", "2026-11-23 21:59", False),
    ("Mon-Fri 22:00-06:00", "2026-11-23 22:00", True),
    ("Mon-Fri 22:00-06:00", "2026-11-24 05:59", True),
    ("Mon-Fri 22:00-06:00", "2026-11-24 06:00", False),
    # Friday night goes on into Saturday; Sunday night does not begin.
    ("Mon-Fri 22:00-06:00", "2026-11-28 05:00", True),
    ("Mon-Fri 22:00-06:00", "2026-11-28 23:00", False),
    ("Mon-Fri 22:00-06:00", "2026-11-23 05:00", False),
    ("Sat-Sun", "2026-11-28 00:00", True),
    ("Sat-Sun", "2026-11-29 23:59", True),
    ("Sat-Sun", "2026-11-30 00:00", False),
    ("Fri-Mon", "2026-11-23 12:00", True),
    ("Fri-Mon", "2026-11-24 12:00", False),
    ("09:00-17:30", "2026-11-25 17:29", True),
    ("09:00-17:30", "2026-11-25 17:30", False),
    ("mon 08:00-24:00, tue", "2026-11-23 23:59", True),
    ("mon 08:00-24:00, tue", "2026-11-24 00:30", True),
    ("Wed 00:00–04:00", "2026-11-25 03:59", True),
]


def at(text: str, zone: str = "+00:00") -> dt.datetime:
    return dt.datetime.fromisoformat(f"{text}{zone}")


@pytest.mark.parametrize("text,moment,expected", CASES)
def test_hours_are_open_as_they_say(text: str, moment: str, expected: bool) -> None:
    assert hours.is_open(text, "UTC", at(moment)) is expected


def test_hours_are_a_wall_clock_s_in_their_zone() -> None:
    # 21:30 UTC is 22:30 in Berlin, in winter; in summer 20:30 UTC is.
    assert hours.is_open("22:00-23:00", "Europe/Berlin", at("2026-11-23 21:30"))
    assert not hours.is_open("22:00-23:00", "UTC", at("2026-11-23 21:30"))
    assert hours.is_open("22:00-23:00", "Europe/Berlin", at("2026-07-23 20:30"))


def test_the_next_opening_is_found_across_a_change_of_the_clock() -> None:
    # On 2026-03-29 Berlin skips from 02:00 to 03:00: 02:30 does not exist, 03:00 is 01:00 UTC.
    opens = hours.next_open("Sun 02:30-04:00", "Europe/Berlin", at("2026-03-28 12:00"))
    assert opens == at("2026-03-29 01:00")
    assert hours.next_open("", "UTC", at("2026-11-23 12:00:30")) == at("2026-11-23 12:00:30")
    assert hours.next_open("Mon 12:00-13:00", "UTC", at("2026-11-23 13:00")) == at(
        "2026-11-30 12:00"
    )


@pytest.mark.parametrize(
    "text,said",
    [
        ("sometimes", "not understood"),
        ("Mon 25:00-26:00", "no time of the day"),
        ("Mon 10:60-11:00", "no time of the day"),
        ("Mon 10:00-10:00", "same time"),
        ("Mox 10:00-11:00", "no day"),
        ("Mon 10:00", "not understood"),
        ("Mon,,Tue", "not understood"),
    ],
)
def test_what_is_no_description_is_refused_with_the_part(text: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        hours.validate(text)


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd"])
def test_a_time_zone_must_exist(name: str) -> None:
    with pytest.raises(ValidationError, match="no time zone"):
        hours.validate_time_zone(name)
