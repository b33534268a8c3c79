"""The user guide says what the pages say: its words in bold are on them as they are written."""

from __future__ import annotations

import html
import pathlib
import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from migrations_app.models import Target
from playground import control
from playground.shots import usual
from playground.stage import STATEMENT, Stage
from tests.conftest import Schema
from tests.pages.test_pages import url

GUIDE = pathlib.Path(__file__).parents[2] / "docs/guide.md"


def plain(markup: str) -> str:
    """What a person reads of a page, on one line."""
    without_code = re.sub(r"<(script|style)\b.*?</\1>", " ", markup, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without_code)).split())


@pytest.fixture
def pages(db: None, schema: Schema) -> str:
    """The text of every page, with something to show, as whoever the page is for."""
    schema.execute("CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(200), KEY (note))")
    control.create_accounts()
    control.create_administrator()
    dsn = schema.dsn
    control.create_target(
        host=dsn.host, port=dsn.port, user=dsn.user, password=dsn.password, schema=dsn.database
    )
    numbers = Stage().fill()
    clients: dict[str, Client] = {}
    texts = []
    for shot in usual(numbers):
        if shot.who not in clients:
            clients[shot.who] = Client()
            clients[shot.who].force_login(User.objects.get(username=shot.who))
        texts.append(plain(clients[shot.who].get(shot.path).content.decode()))
    checked = clients["requester"].post(
        url("migrationrequest_check"),
        {"target": Target.objects.get().pk, "statement": STATEMENT, "defer_indexes": "auto"},
    )
    texts.append(plain(checked.content.decode()))
    return "\n".join(texts)


def test_the_words_in_bold_are_on_the_pages(pages: str) -> None:
    text = " ".join(GUIDE.read_text().split())
    bold = set(re.findall(r"\*\*(.+?)\*\*", text)) - {"bold"}
    assert len(bold) > 50
    assert {words for words in bold if words not in pages} == set()


def test_every_picture_of_the_guide_is_there() -> None:
    named = re.findall(r"\]\((images/[^)]+)\)", GUIDE.read_text())
    assert len(named) == 6
    assert [name for name in named if not (GUIDE.parent / name).is_file()] == []
