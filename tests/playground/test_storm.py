"""The storm and the crowd, small: they find nothing, and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys

import pytest

from playground.server import CHECKOUT

pytestmark = pytest.mark.timeout(900)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip


def test_a_short_storm_finds_no_contradiction() -> None:
    done = run(
        "playground.storm", "--minutes", "0.25", "--requests", "12", "--running", "4", "--seed", "7"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Nothing contradicts." in done.stdout


def test_a_small_crowd_is_answered_in_time() -> None:
    done = run("playground.crowd", "--requests", "300", "--events", "3000", "--checkpoints", "900")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "300 requests" in done.stdout
