"""A child on its tether ends with its owner, in order if it can and by force if it must."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from playground.children import Child, ChildError, listen_locally
from playground.server import CHECKOUT

DEADLINE_SECS = 30

# Says its pid, ends in order at SIGTERM and says so.
OBEDIENT = """
import os, signal, sys
def end(*_):
    print("ended in order", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print(os.getpid(), flush=True)
while True:
    signal.pause()
"""
# Has a child of its own, and both are deaf to SIGTERM.
DEAF = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print(os.getpid(), flush=True)
while True:
    signal.pause()
"""
OWNER = """
import os, pathlib, signal, sys
from playground.children import Child
child = Child("program", [sys.executable, "-c", sys.argv[1]], environment=os.environ,
              folder=pathlib.Path("/"), log=pathlib.Path(sys.argv[2]), grace_secs=1.0)
signal.pause()
"""


def wait_until(claim: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECS
    while not claim():
        if time.monotonic() > deadline:
            pytest.fail(f"Not within {DEADLINE_SECS} s: {what}")
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether the process exists and is no zombie that waits for its parent."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def pids_in(log: pathlib.Path, count: int) -> list[int]:
    def numbers() -> list[int]:
        lines = log.read_text().splitlines() if log.exists() else []
        return [int(line) for line in lines if line.isdigit()]

    wait_until(lambda: len(numbers()) >= count, f"{count} processes said their number")
    return numbers()


def start(program: str, log: pathlib.Path, **choices: float) -> Child:
    return Child(
        "program",
        [sys.executable, "-c", program],
        environment=os.environ,
        folder=log.parent,
        log=log,
        grace_secs=choices.get("grace_secs", 20.0),
    )


def test_a_child_is_asked_to_end_and_waited_for(tmp_path: pathlib.Path) -> None:
    with start(OBEDIENT, tmp_path / "log") as child:
        [pid] = pids_in(child.log, 1)
        child.check()
    assert not runs(pid)
    assert "ended in order" in child.log_tail()


def test_what_is_deaf_is_killed_with_all_its_children(tmp_path: pathlib.Path) -> None:
    with start(DEAF, tmp_path / "log", grace_secs=0.2) as child:
        pids = pids_in(child.log, 2)
    wait_until(lambda: not any(runs(pid) for pid in pids), "both are gone")


def test_a_child_that_ends_by_itself_is_reported_with_its_last_words(
    tmp_path: pathlib.Path,
) -> None:
    def has_ended() -> bool:
        try:
            child.check()
        except ChildError:
            return True
        return False

    with start("import sys; print('no more paper'); sys.exit(3)", tmp_path / "log") as child:
        wait_until(has_ended, "the end is noticed")
        with pytest.raises(ChildError, match=r"(?s)exit code 3.*no more paper"):
            child.check()


@pytest.mark.parametrize("program, count", [(OBEDIENT, 1), (DEAF, 2)])
def test_no_child_outlives_an_owner_that_was_killed(
    tmp_path: pathlib.Path, program: str, count: int
) -> None:
    log = tmp_path / "log"
    owner = subprocess.Popen([sys.executable, "-c", OWNER, program, str(log)], cwd=CHECKOUT)
    try:
        pids = pids_in(log, count)
        owner.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(runs(pid) for pid in pids), "the children are gone")
    finally:
        owner.kill()
        owner.wait()


def test_a_killed_tether_takes_its_child_along(tmp_path: pathlib.Path) -> None:
    with start(OBEDIENT, tmp_path / "log") as child:
        [pid] = pids_in(child.log, 1)
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        os.kill(int(stat.rpartition(")")[2].split()[1]), signal.SIGKILL)
        wait_until(lambda: not runs(pid), "the child is gone")
        wait_until(lambda: "ended in order" in child.log_tail(), "it ended in order")


def test_a_listener_is_this_machines_alone() -> None:
    with listen_locally() as listener:
        host, port = listener.getsockname()
        assert host == "127.0.0.1"
        socket.create_connection((host, port), timeout=5).close()
