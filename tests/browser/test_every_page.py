"""Every page as each person sees it, in every state, without a grave fault."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.browser.conftest import CHECKOUT

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
SECS_AT_MOST = 800


@pytest.mark.parametrize(("size", "scheme"), [("phone", "dark"), ("laptop", "light")])
def test_no_page_has_a_grave_fault(size: str, scheme: str) -> None:
    """Accessibility (axe-core), the security policy, the console, other sites asked, the width."""
    looked = subprocess.run(
        [
            *(sys.executable, "-m", "playground.screenshots", "--no-pictures"),
            *("--sizes", size, "--schemes", scheme),
        ],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=SECS_AT_MOST, check=False,
    )  # fmt: skip
    assert looked.returncode == 0, looked.stdout + looked.stderr
    assert ", 0 problems." in looked.stdout
