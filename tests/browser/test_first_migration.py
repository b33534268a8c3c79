"""From a web form to a swapped table, by three people in three browsers."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SHOWN_TIMEOUT_MS, Application, Person
from tests.browser.steps import COPY_TIMEOUT_MS, add_target, approve, fill_orders, submit
from tests.conftest import Schema

ROWS = 50_000

pytestmark = pytest.mark.browser


def nothing_typed_is_lost(page: Page) -> None:
    """A statement that cannot be read is said to be one, and everything typed is still there."""
    page.goto(page.url)
    page.get_by_role("link", name="Submit a change").last.click()
    page.get_by_label("Statement").fill("ALTER TABEL orders ADD COLUMN note INT")
    page.get_by_label("Title").fill("A note on each order")
    page.get_by_role("button", name="Submit for approval").click()
    expect(page.get_by_text("Not submitted yet")).to_be_visible()
    expect(page.get_by_label("Title")).to_have_value("A note on each order")


def test_a_change_is_submitted_approved_started_and_completed(
    person: Person, application: Application, schema: Schema
) -> None:
    fill_orders(schema)
    olga, rita, axel = person("olga"), person("rita"), person("axel")
    add_target(olga, schema)
    nothing_typed_is_lost(rita)
    address = submit(rita, "ALTER TABLE orders MODIFY amount BIGINT NOT NULL, ADD note INT NULL")
    expect(rita.locator("[data-order=approve]")).to_have_count(0)
    approve(axel, address)

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
