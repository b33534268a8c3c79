"""``manage.py lifecycle_diagram``: the lifecycle as a page of the documentation, on stdout."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from migrations_app import diagram


class Command(BaseCommand):
    help = "Prints docs/lifecycle.md, made from the transitions in lifecycle.py."

    def handle(self, *_args: Any, **_options: Any) -> None:
        self.stdout.write(diagram.as_markdown(), ending="")
