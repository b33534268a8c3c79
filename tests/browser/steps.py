"""What people do in the pages, as steps of tests; and load on the target that holds a copy back."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import MySQLdb
from playwright.sync_api import Page, expect

from tests.conftest import Schema
from tests.engine.support import wait_until

COPY_TIMEOUT_MS = 180_000
# Root's own look and the binary log's reader run too.
RUNNING_AT_MOST = 6
_SLEEPERS = 12


def wait_for_rows(schema: Schema, table: str) -> None:
    """Until the table is there and has a row."""
    there = "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"
    wait_until(
        lambda: (
            schema.execute(there, schema.name, table)
            and schema.execute(f"SELECT 1 FROM `{table}` LIMIT 1")
        ),
        f"rows in {table}",
        120,
    )


def fill_orders(schema: Schema, thousands: int = 50) -> None:
    """A table with so many thousands of rows, made on the server."""
    schema.execute("CREATE TABLE orders (id INT PRIMARY KEY, amount INT NOT NULL)")
    schema.execute(
        "INSERT INTO orders SELECT /*+ SET_VAR(cte_max_recursion_depth = 2000) */"
        " a.n * 1000 + b.n, b.n FROM"
        " (WITH RECURSIVE s AS (SELECT 0 n UNION ALL SELECT n + 1 FROM s WHERE n < %s)"
        " SELECT n FROM s) a,"
        " (WITH RECURSIVE s AS (SELECT 1 n UNION ALL SELECT n + 1 FROM s WHERE n < 1000)"
        " SELECT n FROM s) b",
        thousands - 1,
    )


def add_target(page: Page, schema: Schema, *, running_at_most: int | None = None) -> None:
    """The operator adds the server, and tests the connection."""
    dsn = schema.dsn
    page.get_by_role("link", name="Add a target").click()
    page.get_by_label("Name").fill("Shop")
    page.get_by_label("Host").fill(dsn.host)
    page.get_by_label("Port").fill(str(dsn.port))
    page.locator("#id_database").fill(dsn.database)
    page.locator("#id_user").fill(dsn.user)
    page.locator("#id_password").fill(dsn.password)
    if running_at_most is not None:
        page.locator("#id_max_threads_running").fill(str(running_at_most))
    page.get_by_role("button", name="Save and continue editing").click()
    page.get_by_role("button", name="Test the connection").click()
    expect(page.locator("[data-report=good]")).to_be_visible()
    assert dsn.password not in page.content()


def submit(page: Page, statement: str, title: str = "A note", *options: str) -> str:
    """The requester writes a change, with the options ticked. Returns the address of its page."""
    page.goto(f"{page.url.partition('/admin/')[0]}/admin/")
    page.get_by_role("link", name="Submit a change").last.click()
    page.get_by_label("Statement").fill(statement)
    page.get_by_label("Title").fill(title)
    for option in options:
        page.get_by_label(option).check()
    page.get_by_role("button", name="Submit for approval").click()
    is_in(page, "submitted")
    return page.url


def approve(page: Page, address: str, comment: str = "Fine with me.") -> None:
    """The approver reads it and approves."""
    page.goto(address)
    page.locator("#order-approve > summary").click()
    page.locator("#comment-approve").fill(comment)
    page.get_by_role("button", name="Approve").click()
    is_in(page, "approved")


def give(page: Page, order: str) -> None:
    """Press an order's button: at once, or after opening it and typing what it asks for."""
    part = page.locator(f"[data-order={order}]")
    folded = part.locator("details")
    if folded.count() == 0:
        part.get_by_role("button").click()
        return
    folded.locator("summary").click()
    button, confirm = part.get_by_role("button"), part.locator("[data-confirm-word]")
    if confirm.count():
        expect(button).to_be_disabled()
        confirm.fill("order")
        expect(button).to_be_disabled()
        confirm.fill("orders")
    comment = part.locator("textarea")
    if comment.count():
        comment.fill(f"Because of {order}.")
    button.click()


def is_in(page: Page, state: str) -> None:
    """Wait until the page says that the request is in a state; nobody reloads it."""
    shown = page.locator(f"#part-head [data-state={state}]")
    expect(shown).to_be_visible(timeout=COPY_TIMEOUT_MS)


def told(page: Page, kind: str) -> None:
    """Wait until the timeline has an event of a kind."""
    expect(page.locator(f"[data-event={kind}]").first).to_be_visible(timeout=COPY_TIMEOUT_MS)


def choose_volume(page: Page, volume: int) -> None:
    """Move the slider, read what it means, and set it."""
    slider = page.locator("#volume-slider")
    before = page.locator("#volume-meaning").inner_text()
    slider.fill(str(volume))
    expect(page.locator("#volume-shown")).to_have_text(str(volume))
    expect(page.locator("#volume-meaning")).not_to_have_text(before)
    page.get_by_role("button", name="Set the volume").click()
    expect(page.locator("#volume-asked")).to_have_text(str(volume))


@contextlib.contextmanager
def load(schema: Schema) -> Iterator[None]:
    """More statements under way than a target with ``RUNNING_AT_MOST`` lets a copy go on with."""
    dsn = schema.dsn
    sessions = [
        MySQLdb.connect(host=dsn.host, port=dsn.port, user=dsn.user, passwd=dsn.password)
        for _ in range(_SLEEPERS)
    ]
    numbers = [session.thread_id() for session in sessions]
    threads = [threading.Thread(target=_sleep, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: _running(schema) > _SLEEPERS, "the load")
        yield
    finally:
        for number in numbers:
            with contextlib.suppress(MySQLdb.Error):
                schema.execute(f"KILL {number}")
        for thread in threads:
            thread.join()


def _sleep(session: MySQLdb.Connection) -> None:
    with contextlib.suppress(MySQLdb.Error), contextlib.closing(session):
        session.query("SELECT SLEEP(900)")


def _running(schema: Schema) -> int:
    return int(schema.execute("SHOW GLOBAL STATUS LIKE 'Threads_running'")[0][1])
