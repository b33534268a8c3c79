"""``script/demo --once`` proves a whole migration, tells about it, and leaves nothing behind."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from playground.server import CHECKOUT

pytestmark = pytest.mark.timeout(900)

TIMEOUT_SECS = 800
DEADLINE_SECS = 60


def demo(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "playground.demo", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def descendants(pid: int) -> set[int]:
    """Every process below this one."""
    parents: dict[int, int] = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    found, more = set[int](), {pid}
    while more:
        more = {child for child, parent in parents.items() if parent in more} - found
        found |= more
    return found


def runs(pid: int) -> bool:
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until(claim: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECS
    while not claim():
        if time.monotonic() > deadline:
            pytest.fail(f"Not within {DEADLINE_SECS} s: {what}")
        time.sleep(0.05)


def test_a_migration_without_a_person_is_stopped_resumed_and_right() -> None:
    process = demo("--once", "--orders", "150000", "--rate", "200")
    try:
        told, _ = process.communicate(timeout=TIMEOUT_SECS)
    finally:
        process.kill()
    assert process.returncode == 0, told
    assert re.search(r"Differences\s+0\s*\n", told), told
    assert re.search(r"Resumed from\s+checkpoint \d+ at \S+:\d+", told), told
    [kept] = re.findall(r"Not copied again\s+([\d,]+) rows", told)
    assert int(kept.replace(",", "")) > 0
    assert not (CHECKOUT / "var" / "demo" / str(process.pid)).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_ended_takes_everything_along(number: signal.Signals) -> None:
    process = demo("--orders", "2000")
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "Ctrl-C ends everything" in line:
                break
        else:
            pytest.fail("The demo did not start.")
        started = descendants(process.pid)
        assert len(started) >= 6  # guardian, mysqld, two tethers, web server, worker
        os.kill(process.pid, number)
        wait_until(lambda: not any(runs(pid) for pid in started), "every process is gone")
        process.stdout.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if number == signal.SIGTERM:
        assert process.returncode == 128 + signal.SIGTERM
        assert not (CHECKOUT / "var" / "demo" / str(process.pid)).exists()
