"""The private MySQL of a checkout: kept in its ``var/`` until somebody stops it.

``script/server`` runs this. ``start`` leaves a small process behind that owns the server, as a test
or the demo would; ``stop`` ends that process, and with it the server. The data stays for next time.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
from typing import IO, Any

from playground.errors import ServerError
from playground.server import CHECKOUT, PrivateServer, find_mysqld

START_TIMEOUT_SECS = 300
STOP_TIMEOUT_SECS = 90
OWNERSHIP_TIMEOUT_SECS = 5
POLL_INTERVAL_SECS = 0.1
SCHEMA = "playground"


class Files:
    """What is kept of the server: its folder, its owner's lock, and how to reach it."""

    def __init__(self, parent: pathlib.Path) -> None:
        self.parent = parent
        self.data = parent / "mysql"
        self.state = parent / "mysql-server.json"
        self.lock = parent / "mysql-server.lock"
        self.log = parent / "mysql-server.log"

    def read_state(self) -> dict[str, Any] | None:
        """Pid, port, socket and DSN of the running server; None when none runs.

        A state file that was left behind by a crash does not count: its owner's lock is free.
        """
        if not self.is_owned():
            return None
        try:
            state: dict[str, Any] = json.loads(self.state.read_text())
        except FileNotFoundError:
            return None
        return state

    def is_owned(self) -> bool:
        """Whether a process holds the server, which may be on its way up or down."""
        with open(self.lock, "a") as lock:
            return not try_lock(lock)

    def write_state(self, state: dict[str, Any]) -> None:
        unfinished = self.state.with_suffix(".unfinished")
        unfinished.touch(mode=0o600)
        unfinished.write_text(json.dumps(state))
        unfinished.replace(self.state)


def try_lock(lock: IO[str]) -> bool:
    """Take the owner's lock if it is free; closing the file gives it back."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_ownership(lock: IO[str]) -> bool:
    """The owner's lock for good; tried for a while, as a question for the state holds it too."""
    deadline = time.monotonic() + OWNERSHIP_TIMEOUT_SECS
    while not try_lock(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_INTERVAL_SECS / 7)
    return True


def serve(files: Files, *, gtid: bool, port: int | None) -> int:
    """Own the server until SIGTERM or SIGINT; returns 3 when another process owns one."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with open(files.lock, "a") as lock:
        if not take_ownership(lock):
            print("Another process owns a server here.", file=sys.stderr)
            return 3
        files.state.unlink(missing_ok=True)
        with PrivateServer(gtid=gtid, port=port, folder=files.data) as server:
            server.execute(f"CREATE DATABASE IF NOT EXISTS `{SCHEMA}`")
            files.write_state(
                {
                    "owner_pid": os.getpid(),
                    "port": server.port,
                    "socket": server.socket,
                    "password": server.password,
                    "dsn": server.root_dsn(SCHEMA),
                    "gtid": gtid,
                }
            )
            while not ended.wait(1.0):
                if not server.is_running():
                    print(f"The server ended by itself:\n{server.log_tail()}", file=sys.stderr)
                    break
        files.state.unlink(missing_ok=True)
    return 0


def start(files: Files, *, gtid: bool, port: int | None) -> int:
    """Start the owner in the background and wait until the server answers."""
    if state := files.read_state():
        print("It runs already.", file=sys.stderr)
        print(state["dsn"])
        return 0
    command = [sys.executable, "-m", "playground.developer_server", "serve"]
    command += ["--folder", str(files.parent)]
    command += [] if gtid else ["--no-gtid"]
    command += ["--port", str(port)] if port else []
    with open(files.log, "wb") as log:
        owner = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_TIMEOUT_SECS
    while time.monotonic() < deadline:
        if state := files.read_state():
            print(state["dsn"])
            return 0
        if owner.poll() is not None:
            break
        time.sleep(POLL_INTERVAL_SECS)
    owner.terminate()
    raise ServerError(f"The server did not start; {files.log} ends so:\n{tail(files.log)}")


def stop(files: Files) -> int:
    """End the owner and wait until it is gone."""
    state = files.read_state()
    if state is None:
        print("No server runs.")
        return 0
    os.kill(state["owner_pid"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_SECS
    while time.monotonic() < deadline:
        if not files.is_owned():
            print(f"Stopped. Its data stays in {files.data}.")
            return 0
        time.sleep(POLL_INTERVAL_SECS)
    raise ServerError(
        f"The server's owner (pid {state['owner_pid']}) did not end within {STOP_TIMEOUT_SECS} s."
    )


def status(files: Files) -> int:
    """Say whether and where it runs; exit 0 when it does, 3 when not."""
    state = files.read_state()
    if state is None:
        print("No server runs. Start one: script/server start")
        return 3
    kind = "GTIDs" if state["gtid"] else "file and position"
    print(f"Running on port {state['port']}, with {kind}: {state['dsn']}")
    return 0


def shell(files: Files) -> int:
    """A client in the server's playground schema, in place of this process."""
    state = files.read_state()
    if state is None:
        raise ServerError("No server runs. Start one: script/server start")
    client = pathlib.Path(find_mysqld()).with_name("mysql")
    if not client.exists():
        raise ServerError(
            f"There is no mysql client beside the server. Its address: {state['dsn']}"
        )
    environment = {**os.environ, "MYSQL_PWD": state["password"]}
    arguments = [str(client), "--user=root", f"--socket={state['socket']}", SCHEMA]
    os.execve(client, arguments, environment)


def tail(path: pathlib.Path, lines: int = 20) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="script/server", description=__doc__.splitlines()[0])
    parser.add_argument("order", choices=["start", "stop", "status", "shell", "serve"])
    parser.add_argument("--no-gtid", action="store_true", help="coordinates are file and position")
    parser.add_argument("--port", type=int, help="default: a free one")
    parser.add_argument(
        "--folder", type=pathlib.Path, default=CHECKOUT / "var", help="where it is kept"
    )
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    files = Files(given.folder.resolve())
    try:
        match given.order:
            case "start":
                return start(files, gtid=not given.no_gtid, port=given.port)
            case "serve":
                return serve(files, gtid=not given.no_gtid, port=given.port)
            case "stop":
                return stop(files)
            case "status":
                return status(files)
            case _:
                return shell(files)
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
