"""A MySQL server and schema whose tables may be changed, and how to log in there."""

from __future__ import annotations

import contextlib

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from migrations_app import crypto, hours
from migrations_app.engine import Dsn, RefusedError, TlsMode
from migrations_app.engine.dsn import DEFAULT_PORT
from migrations_app.engine.lint import LintLevel, parse_levels


def validate_lint_levels(value: object) -> None:
    """Refuse what is no mapping of rules to levels that may be chosen, naming every mistake."""
    if not isinstance(value, dict) or not all(isinstance(level, str) for level in value.values()):
        raise ValidationError("Lint levels are a mapping of rules to levels.")
    try:
        parse_levels(value)
    except RefusedError as error:
        raise ValidationError(error.reasons) from None


class Target(models.Model):
    """Its password is stored encrypted, or as ``env:NAME``; nothing shows it."""

    TLS_CHOICES = (
        (TlsMode.DISABLED.value, "Disabled: never"),
        (TlsMode.PREFERRED.value, "Preferred: when the server offers it"),
        (TlsMode.REQUIRED.value, "Required: or no connection"),
        (TlsMode.VERIFY_CA.value, "Verify CA: the certificate must be signed by the CA"),
        (TlsMode.VERIFY_IDENTITY.value, "Verify identity: and be of this host"),
    )

    name = models.CharField(max_length=100, unique=True)
    host = models.CharField(max_length=255)
    port = models.PositiveIntegerField(
        default=DEFAULT_PORT, validators=[MinValueValidator(1), MaxValueValidator(65535)]
    )
    user = models.CharField(max_length=80)
    stored_password = models.TextField(blank=True, editable=False)
    database = models.CharField("schema", max_length=64)
    tls_mode = models.CharField(
        "TLS",
        max_length=20,
        choices=TLS_CHOICES,
        default=TlsMode.PREFERRED.value,
        help_text="To 127.0.0.1 or localhost, Preferred encrypts only when the server demands it.",
    )
    tls_ca_file = models.CharField(
        "CA file", max_length=500, blank=True, help_text="A path on the workers' machines."
    )
    required_approvals = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(10)],
        help_text="How many people must approve a request, the requester not counted.",
    )
    approver_groups = models.ManyToManyField(
        Group,
        blank=True,
        related_name="+",
        help_text="Only approvals by members of one of these count; empty: every approver's.",
    )
    allowed_hours = models.CharField(
        max_length=200,
        blank=True,
        validators=[hours.validate],
        help_text="When a change may begin and its tables be swapped, such as "
        "“Mon-Fri 22:00-06:00, Sat-Sun”, in the target's time zone; empty: always.",
    )
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[hours.validate_time_zone],
        help_text="Of the allowed hours, such as Europe/Berlin.",
    )
    max_volume = models.PositiveSmallIntegerField(
        default=11,
        validators=[MinValueValidator(1), MaxValueValidator(11)],
        help_text="The highest volume that may be set on this target.",
    )
    max_concurrent_runs = models.PositiveSmallIntegerField(
        default=2,
        validators=[MinValueValidator(1)],
        help_text="How many migrations may run on this target at once.",
    )
    replica_max_lag_secs = models.PositiveIntegerField(
        default=120, help_text="Replica lag, in seconds, that pauses a copy."
    )
    max_threads_running = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="Threads_running above this pauses a copy; empty: no limit.",
    )
    lint_levels = models.JSONField(
        default=dict,
        blank=True,
        validators=[validate_lint_levels],
        help_text="Another level for a lint rule: rule → level.",
    )
    stored_replica_dsns = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    @property
    def address(self) -> str:
        """Where it is, without any secret: ``host:port/schema``."""
        return f"{self.host}:{self.port}/{self.database}"

    @property
    def has_password(self) -> bool:
        return bool(self.stored_password)

    def set_password(self, password: str) -> None:
        """Encrypt and keep a password, or keep a reference ``env:NAME``. Not saved yet."""
        self.stored_password = crypto.encrypt(password)

    def set_replica_dsns(self, dsns: list[str]) -> None:
        """Encrypt and keep the replicas' DSNs (they hold passwords). Not saved yet."""
        self.stored_replica_dsns = crypto.encrypt("\n".join(dsns))

    def lint_levels_typed(self) -> dict[str, LintLevel]:
        """The chosen levels. A rule that this version does not know any more is left out."""
        levels: dict[str, LintLevel] = {}
        for name, text in self.lint_levels.items():
            with contextlib.suppress(RefusedError):
                levels |= parse_levels({name: text})
        return levels

    @property
    def replica_dsns(self) -> tuple[str, ...]:
        """Raises crypto.SecretUnavailableError."""
        return tuple(crypto.decrypt(self.stored_replica_dsns).split())

    def dsn(self) -> Dsn:
        """How the engine connects. Raises crypto.SecretUnavailableError."""
        return Dsn(
            host=self.host,
            port=self.port,
            user=self.user,
            password=crypto.decrypt(self.stored_password),
            database=self.database,
            tls_mode=TlsMode(self.tls_mode),
            tls_ca_file=self.tls_ca_file,
        )
