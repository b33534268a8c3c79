"""From a web form to a swapped table, by three people in three browsers."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SHOWN_TIMEOUT_MS, Application, Person
from tests.conftest import Schema

ROWS = 50_000
COPY_TIMEOUT_MS = 180_000

pytestmark = pytest.mark.browser


def fill_orders(schema: Schema) -> None:
    """A table with ROWS rows, made on the server."""
    schema.execute("CREATE TABLE orders (id INT PRIMARY KEY, amount INT NOT NULL)")
    schema.execute(
        "INSERT INTO orders SELECT a.n * 1000 + b.n, b.n FROM"
        " (WITH RECURSIVE s AS (SELECT 0 n UNION ALL SELECT n + 1 FROM s WHERE n < 49)"
        " SELECT n FROM s) a,"
        " (WITH RECURSIVE s AS (SELECT 1 n UNION ALL SELECT n + 1 FROM s WHERE n < 1000)"
        " SELECT /*+ SET_VAR(cte_max_recursion_depth = 2000) */ n FROM s) b"
    )


def add_target(page: Page, application: Application, schema: Schema) -> None:
    """The operator adds the server, and tests the connection."""
    dsn = schema.dsn
    page.get_by_role("link", name="Add a target").click()
    page.get_by_label("Name").fill("Shop")
    page.get_by_label("Host").fill(dsn.host)
    page.get_by_label("Port").fill(str(dsn.port))
    page.locator("#id_database").fill(dsn.database)
    page.locator("#id_user").fill(dsn.user)
    page.locator("#id_password").fill(dsn.password)
    page.get_by_role("button", name="Save and continue editing").click()
    page.get_by_role("button", name="Test the connection").click()
    expect(page.locator("[data-report=good]")).to_be_visible()
    assert dsn.password not in page.content()


def submit(page: Page, statement: str) -> str:
    """The requester writes the change. Returns the address of its page."""
    page.goto(page.url)
    page.get_by_role("link", name="Submit a change").last.click()
    page.get_by_label("Statement").fill("ALTER TABEL orders ADD COLUMN note INT")
    page.get_by_label("Title").fill("A note on each order")
    page.get_by_role("button", name="Submit for approval").click()
    expect(page.get_by_text("Not submitted yet")).to_be_visible()
    expect(page.get_by_label("Title")).to_have_value("A note on each order")
    page.get_by_label("Statement").fill(statement)
    page.get_by_role("button", name="Submit for approval").click()
    expect(page.locator("#part-head [data-state=submitted]")).to_be_visible()
    return page.url


def test_a_change_is_submitted_approved_started_and_completed(
    person: Person, application: Application, schema: Schema
) -> None:
    fill_orders(schema)
    olga, rita, axel = person("olga"), person("rita"), person("axel")
    add_target(olga, application, schema)
    address = submit(rita, "ALTER TABLE orders MODIFY amount BIGINT NOT NULL, ADD note INT NULL")
    expect(rita.locator("[data-order=approve]")).to_have_count(0)

    axel.goto(address)
    axel.locator("#order-approve > summary").click()
    axel.locator("#comment-approve").fill("Fine with me.")
    axel.get_by_role("button", name="Approve").click()
    expect(axel.locator("#part-head [data-state=approved]")).to_be_visible()

    olga.goto(address)
    olga.get_by_role("button", name="Start", exact=True).click()
    # The page follows the run by itself: nobody reloads it.
    done = olga.locator("#part-head [data-state=completed]")
    try:
        expect(done).to_be_visible(timeout=COPY_TIMEOUT_MS)
    except AssertionError:
        pytest.fail(f"{olga.locator('#request-page').inner_text()}\n{application.logs()}")
    expect(olga.locator("[data-live-poller]")).to_have_count(0)
    expect(olga.locator("#part-approvals")).to_contain_text("Fine with me.")

    # The requester's page was left open meanwhile, and has followed too.
    expect(rita.locator("#part-head [data-state=completed]")).to_be_visible(
        timeout=SHOWN_TIMEOUT_MS
    )
    columns = schema.execute("SHOW COLUMNS FROM orders")
    assert [str(column[0]) for column in columns] == ["id", "amount", "note"]
    assert re.match("bigint", str(columns[1][1]))
    assert schema.execute("SELECT COUNT(*) FROM orders") == [(ROWS,)]
