"""``manage.py rotate_keys``: encrypt every stored secret with the first key of
FIELD_ENCRYPTION_KEYS, so that older keys can be taken away."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from migrations_app import crypto
from migrations_app.models import NoticeChannel, Target

# model -> its columns that hold a secret
_SECRETS: tuple[tuple[type[Target] | type[NoticeChannel], tuple[str, ...]], ...] = (
    (Target, ("stored_password", "stored_replica_dsns")),
    (NoticeChannel, ("stored_address",)),
)


class Command(BaseCommand):
    help = "Encrypts all stored secrets anew with the first key of FIELD_ENCRYPTION_KEYS."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="change nothing; exit 1 when an older key is still needed",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        with transaction.atomic():
            found, broken = self._rotate(dry=options["check"])
        if broken:
            raise CommandError(
                "Nothing was changed: these cannot be decrypted with any key of "
                f"FIELD_ENCRYPTION_KEYS: {', '.join(broken)}. Enter them again, or bring the old "
                "key back."
            )
        if options["check"] and found:
            raise CommandError(f"{found} secret(s) still need an older key: run rotate_keys.")
        self.stdout.write(
            "Every secret is encrypted with the first key; the others can be taken away."
            if options["check"] or not found
            else f"{found} secret(s) are encrypted with the first key now; the other keys can be "
            "taken away, here and wherever web servers and workers run."
        )

    def _rotate(self, *, dry: bool) -> tuple[int, list[str]]:
        """How many secrets another key than the first had encrypted, and what nobody can read."""
        found, broken, changes = 0, [], []
        for model, columns in _SECRETS:
            for row in model.objects.select_for_update().order_by("pk"):
                for column in columns:
                    stored = getattr(row, column)
                    try:
                        anew = crypto.rotated(stored)
                    except crypto.SecretUnavailableError:
                        broken.append(f"{model._meta.verbose_name} “{row}”")
                        continue
                    if anew is not None:
                        found += 1
                        changes.append((model, row.pk, column, anew))
        if not broken and not dry:
            for model, pk, column, anew in changes:
                model.objects.filter(pk=pk).update(**{column: anew})
        return found, broken
