"""The form of a target. Secrets go in and never come out: no page holds them, not even masked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib.auth.models import Group
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldBooleanSwitchWidget,
)

from migrations_app import crypto
from migrations_app.engine import Dsn, RefusedError
from migrations_app.engine.lint import parse_levels
from migrations_app.models import FINAL_STATES, State, Target

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[Target]
else:  # Django's own cannot be subscripted while it runs
    ModelForm = forms.ModelForm


class TargetForm(ModelForm):
    """A target's address, account and policy. An empty secret keeps the one that is stored."""

    password = forms.CharField(
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(
            attrs={"autocomplete": "new-password"}, render_value=False
        ),
        help_text="Stored encrypted and never shown again. Or write env:SPIRIT_SECRET_NAME to"
        " have the workers read it from that environment variable.",
    )
    replicas = forms.CharField(
        required=False,
        label="Replicas",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "autocomplete": "off"}),
        help_text="Replicas whose lag pauses a copy: one mysql://user:password@host:3306/schema a"
        " line. Stored encrypted and never shown again.",
    )
    approver_groups = forms.ModelMultipleChoiceField(
        required=False,
        queryset=Group.objects.order_by("name"),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Only approvals by members of one of these count. None chosen: every approver's.",
    )
    forget_replicas = forms.BooleanField(
        required=False,
        label="Forget the stored replicas",
        widget=UnfoldBooleanSwitchWidget,
        help_text="Copies are then no longer paused for the lag of replicas.",
    )

    lint_levels = forms.CharField(
        required=False,
        label="Lint levels",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="Another level for a lint rule, one rule = level a line, such as"
        " drop-column = refuse. Levels: refuse, acknowledge, warn, advise, off.",
    )

    class Meta:
        model = Target
        fields = (
            "name",
            "host",
            "port",
            "user",
            "database",
            "tls_mode",
            "tls_ca_file",
            "required_approvals",
            "approver_groups",
            "allowed_hours",
            "time_zone",
            "max_volume",
            "max_concurrent_runs",
            "replica_max_lag_secs",
            "max_threads_running",
            "lint_levels",
        )
        help_texts = {
            "database": "The schema whose tables may be changed.",
            "user": "The MySQL account that makes the changes.",
        }
        labels = {
            "max_threads_running": "Threads running, at most",
            "replica_max_lag_secs": "Replica lag, at most (s)",
            "max_volume": "Highest volume",
            "max_concurrent_runs": "Runs at once",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        levels = self.instance.lint_levels
        self.initial["lint_levels"] = "\n".join(
            f"{rule} = {level}" for rule, level in levels.items()
        )
        if self.instance.has_password:
            self.fields["password"].help_text += " Leave empty to keep the stored one."
        if self.instance.stored_replica_dsns:
            self.fields["replicas"].help_text += " Some are stored; leave empty to keep them."

    def clean_replicas(self) -> list[str]:
        """One DSN a line. A bad one is named by its line, so that no password is repeated."""
        lines = str(self.cleaned_data["replicas"]).split()
        for number, line in enumerate(lines, start=1):
            try:
                Dsn.parse(line)
            except RefusedError as error:
                raise forms.ValidationError(f"Line {number}: {error}") from None
        return lines

    def clean_lint_levels(self) -> dict[str, str]:
        """One ``rule = level`` a line; every mistake is named by its line."""
        levels: dict[str, str] = {}
        mistakes = []
        for number, line in enumerate(str(self.cleaned_data["lint_levels"]).splitlines(), start=1):
            name, separator, level = (part.strip().lower() for part in line.partition("="))
            if not line.strip():
                continue
            try:
                if not separator:
                    raise RefusedError(f"{line.strip()!r} is not like drop-column = refuse.")
                if name in levels:
                    raise RefusedError(f"{name} was given a level already.")
                parse_levels({name: level})
            except RefusedError as error:
                mistakes.append(f"Line {number}: {error}")
            levels[name] = level
        if mistakes:
            raise forms.ValidationError(mistakes)
        return levels

    def clean_password(self) -> str:
        """A reference is refused now, not by the first run, when it could never be read."""
        password = str(self.cleaned_data["password"])
        prefix = settings.SECRET_VARIABLES_PREFIX
        name = password.removeprefix(crypto.ENV_PREFIX)
        if password.startswith(crypto.ENV_PREFIX) and not name.startswith(prefix):
            raise forms.ValidationError(f"Only variables that begin with {prefix} may be named.")
        return password

    def clean(self) -> dict[str, Any]:
        """A CA is needed where a certificate is to be verified, and the password again where
        another server would be given it."""
        data = super().clean() or self.cleaned_data
        moved = {"host", "port"} & set(self.changed_data)
        if moved and self.instance.has_password and not data.get("password"):
            self.add_error(
                "password", "Enter the password again: a stored one is not sent to another server."
            )
        moved = {"host", "port", "database"} & set(self.changed_data)
        if moved and self._open_requests():
            self.add_error(
                min(moved),
                f"{self._open_requests()} request(s) on this target have been approved or begun, "
                f"for the tables that are there. Let them end first, or add another target.",
            )
        if str(data.get("tls_mode", "")).startswith("verify") and not data.get("tls_ca_file"):
            self.add_error("tls_ca_file", "Name the CA's file, or verification can only fail.")
        return data

    def _open_requests(self) -> int:
        """Requests that people have agreed to for where the target is now."""
        if self.instance._state.adding:
            return 0
        rows = self.instance.requests.exclude(state__in=(*FINAL_STATES, State.DRAFT))
        return int(rows.count())

    def save(self, commit: bool = True) -> Target:
        """Keep what was typed; an empty secret leaves the stored one alone."""
        if self.cleaned_data["password"]:
            self.instance.set_password(self.cleaned_data["password"])
        if self.cleaned_data["replicas"]:
            self.instance.set_replica_dsns(self.cleaned_data["replicas"])
        elif self.cleaned_data["forget_replicas"]:
            self.instance.set_replica_dsns([])
        return super().save(commit)
