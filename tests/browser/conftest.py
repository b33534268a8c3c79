"""A running application with a control database of its own, and a browser for each person.

Web server and worker are processes, as in production; all of them have ended when a test has,
whatever happened in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from playwright.sync_api import Browser, Page, expect

from playground.browsers import open_browser
from playground.children import Child
from playground.server import find_free_port

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
READY_TIMEOUT_SECS = 90
END_TIMEOUT_SECS = 30
# How long a page may take to show what a test waits for, on a busy machine.
SHOWN_TIMEOUT_MS = 60_000
WIDTH, HEIGHT = 1280, 900
expect.set_options(timeout=SHOWN_TIMEOUT_MS)

ACCOUNTS = """
from django.contrib.auth.models import Group, User
for name, role in (("rita", "Requesters"), ("axel", "Approvers"), ("olga", "Operators")):
    user = User.objects.create_user(name, password="the password of " + name, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
"""


@dataclasses.dataclass(frozen=True)
class Application:
    """A running application. url: its address without a final slash."""

    url: str
    folder: pathlib.Path

    def logs(self) -> str:
        """What its processes wrote, for a failing test."""
        return "\n".join(path.read_text(errors="replace") for path in self.folder.glob("*.log"))


def child(
    name: str, arguments: list[str], folder: pathlib.Path, environment: dict[str, str]
) -> Child:
    """A program of ours that ends with the test, whatever happens; it writes to ``name.log``."""
    return Child(
        name, [sys.executable, *arguments], environment=environment, folder=CHECKOUT,
        log=folder / f"{name}.log", grace_secs=END_TIMEOUT_SECS,
    )  # fmt: skip


def wait_until_it_answers(url: str, server: Child) -> None:
    """Until the web server shows its login page. Fails when it ends or takes too long."""
    deadline = time.monotonic() + READY_TIMEOUT_SECS
    while time.monotonic() < deadline:
        server.check()
        with (
            contextlib.suppress(urllib.error.URLError, ConnectionError),
            urllib.request.urlopen(f"{url}/admin/login/", timeout=10) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.1)
    pytest.fail(f"The web server did not come up:\n{server.log_tail()}")


@pytest.fixture
def application(tmp_path: pathlib.Path) -> Iterator[Application]:
    """Web server and worker on a control database of their own."""
    environment = {
        **os.environ,
        "VAR_DIR": str(tmp_path),
        "DATABASE_URL": f"sqlite:///{tmp_path / 'control.sqlite3'}",
        "DJANGO_SETTINGS_MODULE": "spirit_admin.settings",
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_ENCRYPTION_KEYS": ",".join(settings.FIELD_ENCRYPTION_KEYS),
        "RUNNER_CONCURRENCY": "1",
    }
    for arguments in (["migrate", "--verbosity", "0"], ["shell", "-c", ACCOUNTS]):
        subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=CHECKOUT, env=environment, check=True
        )
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    web = ["manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
    with (
        child("web", web, tmp_path, environment) as server,
        child("worker", ["manage.py", "worker"], tmp_path, environment),
    ):
        wait_until_it_answers(url, server)
        yield Application(url, tmp_path)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for all tests of a process; it finds nothing but this machine."""
    with open_browser() as opened:
        yield opened


Person = Callable[[str], Page]


@pytest.fixture
def person(browser: Browser, application: Application) -> Iterator[Person]:
    """Logs a person in, in a browser window of their own.

    A page that throws, or asks for anything but this site, fails the test at its end.
    """
    contexts = []
    faults: list[str] = []

    def log_in(name: str) -> Page:
        context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
        contexts.append(context)
        context.set_default_timeout(SHOWN_TIMEOUT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((application.url, "data:", "blob:"))
                else faults.append(f"{page.url} asked for {asked.url}")
            ),
        )
        page.goto(f"{application.url}/admin/")
        page.get_by_label("Username").fill(name)
        page.get_by_label("Password").fill(f"the password of {name}")
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Needs you").wait_for()
        return page

    yield log_in
    for context in contexts:
        context.close()
    assert not faults
