"""Which addresses are accepted; what is refused is refused in words, without the address."""

from __future__ import annotations

import logging

import pytest

from migrations_app.notices import addresses
from migrations_app.notices.discretion import WithoutAddresses
from tests.notices.support import SECRET, make_channel


@pytest.mark.parametrize(
    "address",
    [
        "json://127.0.0.1:8000/hook",
        "jsons://user:password@hooks.example/path?method=PUT",
        "xmls://hooks.example/path",
        "mailtos://spirit:password@mail.example?to=team@mail.example",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general",
        "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
        "tgram://123456789:abcdefg_hijklmnop/12315544",
        "workflows://prod.example.westus.logic.azure.com:443/643e69f83c8944/Abcdef123/",
        "ntfys://ntfy.example/changes",
        "gotify://gotify.example/AbCdEfGhIjKlMnO",
        "mmosts://mattermost.example/4v9p6pjxqpgxbmbq8wgxufmtuo",
        "pagerduty://an-integration-key@an-api-key",
        "gchat://space/key/token",
        "env:SPIRIT_SECRET_CHAT",
    ],
)
def test_services_on_the_network_are_accepted(address: str) -> None:
    addresses.check(address)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("syslog://", "syslog:// are not accepted"),
        ("dbus://", "dbus:// are not accepted"),
        ("windows://", "windows:// are not accepted"),
        ("macosx://", "macosx:// are not accepted"),
        ("gnome://", "gnome:// are not accepted"),
        ("file:///etc/passwd", "file:// are not accepted"),
        ("mqtt://user:SECRET@broker.example/topic", "mqtt:// are not accepted"),
        ("SYSLOG://SECRET", "syslog:// are not accepted"),
        ("https://hooks.example/SECRET", "write jsons:// instead"),
        ("http://hooks.example/SECRET", "write json:// instead"),
        ("https://api.pushed.co/SECRET", "belongs to no service"),
        ("slack://SECRET", "not how an address of slack://"),
        ("SECRET", "begins with its service"),
        ("", "one address"),
        ("json://a.example json://SECRET.example", "one address"),
        ("json://a.example\nBcc:SECRET", "one address"),
        ("json://a.example/?method=DELETE&x=SECRET", "POST or PUT"),
        (
            (
                "workflows://prod.example.westus.logic.azure.com:443/643e69f83c8944/Abcdef123/"
                "?template=/etc/SECRET"
            ),
            "parameter template",
        ),
        (
            "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/?TEMPLATE=/etc/SECRET",
            "parameter template",
        ),
        (
            (
                "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
                "?template=/etc/SECRET"
            ),
            "parameter template",
        ),
        (
            "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js?template=/etc/SECRET",
            "parameter template",
        ),
        ("mailto://u:p@mail.example?pgp=encrypt&pgppub=/etc/SECRET", "parameter pgp"),
        ("mailto://u:p@mail.example?pgpprv=/etc/SECRET", "parameter pgpprv"),
        ("env:SECRET_KEY", "begin with SPIRIT_SECRET_"),
    ],
)
def test_what_is_no_service_on_the_network_is_refused_in_words(address: str, words: str) -> None:
    typed = address.replace("SECRET", SECRET) if "SECRET_" not in address else address
    with pytest.raises(addresses.AddressRefusedError) as refused:
        addresses.check(typed)
    assert words in str(refused.value)
    assert SECRET not in str(refused.value)


def test_the_services_are_a_setting(settings: object) -> None:
    settings.NOTICE_SCHEMES = ["slack"]  # type: ignore[attr-defined]
    with pytest.raises(addresses.AddressRefusedError, match="These are: slack"):
        addresses.check("json://127.0.0.1/")
    settings.NOTICE_SCHEMES = ["https", "jsons"]  # type: ignore[attr-defined]
    with pytest.raises(addresses.AddressRefusedError, match="slack:// are not accepted"):
        addresses.check(
            "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
        )


def test_logging_that_was_set_up_twice_says_as_much_as_once() -> None:
    record = logging.LogRecord("apprise", logging.WARNING, "", 1, f"{SECRET} error=503.", (), None)
    for _ in range(2):
        assert WithoutAddresses().filter(record)
    assert record.getMessage() == "the service answered with the status 503"


@pytest.mark.django_db
def test_an_address_is_stored_encrypted_and_only_its_service_is_shown() -> None:
    channel = make_channel(f"Slack://{SECRET}")
    assert SECRET not in channel.stored_address
    assert addresses.shown(channel) == "slack://…"
    channel.set_address("env:SPIRIT_SECRET_CHAT")
    assert addresses.shown(channel) == "env:SPIRIT_SECRET_CHAT"
    channel.stored_address = "encrypted with a key that is gone"
    assert addresses.shown(channel) == "cannot be read"
