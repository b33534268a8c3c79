"""``script/screenshots``: pictures of every page, and what is wrong with it."""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import socket
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, Page

from playground import control
from playground.browsers import open_browser
from playground.children import Child
from playground.inspection import Inspector
from playground.server import CHECKOUT, PrivateServer
from playground.shots import EMPTY, GUIDE, Shot, usual
from playground.stage import Stage

FOLDER = CHECKOUT / "var/screenshots"
IMAGES = CHECKOUT / "docs/images"
_SIZES = {"phone": (360, 780), "laptop": (1280, 900), "wide": (3840, 2160)}
_UP_SECS = 60.0
_END_SECS = 10.0


def main(arguments: list[str]) -> int:
    given = _options(arguments)
    if given.guide:
        given.sizes, given.schemes, given.only = ["laptop"], ["light"], list(GUIDE.values())
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="spirit-pictures-") as folder,
        PrivateServer() as server,
        _web_server(pathlib.Path(folder)) as address,
    ):
        accounts = control.create_accounts()
        accounts["administrator"] = control.create_administrator()
        with open_browser() as browser:
            visitor = _Visitor(browser, address, accounts, given)
            visitor.visit(EMPTY)
            _make_target(server)
            visitor.visit(usual(Stage().fill()))
        control.close()
    for problem, where in visitor.problems.items():
        print(f"WRONG: {problem}\n       {', '.join(where[:6])}")
    print(f"{visitor.visited} pages looked at, {len(visitor.problems)} problems.")
    return 1 if visitor.problems else 0


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


class _Visitor:
    """Looks at pages as each person. problems: what is wrong, and where."""

    def __init__(
        self,
        browser: Browser,
        address: str,
        accounts: dict[str, control.Account],
        given: argparse.Namespace,
    ) -> None:
        self.problems: dict[str, list[str]] = {}
        self.visited = 0
        self._browser = browser
        self._address = address
        self._accounts = accounts
        self._given = given
        self._inspector = Inspector(address)

    def visit(self, shots: list[Shot]) -> None:
        """Look at each of them, and take its picture."""
        only = self._given.only
        chosen = [shot for shot in shots if not only or any(word in shot.name for word in only)]
        for size in self._given.sizes:
            for scheme in self._given.schemes:
                people: dict[str, Page] = {}
                for shot in chosen:
                    if shot.who not in people:
                        people[shot.who] = self._log_in(shot.who, size, scheme)
                    self._look(people[shot.who], shot, f"{shot.name}-{size}-{scheme}")
                for page in people.values():
                    page.context.close()

    def _look(self, page: Page, shot: Shot, name: str) -> None:
        page.goto(self._address + shot.path)
        if shot.prepare is not None:
            shot.prepare(page)
        page.wait_for_load_state("networkidle") if shot.prepare else page.wait_for_load_state()
        self.visited += 1
        if not self._given.no_pictures:
            page.screenshot(path=FOLDER / f"{name}.png", full_page=True)
            print(FOLDER.relative_to(CHECKOUT) / f"{name}.png", flush=True)
        if self._given.guide and shot.name in GUIDE.values():
            image = next(image for image, name in GUIDE.items() if name == shot.name)
            page.screenshot(path=IMAGES / f"{image}.png")
        for problem in self._inspector.problems(page):
            self.problems.setdefault(problem, []).append(name)

    def _log_in(self, who: str, size: str, scheme: str) -> Page:
        width, height = _SIZES[size]
        options: dict[str, Any] = {"color_scheme": scheme}
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", **options
        )
        self._inspector.watch(context)
        page = context.new_page()
        page.goto(f"{self._address}/admin/login/")
        # The theme of the pages is the reader's choice, which they keep in the browser.
        page.evaluate(
            "theme => localStorage.setItem('_x_adminTheme', JSON.stringify(theme))", scheme
        )
        if who:
            page.get_by_label("Username").fill(self._accounts[who].name)
            page.get_by_label("Password").fill(self._accounts[who].password)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_url(f"{self._address}/admin/")
        return page


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
    web = Child(
        "web server",
        [sys.executable, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
        environment={**os.environ, **environment},
        folder=CHECKOUT,
        log=folder / "web.log",
        grace_secs=_END_SECS,
    )
    with web:
        deadline = time.monotonic() + _UP_SECS
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/admin/login/", timeout=10).close()
                break
            web.check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"The web server did not answer:\n{web.log_tail()}")
            time.sleep(0.1)
        yield address


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/screenshots",
        description="Pictures of every page, in var/screenshots. Exit code 1: a page has a grave"
        " fault in accessibility, breaks the security policy, asks for anything but this site, has"
        " an error in its console, or is wider than its window.",
    )
    parser.add_argument("only", nargs="*", help="only those whose name has one of these words")
    parser.add_argument("--sizes", nargs="*", choices=_SIZES, default=list(_SIZES))
    parser.add_argument(
        "--schemes", nargs="*", choices=("light", "dark"), default=["light", "dark"]
    )
    parser.add_argument("--no-pictures", action="store_true", help="only look for problems")
    parser.add_argument(
        "--guide", action="store_true", help="the pictures of the guide and the README anew"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
