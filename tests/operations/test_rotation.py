"""Changing the key that encrypts secrets."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.conf import LazySettings
from django.core.management import CommandError, call_command

from migrations_app.models import NoticeChannel, Target
from tests.app.support import PASSWORD, make_target

ADDRESS = "json://127.0.0.1/secret-path"


@pytest.fixture
def stored(db: None, settings: LazySettings) -> tuple[str, str]:
    """Secrets under an old key; the old and the new key."""
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    settings.FIELD_ENCRYPTION_KEYS = [old]
    make_target()
    make_target(name="by name")
    Target.objects.filter(name="by name").update(stored_password="env:SPIRIT_SECRET_X")
    channel = NoticeChannel(name="team")
    channel.set_address(ADDRESS)
    channel.save()
    return old, new


def test_every_secret_gets_the_first_key(
    stored: tuple[str, str], settings: LazySettings, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = stored
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    with pytest.raises(CommandError, match=r"2 secret\(s\) still need an older key"):
        call_command("rotate_keys", "--check")
    call_command("rotate_keys")
    assert "2 secret(s) are encrypted with the first key now" in capsys.readouterr().out
    call_command("rotate_keys", "--check")
    settings.FIELD_ENCRYPTION_KEYS = [new]
    assert Target.objects.get(name="shop").dsn().password == PASSWORD
    assert NoticeChannel.objects.get().address() == ADDRESS
    assert Target.objects.get(name="by name").stored_password == "env:SPIRIT_SECRET_X"


def test_nothing_is_changed_when_one_cannot_be_read(
    stored: tuple[str, str], settings: LazySettings
) -> None:
    old, new = stored
    settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    lost = make_target(name="lost")
    before = list(Target.objects.order_by("pk").values_list("stored_password", flat=True))
    settings.FIELD_ENCRYPTION_KEYS = [new, old]
    with pytest.raises(CommandError, match=r"Nothing was changed.*target “lost”"):
        call_command("rotate_keys")
    assert before == list(Target.objects.order_by("pk").values_list("stored_password", flat=True))
    assert lost.has_password
