"""Each order, given in the pages by who may give it, on the real stack."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Application, Person
from tests.browser.steps import (
    COPY_TIMEOUT_MS,
    RUNNING_AT_MOST,
    add_target,
    approve,
    choose_volume,
    fill_orders,
    give,
    is_in,
    load,
    submit,
    told,
    wait_for_rows,
)
from tests.conftest import Schema

WIDEN = "ALTER TABLE orders MODIFY amount BIGINT NOT NULL"
WAIT = "Wait for an order before the cut-over"

pytestmark = pytest.mark.browser


def test_slowed_down_stopped_resumed_and_cut_over(
    person: Person, application: Application, schema: Schema
) -> None:
    fill_orders(schema)
    olga, rita, axel = person("olga"), person("rita"), person("axel")
    add_target(olga, schema, running_at_most=RUNNING_AT_MOST)
    address = submit(rita, WIDEN, "Wider amounts", WAIT)
    approve(axel, address)
    olga.goto(address)
    with load(schema):
        give(olga, "start")
        told(olga, "throttled")
        paused = olga.get_by_role("heading", name="The copy is paused to protect the server")
        expect(paused).to_be_visible()
        choose_volume(olga, 5)
        told(olga, "volume_changed")
        expect(olga.locator("#volume-obeyed")).to_have_text("5", timeout=COPY_TIMEOUT_MS)
        give(olga, "comment")
        told(olga, "commented")
        give(olga, "stop")
        is_in(olga, "stopped")
    expect(olga.locator("#checkpoint-card")).to_contain_text("Saved")
    # Those who may not order anything are offered nothing of it.
    expect(rita.locator("[data-order=start]")).to_have_count(0)
    give(olga, "start")
    told(olga, "resumed")
    is_in(olga, "waiting_for_cutover")
    give(olga, "cut_over")
    is_in(olga, "completed")
    expect(olga.locator("[data-order]")).to_have_count(1)
    expect(olga.locator("[data-order=comment]")).to_be_visible()
    assert str(schema.execute("SHOW COLUMNS FROM orders")[1][1]).startswith("bigint")


def test_rejected_scheduled_and_cancelled(
    person: Person, application: Application, schema: Schema
) -> None:
    fill_orders(schema)
    olga, rita, axel = person("olga"), person("rita"), person("axel")
    add_target(olga, schema)
    submit(rita, WIDEN, "Not this one")
    axel.goto(rita.url)
    give(axel, "reject")
    is_in(axel, "rejected")
    expect(axel.locator("#part-banner")).to_contain_text("Because of reject.")

    address = submit(rita, WIDEN, "But this one", WAIT)
    approve(axel, address)
    olga.goto(address)
    olga.locator("#order-schedule > summary").click()
    olga.locator("#hours").fill("every other Tuesday")
    olga.locator("[data-order=schedule]").get_by_role("button").click()
    # What cannot be read is said, and nothing was done.
    expect(olga.get_by_text("every other Tuesday").first).to_be_visible()
    olga.locator("#order-schedule > summary").click()
    olga.locator("#hours").fill("Mon-Sun 00:00-24:00")
    olga.locator("[data-order=schedule]").get_by_role("button").click()
    told(olga, "scheduled")
    give(olga, "start")
    is_in(olga, "waiting_for_cutover")
    give(olga, "cancel")
    is_in(olga, "cancelled")
    assert schema.execute("SHOW TABLES") == [("orders",)]


def test_what_one_is_writing_outlives_the_news(
    person: Person, application: Application, schema: Schema
) -> None:
    fill_orders(schema)
    olga, rita, axel = person("olga"), person("rita"), person("axel")
    add_target(olga, schema, running_at_most=RUNNING_AT_MOST)
    address = submit(rita, WIDEN, "Wider amounts", WAIT)
    approve(axel, address)
    olga.goto(address)
    with load(schema):
        give(olga, "start")
        told(olga, "throttled")
        olga.locator("#order-comment > summary").click()
        olga.locator("#comment-comment").fill("Half a sent")
        olga.locator("#comment-comment").press("ArrowLeft")
        olga.locator("#order-cancel > summary").click()
        olga.locator("#confirm-cancel").fill("orders")
        olga.locator("#comment-comment").focus()
        olga.evaluate("document.getElementById('part-orders').dataset.mark = 'old'")
        # Somebody else stops it: other orders are offered now, so that part is a new one.
        elsewhere = person("olga")
        elsewhere.goto(address)
        give(elsewhere, "stop")
        is_in(olga, "stopped")
    expect(olga.locator("#part-orders[data-mark=old]")).to_have_count(0)
    expect(olga.locator("#comment-comment")).to_have_value("Half a sent")
    expect(olga.locator("#comment-comment")).to_be_focused()
    expect(olga.locator("#order-cancel")).to_have_attribute("open", "")
    expect(olga.locator("[data-order=cancel]").get_by_role("button")).to_be_enabled()
    olga.keyboard.type("e")
    expect(olga.locator("#comment-comment")).to_have_value("Half a senet")


def purge_logs(schema: Schema) -> None:
    """The server deletes every log but the one in use."""
    schema.execute("FLUSH BINARY LOGS")
    newest = schema.execute("SHOW BINARY LOGS")[-1][0]
    schema.execute(f"PURGE BINARY LOGS TO '{newest}'")


@pytest.mark.parametrize("strict", [False, True], ids=["begins again", "strict"])
def test_a_checkpoint_whose_log_was_purged(
    person: Person, application: Application, schema: Schema, strict: bool
) -> None:
    fill_orders(schema, thousands=600)
    olga, rita, axel = person("olga"), person("rita"), person("axel")
    add_target(olga, schema, running_at_most=RUNNING_AT_MOST)
    options = [WAIT, "Never begin again by itself (strict)"] if strict else [WAIT]
    address = submit(rita, WIDEN, "Wider amounts", *options)
    approve(axel, address)
    olga.goto(address)
    choose_volume(olga, 1)
    give(olga, "start")
    # Asked of the server: the page says it when much is copied already.
    wait_for_rows(schema, "_orders_new")
    with load(schema):
        told(olga, "throttled")
        give(olga, "stop")
        is_in(olga, "stopped")
    purge_logs(schema)
    give(olga, "start")
    if strict:
        is_in(olga, "failed")
        told(olga, "resume_failed")
        give(olga, "start_afresh")
        is_in(olga, "waiting_for_cutover")
    else:
        banner = olga.locator("[data-fallback]")
        expect(banner).to_be_visible(timeout=COPY_TIMEOUT_MS)
        expect(banner).to_contain_text("copied rows, which are copied again")
        is_in(olga, "waiting_for_cutover")
        told(olga, "fresh_start")
    give(olga, "cut_over")
    is_in(olga, "completed")
    assert schema.execute("SELECT COUNT(*) FROM orders") == [(600_000,)]
