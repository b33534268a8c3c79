"""What a request page costs that is left open during a migration, on the demo's stack.

A browser shows the page while the shop's table is copied at the lowest volume; nobody touches it.
Counted are the polls under way at one time, the layout's jumps (the browser's own measure, 0 is
none), what the polls carry, and the web server's CPU. The cut-over is ordered at the end.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import pathlib
import statistics
import sys
import time
from typing import Any

from playwright.sync_api import Page, Request, Response
from rich.console import Console

from playground.browsers import open_browser
from playground.people import People
from playground.stack import Stack
from playground.story import STATEMENT

# Rows that take a minute or so to copy at the lowest volume; then it follows the changes.
_ORDERS_A_MINUTE = 300_000
_LEAST_ORDERS = 100_000
_RATE = 50.0
_END_SECS = 120.0
_IDLE_SECS = 20.0
_SHIFTS = """
window.shifts = [];
new PerformanceObserver(list => {
  for (const entry of list.getEntries()) window.shifts.push({
    value: entry.value, at: Math.round(entry.startTime),
    moved: entry.sources.map(source => {
      const node = source.node;
      const element = node && (node.closest ? node : node.parentElement);
      const part = element && element.closest("section[id], [id]");
      const [from, to] = [source.previousRect, source.currentRect];
      return `${part ? part.id : "?"} ${to.y - from.y} px down, ${to.x - from.x} px right`;
    }),
  });
}).observe({type: "layout-shift", buffered: true});
"""
# Less is a word that became longer within its line.
_A_JUMP = 0.002


@dataclasses.dataclass
class Polls:
    """The polls of one page. most_at_once: under way at the same time."""

    count: int = 0
    under_way: int = 0
    most_at_once: int = 0
    failed: int = 0
    sizes: list[int] = dataclasses.field(default_factory=list)

    def watch(self, page: Page) -> None:
        page.on("request", self._begun)
        page.on("response", self._answered)
        page.on("requestfinished", self._ended)
        page.on("requestfailed", self._lost)

    def _begun(self, request: Request) -> None:
        if _is_poll(request):
            self.count += 1
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)

    def _answered(self, response: Response) -> None:
        if _is_poll(response.request):
            self.sizes.append(int(response.headers.get("content-length", 0)))

    def _ended(self, request: Request) -> None:
        self.under_way -= _is_poll(request)

    def _lost(self, request: Request) -> None:
        self.failed += _is_poll(request)
        self._ended(request)


def _is_poll(request: Request) -> bool:
    return request.url.endswith("/live/")


def main(arguments: list[str]) -> int:
    given = _options(arguments)
    console = Console(stderr=True, soft_wrap=True)
    secs = given.minutes * 60
    orders = max(_LEAST_ORDERS, int(given.minutes * _ORDERS_A_MINUTE))
    stack = Stack(
        orders=orders,
        rate=_RATE,
        max_secs=secs + 600,
        max_changes=1_000_000,
        say=lambda text: console.print(text, highlight=False),
    )
    with stack:
        people = People(stack.address, stack.accounts)
        number = people.submit(STATEMENT, title="Watched", reason="", volume=1, defer_cutover=True)
        people.approve()
        with open_browser() as browser:
            page = _log_in(browser.new_page(viewport={"width": 1280, "height": 900}), stack)
            page.add_init_script(_SHIFTS)
            polls = Polls()
            polls.watch(page)
            page.goto(f"{stack.address}admin/migrations_app/migrationrequest/{number}/change/")
            idle_cpu = _idle_cpu(page, stack)
            page.get_by_role("button", name="Start", exact=True).click()
            found = _watch(page, polls, stack, secs, idle_cpu)
            found["shifts"] = page.evaluate("() => window.shifts")
            found["ends_by_itself"] = _ends(page, stack)
    shifts = found.pop("shifts")
    found["layout_shift"] = round(sum(shift["value"] for shift in shifts), 4)
    found["jumps"] = [shift for shift in shifts if shift["value"] >= _A_JUMP]
    print(json.dumps(found, indent=2))
    return 0 if _is_good(found) else 1


def _watch(page: Page, polls: Polls, stack: Stack, secs: float, idle_cpu: float) -> dict[str, Any]:
    """Leave the page alone for so long; what was seen meanwhile."""
    web = stack.web_pids()
    before, began_at, states = _cpu_secs(web), time.monotonic(), set()
    count_before = polls.count
    while time.monotonic() - began_at < secs:
        # The browser's own events are only delivered while it is asked for something.
        states.add(page.locator("#part-head [data-state]").get_attribute("data-state"))
        page.wait_for_timeout(1000)
        stack.check()
    cpu_secs = _cpu_secs(web) - before - idle_cpu * (time.monotonic() - began_at)
    count = polls.count - count_before
    return {
        "secs": round(time.monotonic() - began_at, 1),
        "states": sorted(filter(None, states)),
        "polls": count,
        "failed": polls.failed,
        "most_at_once": polls.most_at_once,
        "idle_cpu_ms_per_sec": round(1000 * idle_cpu, 2),
        "cpu_ms_per_poll": round(1000 * cpu_secs / max(1, count), 2),
        "bytes_median": int(statistics.median(polls.sizes or [0])),
        "bytes_mean": int(statistics.mean(polls.sizes or [0])),
    }


def _idle_cpu(page: Page, stack: Stack) -> float:
    """What the web server uses while nobody asks it anything, in seconds of CPU a second."""
    address, web = page.url, stack.web_pids()
    page.goto("about:blank")
    before = _cpu_secs(web)
    page.wait_for_timeout(_IDLE_SECS * 1000)
    used = _cpu_secs(web) - before
    page.goto(address)
    return used / _IDLE_SECS


def _ends(page: Page, stack: Stack) -> bool:
    """Order the cut-over; whether the page stops asking once the migration has ended."""
    page.locator("#order-cut_over > summary").click()
    page.locator("#confirm-cut_over").fill("orders")
    page.get_by_role("button", name="Cut over").click()
    done = page.locator("#part-head [data-state=completed]")
    done.wait_for(timeout=_END_SECS * 1000)
    stack.check()
    return page.locator("[data-live-poller]").count() == 0


def _is_good(found: dict[str, Any]) -> bool:
    return bool(
        found["ends_by_itself"]
        and found["most_at_once"] == 1
        and not found["failed"]
        and found["layout_shift"] < 0.1
    )


def _cpu_secs(pids: list[int]) -> float:
    """User and system time that processes have used; Linux only."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _log_in(page: Page, stack: Stack) -> Page:
    account = stack.accounts["operator"]
    page.goto(f"{stack.address}admin/login/")
    page.get_by_label("Username").fill(account.name)
    page.get_by_label("Password").fill(account.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{stack.address}admin/")
    return page


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m playground.livepage",
        description="Leaves a request page open during a migration and prints, as JSON, what that"
        " costs. Exit code 1: polls piled up or failed, the layout jumped, or the page went on"
        " asking after the end.",
    )
    parser.add_argument("--minutes", type=float, default=5.0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
