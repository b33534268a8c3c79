"""The private server keeps its promises, above all that it ends when its owner does."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest

from playground.errors import ServerError
from playground.server import CHECKOUT, PORT_RANGE, PrivateServer, find_free_port

SMALL = {"innodb-buffer-pool-size": "64M", "performance_schema": "OFF"}
DEADLINE_SECS = 60

# An owner in a process of its own, which says where its server is and then waits to be killed.
OWNER = """
import json, os, signal, sys
from playground.server import PrivateServer
server = PrivateServer(options={"innodb-buffer-pool-size": "64M", "performance_schema": "OFF"})
server.start()
%s
print(json.dumps({"pid": server.pid, "folder": str(server.folder), "dsn": server.root_dsn("x")}))
sys.stdout.close()
signal.pause()
"""


def wait_until(claim: Callable[[], bool], what: str) -> None:
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


def parent_of(pid: int) -> int:
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def ignores(pid: int, number: signal.Signals) -> bool:
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigIgn:"))
    return bool(int(mask.split()[1], 16) & 1 << number - 1)


@contextlib.contextmanager
def owner(extra: str = "") -> Iterator[tuple[subprocess.Popen[str], int, pathlib.Path]]:
    """A process that owns a server: it, the server's pid and folder. Everything is ended after."""
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER % extra],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        yield process, said["pid"], pathlib.Path(said["folder"])
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="module")
def server() -> Iterator[PrivateServer]:
    with PrivateServer(options=SMALL) as server:
        yield server


def test_a_fresh_server_has_executed_nothing_and_logs_rows_with_gtids(
    server: PrivateServer,
) -> None:
    with PrivateServer(options=SMALL) as fresh:
        rows = fresh.execute("SELECT @@gtid_executed, @@gtid_mode, @@binlog_format, @@log_bin")
        assert rows == [("", "ON", "ROW", 1)]
        identity = "SELECT @@server_uuid, @@server_id, @@port, @@datadir"
        ours, others = fresh.execute(identity)[0], server.execute(identity)[0]
        assert not set(ours) & set(others)


def test_without_gtids_the_server_says_so() -> None:
    with PrivateServer(gtid=False, options=SMALL) as server:
        assert server.execute("SELECT @@gtid_mode, @@enforce_gtid_consistency") == [("OFF", "OFF")]


def test_an_option_given_wins_however_its_name_is_spelled(server: PrivateServer) -> None:
    rows = server.execute("SELECT @@innodb_buffer_pool_size, @@performance_schema")
    assert rows == [(64 * 1024 * 1024, 0)]


def test_committed_rows_and_the_port_survive_a_killed_server(server: PrivateServer) -> None:
    server.execute("CREATE DATABASE kept")
    server.execute("CREATE TABLE kept.t (id INT PRIMARY KEY)")
    server.execute("INSERT INTO kept.t VALUES (%s)", [7])
    port, first_pid = server.port, server.pid
    server.kill()
    assert not server.is_running()
    server.start()
    assert server.execute("SELECT id FROM t", schema="kept") == [(7,)]
    assert (server.port, server.is_running()) == (port, True)
    assert server.pid != first_pid


def test_a_restart_stops_in_order(server: PrivateServer) -> None:
    server.restart()
    assert "Shutdown complete" in server.log_tail(100)
    assert server.execute("SELECT 1") == [(1,)]


def test_closing_twice_ends_the_server_and_removes_its_folder_once() -> None:
    server = PrivateServer(options=SMALL)
    with server:
        pid, folder = server.pid, server.folder
    server.close()
    assert pid is not None
    assert folder is not None
    assert not runs(pid)
    assert not folder.exists()


def test_a_server_that_does_not_start_shows_the_end_of_its_log() -> None:
    server = PrivateServer(options={"no-such-option": 1})
    with pytest.raises(ServerError, match="unknown variable 'no-such-option=1'"):
        server.__enter__()
    assert server.folder is not None
    assert not server.folder.exists()


def test_a_port_that_was_taken_meanwhile_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], find_free_port()])
        monkeypatch.setattr("playground.server.find_free_port", lambda: next(ports))
        with PrivateServer(options=SMALL) as server:
            assert server.port in PORT_RANGE


def test_a_killed_owner_leaves_no_server_and_no_folder() -> None:
    with owner() as (process, pid, folder):
        process.kill()
        wait_until(lambda: not runs(pid), "mysqld ends after its owner")
        wait_until(lambda: not folder.exists(), "the folder goes with it")


def test_a_forked_child_of_a_killed_owner_does_not_keep_the_server() -> None:
    # The child holds the write end of the guardian's pipe, so the pipe never ends.
    fork = "child = os.fork()\nif not child: signal.pause()"
    with owner(fork) as (process, pid, folder):
        try:
            process.kill()
            wait_until(lambda: not runs(pid), "mysqld ends after its owner")
            wait_until(lambda: not folder.exists(), "the folder goes with it")
        finally:
            # The owner's session is its own, so this reaches its child and nobody else.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_a_killed_guardian_takes_the_server_along() -> None:
    with owner() as (_, pid, folder):
        try:
            os.kill(parent_of(pid), signal.SIGKILL)
            wait_until(lambda: not runs(pid), "mysqld ends after its guardian")
        finally:
            # Nobody is left to do it.
            subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_an_interrupt_from_the_terminal_leaves_the_server_to_its_owner() -> None:
    with owner("signal.signal(signal.SIGINT, signal.SIG_IGN)") as (process, pid, _):
        guardian = parent_of(pid)
        assert os.getpgid(guardian) != os.getpgid(process.pid)
        assert os.getpgid(pid) == os.getpgid(guardian)
        assert ignores(guardian, signal.SIGINT)
        os.kill(guardian, signal.SIGINT)
        os.killpg(process.pid, signal.SIGINT)
        assert runs(pid)
        assert runs(guardian)


def test_a_developers_server_is_kept_between_starts() -> None:
    def order(*words: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "playground.developer_server", *words, "--folder", folder],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECS * 3,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    with tempfile.TemporaryDirectory(prefix="spirit-dev-") as folder:
        assert order("status")[0] == 3
        try:
            code, dsn = order("start", "--no-gtid")
            assert (code, dsn[:13]) == (0, "mysql://root:")
            assert order("start") == (0, f"{dsn}It runs already.\n")
            code, words = order("status")
            assert code == 0
            assert "file and position" in words
        finally:
            assert "Its data stays" in order("stop")[1]
        assert order("status")[0] == 3
        assert (pathlib.Path(folder) / "mysql" / "data").is_dir()
