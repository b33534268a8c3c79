"""What is wrong with a page in a browser: accessibility, security policy, errors, width."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page

_GRAVE = ("serious", "critical")
# What a page's own scripts cannot see afterwards is collected while it happens.
_COLLECT = """
window.violations = [];
document.addEventListener("securitypolicyviolation", event => window.violations.push(
  `${event.effectiveDirective} forbids ${event.blockedURI} ${event.sample}`));
"""
_OVERFLOW = """() => {
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  return wide > 1 ? `${wide} px wider than the window` : "";
}"""


class Inspector:
    """Watches the pages of browser contexts. ``origin``: the only address that they may ask."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._heard: list[str] = []
        self._axe = Axe()

    def watch(self, context: BrowserContext) -> None:
        """Begin with a context, before its first page."""
        context.add_init_script(_COLLECT)
        context.on("page", self._watch_page)

    def _watch_page(self, page: Page) -> None:
        page.on("pageerror", lambda error: self._heard.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: (
                self._heard.append(f"console: {message.text}")
                if message.type == "error" and "status of 404" not in message.text
                else None
            ),
        )
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((self._origin, "data:", "blob:"))
                else self._heard.append(f"asked for {asked.url}")
            ),
        )

    def problems(self, page: Page) -> list[str]:
        """Everything that is wrong with what a page shows now, each in a line."""
        found, self._heard = self._heard, []
        found += [f"policy: {text}" for text in page.evaluate("() => window.violations || []")]
        wide = page.evaluate(_OVERFLOW)
        found += [f"layout: {wide}"] if wide else []
        for violation in self._axe.run(page).response["violations"]:
            if violation["impact"] in _GRAVE:
                found += _in_words(violation)
        return found


def _in_words(violation: dict[str, Any]) -> list[str]:
    return [
        f"axe {violation['impact']} {violation['id']}: {violation['help']}: "
        f"{' '.join(node['html'].split())[:160]} ({_why(node)})"
        for node in violation["nodes"][:4]
    ]


def _why(node: dict[str, Any]) -> str:
    checks = node.get("any", []) + node.get("all", []) + node.get("none", [])
    return str(checks[0]["message"])[:160] if checks else ""
