"""``script/screenshots``: a picture of every page, empty, usual, extreme and failing."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from playground import control
from playground.server import CHECKOUT, PrivateServer
from playground.stage import STATEMENT, Stage

FOLDER = CHECKOUT / "var/screenshots"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_SIZES = {"phone": (360, 780), "laptop": (1280, 900), "wide": (3840, 2160)}
_UP_SECS = 60.0
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
    shots.append(Shot("not-found", f"{_ADMIN}/migrationrequest/999999/change/"))
    return shots


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


def main(arguments: list[str]) -> int:
    given = _options(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="spirit-pictures-") as folder,
        PrivateServer() as server,
        _web_server(pathlib.Path(folder)) as address,
    ):
        accounts = control.create_accounts()
        with _browser() as browser:
            _take(browser, address, accounts, EMPTY, given)
            _make_target(server)
            numbers = Stage().fill()
            _take(browser, address, accounts, usual(numbers), given)
        control.close()
    return 0


def _make_target(server: PrivateServer) -> None:
    server.execute("CREATE DATABASE shop")
    server.execute(
        "CREATE TABLE orders (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL,"
        " note VARCHAR(200), created DATETIME NOT NULL DEFAULT NOW(), KEY customer (customer))",
        schema="shop",
    )
    server.execute(
        "INSERT INTO orders (customer, note) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT "
        "i + 1 FROM n WHERE i < 900) SELECT a.i, 'a note' FROM n a JOIN n b WHERE b.i < 50",
        schema="shop",
    )
    control.create_target(
        host=server.host, port=server.port, user="root", password=server.password, schema="shop"
    )


def _take(
    browser: Browser,
    address: str,
    accounts: dict[str, control.Account],
    shots: list[Shot],
    given: argparse.Namespace,
) -> None:
    for size in given.sizes:
        for scheme in given.schemes:
            people: dict[str, Page] = {}
            for shot in shots:
                if given.only and not any(word in shot.name for word in given.only):
                    continue
                if shot.who not in people:
                    people[shot.who] = _log_in(browser, address, accounts, shot.who, size, scheme)
                _shoot(people[shot.who], address, shot, f"{shot.name}-{size}-{scheme}.png")
            for page in people.values():
                page.context.close()


def _shoot(page: Page, address: str, shot: Shot, name: str) -> None:
    page.goto(address + shot.path)
    if shot.prepare is not None:
        shot.prepare(page)
    page.wait_for_load_state("networkidle") if shot.prepare else page.wait_for_load_state()
    page.screenshot(path=FOLDER / name, full_page=True)
    print(FOLDER.relative_to(CHECKOUT) / name, flush=True)


def _log_in(
    browser: Browser,
    address: str,
    accounts: dict[str, control.Account],
    who: str,
    size: str,
    scheme: str,
) -> Page:
    width, height = _SIZES[size]
    options: dict[str, Any] = {"color_scheme": scheme}
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    page.goto(f"{address}/admin/login/")
    # The theme of the pages is the reader's choice, which they keep in the browser.
    page.evaluate("scheme => localStorage.setItem('_x_adminTheme', JSON.stringify(scheme))", scheme)
    if who:
        page.get_by_label("Username").fill(accounts[who].name)
        page.get_by_label("Password").fill(accounts[who].password)
        page.get_by_role("button", name="Log in").click()
        page.wait_for_url(f"{address}/admin/")
    return page


@contextlib.contextmanager
def _browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if program is None:
        raise SystemExit(f"No browser was found (looked for {', '.join(_BROWSERS)}).")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        launched = playwright.chromium.launch(executable_path=program, args=arguments)
        try:
            yield launched
        finally:
            launched.close()


@contextlib.contextmanager
def _web_server(folder: pathlib.Path) -> Iterator[str]:
    """The pages on a control database of their own; their address."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "spirit_admin.settings",
        "VAR_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'control.sqlite3'}",
        "GENERATE_KEYS": "on",
    }
    # The accounts are made while Playwright's loop runs, where Django would refuse to work.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "on"
    control.set_up(environment)
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    address = f"http://127.0.0.1:{port}"
    with open(folder / "web.log", "wb") as log:
        web = subprocess.Popen(
            [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
            cwd=CHECKOUT, env={**os.environ, **environment}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + _UP_SECS
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/admin/login/", timeout=10).close()
                break
            if time.monotonic() > deadline or web.poll() is not None:
                raise SystemExit((folder / "web.log").read_text())
            time.sleep(0.1)
        yield address
    finally:
        web.terminate()
        web.wait()


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/screenshots",
        description="Pictures of every page, in var/screenshots.",
    )
    parser.add_argument("only", nargs="*", help="only those whose name has one of these words")
    parser.add_argument("--sizes", nargs="*", choices=_SIZES, default=list(_SIZES))
    parser.add_argument(
        "--schemes", nargs="*", choices=("light", "dark"), default=["light", "dark"]
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
