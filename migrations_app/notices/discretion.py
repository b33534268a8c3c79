"""Keeping addresses out of logs. Imported by the logging set-up, before there are any models."""

from __future__ import annotations

import logging
import re

# What apprise says about a failure that is worth knowing and holds nothing of the address.
_STATUS = re.compile(r"error=(\d{3})\b")
_NO_CONNECTION = re.compile(r"connection error", re.IGNORECASE)

STATUS = "the service answered with the status"
NO_CONNECTION = "there was no connection to the service"


class WithoutAddresses(logging.Filter):
    """Leaves of apprise's messages, which hold tokens and addresses, only why something failed."""

    def filter(self, record: logging.LogRecord) -> bool:
        # It is on the logger twice when logging was set up twice, as the development server does.
        if getattr(record, "is_without_addresses", False):
            return True
        record.is_without_addresses = True
        said = record.getMessage()
        status = _STATUS.search(said)
        if status:
            record.msg = f"{STATUS} {status[1]}"
        elif _NO_CONNECTION.search(said):
            record.msg = NO_CONNECTION
        else:
            record.msg = "(not shown: it may hold an address)"
        record.args = ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True
