"""Sending one message to one address through apprise, in a bounded time, without telling on it.

apprise writes addresses and tokens into its logs: see ``discretion`` and settings.LOGGING. Why
something was not accepted is told in words of our own.
"""

from __future__ import annotations

import re
import threading

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType
from apprise.result import AppriseResult, AppriseResultStatus

from migrations_app.engine import Level
from migrations_app.notices import discretion
from migrations_app.notices.addresses import AddressRefusedError, service
from migrations_app.notices.wording import Notice

# For one address, from looking its host up to the end of its answer.
TIMEOUT_SECS = 10.0
_SOCKET_TIMEOUT_SECS = 5.0
_STATUS = re.compile(rf"{discretion.STATUS} (\d+)")
_TYPES = {
    Level.INFO: NotifyType.INFO,
    Level.WARNING: NotifyType.WARNING,
    Level.ERROR: NotifyType.FAILURE,
}


def send(address: str, notice: Notice) -> str:
    """Send a notice. Returns "" when it was accepted, else why not, without the address."""
    try:
        apprise = _apprise(address)
    except AddressRefusedError as error:
        return str(error)
    answers: list[AppriseResult | None] = []

    def post() -> None:
        try:
            answers.append(
                apprise.notify(
                    notice.body,
                    title=notice.title,
                    notify_type=_TYPES[notice.level],
                    body_format=NotifyFormat.TEXT,
                )
            )
        except Exception:
            # Its text may hold the address.
            answers.append(None)

    # A thread that can be left behind: no time-out of a socket ends an answer that drips.
    thread = threading.Thread(target=post, name="notice", daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECS)
    return _words(answers[0]) if answers else _too_late()


def _apprise(address: str) -> Apprise:
    asset = AppriseAsset(
        app_id="Spirit Admin",
        app_desc="Online schema changes for MySQL",
        async_mode=False,
        service_timeout=0,
        # Whoever chose the address did not choose where it would be redirected to.
        http_redirects=False,
        pgp_autogen=False,
        pem_autogen=False,
    )
    made = service(address, asset)
    made.socket_connect_timeout = min(made.socket_connect_timeout, _SOCKET_TIMEOUT_SECS)
    made.socket_read_timeout = min(made.socket_read_timeout, _SOCKET_TIMEOUT_SECS)
    apprise = Apprise(asset=asset)
    apprise.add(made)
    return apprise


def _words(answer: AppriseResult | None) -> str:
    if answer is None:
        return "The service could not be used: its part of apprise failed."
    if answer:
        return ""
    said = " ".join(entry.message for entry in answer.logs())
    status = _STATUS.search(said)
    if status:
        return f"The service refused it, with the status {status[1]}."
    if answer.status == AppriseResultStatus.TIMEOUT:
        return _too_late()
    if discretion.NO_CONNECTION in said:
        return "No connection to the service, or no answer from it in time."
    return "The service did not accept it."


def _too_late() -> str:
    return f"The service did not answer within {TIMEOUT_SECS:g} s."
