"""The form of a notice channel. An address goes in and never comes out: it holds secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldBooleanSwitchWidget,
)

from migrations_app import words
from migrations_app.models import NoticeChannel, Target
from migrations_app.notices import addresses
from migrations_app.notices.kinds import KINDS, Kind

if TYPE_CHECKING:
    ModelForm = forms.ModelForm[NoticeChannel]
else:  # Django's own cannot be subscripted while it runs
    ModelForm = forms.ModelForm


def kind_label(kind: Kind) -> str:
    """A kind of event as a choice: ``Failed: a migration has failed (usual)``."""
    headline = f"{kind.headline[0].lower()}{kind.headline[1:]}"
    usual = " (usual)" if kind.is_usual else ""
    return f"{words.event_label(kind.name)}: {headline}{usual}"


class NoticeChannelForm(ModelForm):
    """Where notices go and which. An empty address keeps the one that is stored."""

    address = forms.CharField(
        required=False,
        widget=UnfoldAdminPasswordWidget(
            attrs={"autocomplete": "new-password"}, render_value=False
        ),
        help_text="In apprise's form, such as slack://token-a/token-b/token-c,"
        " mailtos://user:password@mail.example?to=team@mail.example or jsons://hooks.example/path."
        " Stored encrypted and never shown again. Or write env:SPIRIT_SECRET_NAME to have the"
        " workers read it from that environment variable.",
    )
    is_shared = forms.BooleanField(
        required=False,
        label="For the whole team",
        widget=UnfoldBooleanSwitchWidget,
        help_text="A team's channel is told of every request. Your own only of what concerns you:"
        " requests of yours, those you approved, and those that wait for your approval."
        " This cannot be changed later.",
    )
    kinds = forms.MultipleChoiceField(
        required=False,
        label="Events",
        choices=[(kind.name, kind_label(kind)) for kind in KINDS.values()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="None chosen: the usual ones.",
    )

    targets = forms.ModelMultipleChoiceField(
        required=False,
        queryset=Target.objects.all(),
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Only what happens on these. None chosen: all.",
    )

    class Meta:
        model = NoticeChannel
        fields = ("name", "targets", "kinds", "is_active")
        labels = {"is_active": "Switched on"}
        help_texts = {
            "name": "How people recognise it. No secrets here.",
            "is_active": "While it is off, nothing is sent, nor kept for later.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.stored_address:
            self.fields["address"].help_text = (
                f"Stored is {addresses.shown(self.instance)}; leave this empty to keep it. "
                f"{self.fields['address'].help_text}"
            )

    def clean_address(self) -> str:
        """Refused now, in words, rather than by the first notice."""
        typed = str(self.cleaned_data["address"]).strip()
        if not typed:
            if not self.instance.stored_address:
                raise forms.ValidationError("Where shall notices go? Write an address.")
            return ""
        try:
            addresses.check(typed)
        except addresses.AddressRefusedError as error:
            raise forms.ValidationError(str(error)) from None
        return typed

    def save(self, commit: bool = True) -> NoticeChannel:
        """Keep what was typed; an empty address leaves the stored one alone."""
        if self.cleaned_data["address"]:
            self.instance.set_address(self.cleaned_data["address"])
        return super().save(commit)
