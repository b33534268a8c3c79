"""The demo's three people, at work in the web pages: each logs in and presses buttons."""

from __future__ import annotations

from collections.abc import Mapping

from playground import control
from playground.visitor import PageError, Visitor


class People:
    """Requester, approver and operator, each with a browser of their own."""

    def __init__(self, address: str, accounts: Mapping[str, control.Account]) -> None:
        self._visitors: dict[str, Visitor] = {}
        for role, account in accounts.items():
            visitor = Visitor(address)
            visitor.log_in(account.name, account.password)
            self._visitors[role] = visitor
        self._request_url = ""

    def submit(
        self, statement: str, *, title: str, reason: str, volume: int, defer_cutover: bool = False
    ) -> int:
        """Fill in the form as the requester; returns the number of the new request."""
        requester = self._visitors["requester"]
        requester.click("Submit a change")
        requester.press(
            "Submit for approval",
            {
                "target": control.TARGET_NAME,
                "statement": statement,
                "title": title,
                "reason": reason,
                "volume": str(volume),
                # The old table is what the result is compared with.
                "skip_drop": "on",
                **({"defer_cutover": "on"} if defer_cutover else {}),
            },
        )
        if requester.can_press("Submit for approval"):
            alerts = "; ".join(dict.fromkeys(requester.page.alerts)) or requester.page.text[-400:]
            raise PageError(f"The change was not accepted: {alerts}")
        self._request_url = requester.page.url
        return control.newest_request()

    def approve(self) -> None:
        self._order("approver", "Approve", {"comment": "Adds and widens only. Go ahead."})

    def start(self) -> None:
        self._order("operator", "Start", {})

    def stop(self) -> None:
        self._order("operator", "Stop", {})

    def _order(self, role: str, button: str, fields: Mapping[str, str]) -> None:
        visitor = self._visitors[role]
        visitor.visit(self._request_url)
        visitor.press(button, fields)
