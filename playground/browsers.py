"""The system's Chromium, without a window, which finds nothing but this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# Whatever a page would load from elsewhere fails: the pages must work without the internet.
_ONLY_LOOPBACK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Closed when the block ends. Raises FileNotFoundError when there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise FileNotFoundError(
            f"No browser was found (looked for {', '.join(PROGRAMS)}): run script/setup."
        )
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=program, args=[*as_root, _ONLY_LOOPBACK]
        )
        try:
            yield launched
        finally:
            launched.close()
