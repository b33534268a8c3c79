"""The form in which a change is written: each option explained in a sentence, each error in words.

The form checks what can be known without a server: is this a statement the engine accepts? The
table itself is looked at when the draft is submitted.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from django import forms

from migrations_app.engine import RefusedError, parse_change
from migrations_app.hours import validate_start
from migrations_app.models import MigrationRequest, Target

HOUR_SECS = 3600
OPTION_FIELDS = ("strict", "defer_cutover", "skip_drop", "autoscale")
INDEX_CHOICES = (
    ("auto", "After the copy, where that pays"),
    ("on", "After the copy, always"),
    ("off", "During the copy"),
)


if TYPE_CHECKING:
    ModelForm = forms.ModelForm[MigrationRequest]
else:  # Django's own cannot be subscripted while it runs
    ModelForm = forms.ModelForm


class SubmitForm(ModelForm):
    """A request as a person writes it; ``save`` gives a draft that is not stored yet."""

    checkpoint_max_age_hours = forms.IntegerField(
        min_value=1,
        max_value=24 * 365,
        initial=24 * 7,
        label="A checkpoint is too old after (hours)",
        help_text="An older one is not resumed from: catching up would take longer than copying.",
    )
    defer_indexes = forms.ChoiceField(
        choices=INDEX_CHOICES,
        initial="auto",
        label="Secondary indexes are built",
        help_text="After the copy is faster for large tables, but it is one long statement for"
        " replicas.",
    )

    class Meta:
        model = MigrationRequest
        fields = (
            "target",
            "statement",
            "title",
            "reason",
            "acknowledgement",
            "volume",
            "start_after",
            "hours",
            "strict",
            "defer_cutover",
            "skip_drop",
            "autoscale",
            "defer_indexes",
        )
        labels = {
            "reason": "Why",
            "acknowledgement": "Why unsafe parts are meant",
            "start_after": "Not before",
            "hours": "Only in these hours",
            "volume": "Volume",
            "strict": "Never begin again by itself (strict)",
            "defer_cutover": "Wait for an order before the cut-over",
            "skip_drop": "Keep the old table",
            "autoscale": "Adapt the number of threads to the server",
        }
        help_texts = {
            "target": "The MySQL server and schema that hold the table.",
            "statement": "One ALTER TABLE, CREATE INDEX or DROP INDEX, or several, separated by"
            " semicolons. The table stays in full use while it runs.",
            "title": "A few words by which others recognise it in lists.",
            "reason": "What the approver should know: why now, and what depends on it.",
            "acknowledgement": "Only if it drops or narrows something: what makes that safe."
            " Approvers read it.",
            "volume": "How fast it may go. It can be changed while the migration runs.",
            "start_after": "It is not begun before this time, even if it is started earlier.",
            "hours": "It is only begun, and its tables are only swapped, in these hours, such as"
            " Mon-Fri 22:00-06:00, in the time zone of the target.",
            "strict": "If a checkpoint can no longer be used, the run fails and asks, instead of"
            " copying every row again.",
            "defer_cutover": "The copy is kept up to date until an operator orders the swap, for"
            " example in a quiet hour.",
            "autoscale": "More threads copy while that is faster and the application does not feel"
            " it, fewer while it does; chunks are short while others write to the server. All"
            " within the bounds of the volume.",
            "skip_drop": "It stays beside the new one, under another name, until someone drops it.",
        }
        error_messages = {
            "target": {"required": "Choose the server and schema that hold the table."},
            "statement": {"required": "Write the ALTER TABLE that should be run."},
        }
        widgets = {
            "statement": forms.Textarea(
                attrs={
                    "rows": 9,
                    "spellcheck": "false",
                    "autocapitalize": "off",
                    "placeholder": "ALTER TABLE orders ADD COLUMN note VARCHAR(200) NULL",
                    "class": "sp-input sp-code",
                    "data-sql": True,
                }
            ),
            "reason": forms.Textarea(attrs={"rows": 3}),
            "acknowledgement": forms.Textarea(attrs={"rows": 2}),
            "start_after": forms.DateTimeInput(
                attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"
            ),
            "volume": forms.NumberInput(
                attrs={
                    "type": "range",
                    "min": 1,
                    "max": 11,
                    "step": 1,
                    "class": "sp-range",
                    "data-describes": "volume-meaning",
                }
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        target = self.fields["target"]
        assert isinstance(target, forms.ModelChoiceField)
        target.empty_label = "Choose a target"
        targets = Target.objects.order_by("name")
        target.queryset = targets
        if not self.is_bound and targets.count() == 1:
            self.initial.setdefault("target", targets.first())
        if self.instance.pk is not None:
            hours = max(1, self.instance.checkpoint_max_age_secs // HOUR_SECS)
            self.initial.setdefault("checkpoint_max_age_hours", hours)
        for name, field in self.fields.items():
            if name not in OPTION_FIELDS:
                field.widget.attrs.setdefault("class", "sp-input")

    def clean_start_after(self) -> dt.datetime | None:
        moment: dt.datetime | None = self.cleaned_data["start_after"]
        if moment is not None:
            validate_start(moment)
        return moment

    def clean_statement(self) -> str:
        """The statement without outer space and without a final semicolon."""
        return str(self.cleaned_data["statement"]).strip().rstrip(";").rstrip()

    def clean(self) -> dict[str, Any]:
        """What needs both the statement and the target: is it one, and does the volume fit?"""
        data = super().clean() or self.cleaned_data
        statement, target = data.get("statement"), data.get("target")
        if statement:
            try:
                parse_change(statement, target.database if target else "schema")
            except RefusedError as error:
                self.add_error("statement", error.reasons)
        volume = data.get("volume")
        if target and volume and volume > target.max_volume:
            self.add_error(
                "volume", f"{target} allows a volume of {target.max_volume} at most, not {volume}."
            )
        return data

    def save(self, commit: bool = True) -> MigrationRequest:
        """The request with what was typed; it is stored by ``commands``, or as a new draft."""
        hours = self.cleaned_data["checkpoint_max_age_hours"]
        self.instance.checkpoint_max_age_secs = hours * HOUR_SECS
        return super().save(commit)
