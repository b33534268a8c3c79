"""Every page that is looked at: as whom, and what they do first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from playwright.sync_api import Page

from playground.stage import STATEMENT

_ADMIN = "/admin/migrations_app"


@dataclasses.dataclass(frozen=True, slots=True)
class Shot:
    """A page as somebody sees it. prepare: what they do first."""

    name: str
    path: str
    who: str = "operator"
    prepare: Callable[[Page], None] | None = None


def usual(numbers: dict[str, int]) -> list[Shot]:
    """Every page, once there is something to show."""
    shots = [
        Shot("home-requester", "/admin/", "requester"),
        Shot("home-approver", "/admin/", "approver"),
        Shot("home-operator", "/admin/", "operator"),
        Shot("requests", f"{_ADMIN}/migrationrequest/"),
        Shot("submit", f"{_ADMIN}/migrationrequest/add/", "requester"),
        Shot("submit-checked", f"{_ADMIN}/migrationrequest/add/", "requester", _write(STATEMENT)),
        Shot(
            "submit-unsafe", f"{_ADMIN}/migrationrequest/add/", "requester",
            _write("ALTER TABLE orders DROP COLUMN note, MODIFY id INT NOT NULL"),
        ),
        Shot(
            "submit-wrong", f"{_ADMIN}/migrationrequest/add/", "requester",
            _write("ALTER TABEL orders ADD COLUMN note INT"),
        ),
    ]  # fmt: skip
    for name, number in numbers.items():
        who = {"submitted": "approver", "long": "approver", "draft": "requester"}.get(name)
        shots.append(
            Shot(
                f"request-{name}", f"{_ADMIN}/migrationrequest/{number}/change/", who or "operator"
            )
        )
    lists = (
        "event", "checkpoint", "run", "command", "target", "worker", "apitoken", "noticechannel",
        "noticedelivery",
    )  # fmt: skip
    shots += [Shot(f"{name}s", f"{_ADMIN}/{name}/") for name in lists]
    shots.append(Shot("target", f"{_ADMIN}/target/1/change/"))
    shots.append(Shot("token-make", f"{_ADMIN}/apitoken/add/"))
    shots.append(Shot("notice-add", f"{_ADMIN}/noticechannel/add/"))
    shots += [
        Shot(name, f"/admin/auth/{path}/", "administrator")
        for name, path in (
            ("people", "user"),
            ("person", "user/1/change"),
            ("person-add", "user/add"),
            ("roles", "group"),
        )
    ]
    shots.append(Shot("not-found", f"{_ADMIN}/migrationrequest/999999/change/"))
    return shots


# Of the guide and the README: name of a picture, and of the page that it shows the top of.
GUIDE = {
    "home": "home-operator",
    "submit": "submit-checked",
    "request": "request-running",
    "fallback": "request-fallback",
    "cut-over": "request-cutting_over",
    "requests": "requests",
}

EMPTY = [
    Shot("empty-home", "/admin/"),
    Shot("empty-requests", f"{_ADMIN}/migrationrequest/"),
    Shot("empty-submit", f"{_ADMIN}/migrationrequest/add/", "requester"),
    Shot("empty-events", f"{_ADMIN}/event/"),
    Shot("empty-targets", f"{_ADMIN}/target/"),
    Shot("login", "/admin/login/", ""),
]


def _write(statement: str) -> Callable[[Page], None]:
    def write(page: Page) -> None:
        page.get_by_label("Statement").fill(statement)
        with page.expect_response(lambda answer: answer.url.endswith("/check/")):
            pass
        page.locator("#checked").locator("dl, .sp-field-error").first.wait_for()

    return write
