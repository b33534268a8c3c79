"""What people do in the storm: any order, to any request, sensible or not."""

from __future__ import annotations

import collections
import time

from django.contrib.auth.models import User
from django.db import OperationalError

from migrations_app import commands, offers
from migrations_app.commands import Arguments, OrderRefused
from migrations_app.models import MigrationRequest
from playground.storm.scene import Scene

_KILL_EVERY_SECS = 7.0
_REPLACE_EVERY_SECS = 60.0
# Most people do what is offered to them; the others try what is not.
_SENSIBLE_SHARE = 0.85
# Ends a request for good: rarely, or there is soon nothing left to order.
_RARE = {"cancel": 0.01, "reject": 0.01, "comment": 0.1, "schedule": 0.3}
_PAUSE_SECS = 0.02


def storm(scene: Scene, secs: float) -> dict[str, int]:
    """Give orders for so long. Returns how many of what."""
    figures: collections.Counter[str] = collections.Counter()
    numbers = list(MigrationRequest.objects.values_list("pk", flat=True))
    began = time.monotonic()
    next_kill, next_replace = began + _KILL_EVERY_SECS, began + _REPLACE_EVERY_SECS
    while time.monotonic() < began + secs:
        request = MigrationRequest.objects.select_related("target").get(
            pk=scene.chance.choice(numbers)
        )
        figures[_one(scene, request)] += 1
        time.sleep(_PAUSE_SECS)
        if time.monotonic() > next_kill:
            next_kill = time.monotonic() + _KILL_EVERY_SECS
            figures["runs killed"] += scene.kill_a_run()
        if time.monotonic() > next_replace:
            next_replace = time.monotonic() + _REPLACE_EVERY_SECS
            scene.replace_a_worker()
            figures["workers replaced"] += 1
    return dict(figures)


def _one(scene: Scene, request: MigrationRequest) -> str:
    """One order of somebody; what became of it."""
    chance = scene.chance
    kind, person = _choose(scene, request)
    arguments = Arguments(
        comment=chance.choice(("", "Because.")),
        volume=chance.randint(0, 12),
        hours=chance.choice(("", "", "Mon-Sun", "nonsense")),
        version=chance.choice((None, None, request.version, request.version - 1)),
    )
    try:
        if kind == "edit":
            request.volume = chance.randint(1, 11)
            commands.edit(person, request)
        else:
            commands.give(kind, person, request, arguments)
    except OrderRefused:
        return "refused"
    except OperationalError:
        return "database busy"
    return kind


def _choose(scene: Scene, request: MigrationRequest) -> tuple[str, User]:
    chance = scene.chance
    people = chance.sample(scene.people, len(scene.people))
    if chance.random() < _SENSIBLE_SHARE:
        for person in people:
            kinds = [
                offer.kind
                for offer in commands.available_orders(request, person)
                if offer.is_allowed and chance.random() < _RARE.get(offer.kind, 1.0)
            ]
            if kinds:
                return chance.choice(kinds), person
    return chance.choice([*offers.ORDERS, "edit"]), people[0]
