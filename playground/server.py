"""A private MySQL server for tests, the demo and a developer.

``PrivateServer`` owns a folder, a free port on 127.0.0.1 and a mysqld, and gives all three back
when it is closed, or when its process dies in any way (see ``guardian``). The server is a real one:
``find_mysqld`` names a MySQL that is installed, or has ``script/mysql-install`` download one.

Durability is the server's default (the log is flushed at every commit): the tests kill servers.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import MySQLdb
import tenacity

from migrations_app.engine.server import facts_from
from playground import templates
from playground.connections import greeting_was_broken
from playground.errors import ServerError

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
START_TIMEOUT_SECS = 120
# Below the range from which the kernel takes ports for outgoing connections (32768 and up), so that
# a server which is down for a moment finds its port free again.
PORT_RANGE = range(20_000, 32_000)
PORT_ATTEMPTS = 5
# A UNIX socket's path may have 107 bytes; the longest name of one in the folder is mysql.sock.lock.
LONGEST_FOLDER = 90

Option = str | int | None


def find_mysqld() -> str:
    """The path of a MySQL server program, downloaded first if this machine has none.

    Raises ServerError with the script's own words when there is none to be had.
    """
    done = subprocess.run(
        [CHECKOUT / "script" / "mysql-install"], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise ServerError("There is no MySQL server to start; script/mysql-install says why above.")
    return done.stdout.strip()


class PrivateServer:
    """A MySQL server of one's own.

    ``options`` are written into its option file as they are (``None``: the bare name) and win over
    what is set here. With ``folder`` the data is kept there for the next time; without it, it is
    temporary. ``port`` is for who needs a known one; otherwise a free one is found, and kept over
    restarts.

    ``pid`` is mysqld's process id while it runs, else None. Methods may be called from any thread.
    """

    host = HOST

    def __init__(
        self,
        *,
        gtid: bool = True,
        options: Mapping[str, Option] | None = None,
        port: int | None = None,
        folder: pathlib.Path | None = None,
    ) -> None:
        self.gtid = gtid
        self.options = {name.replace("_", "-"): value for name, value in (options or {}).items()}
        self.port = port or 0
        self.pid: int | None = None
        self.folder = folder
        self.password = ""
        self._may_move = port is None
        self._is_temporary = folder is None
        self._guardian: subprocess.Popen[str] | None = None
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def socket(self) -> str:
        """The path of the server's UNIX socket."""
        return str(self._folder / "mysql.sock")

    @property
    def data_folder(self) -> pathlib.Path:
        return self._folder / "data"

    def start(self) -> None:
        """Start the server and wait until it answers; does nothing when it runs.

        Raises ServerError with the end of its log when it does not come up.
        """
        with self._lock:
            if self.is_running():
                return
            self._prepare()
            for attempts_left in reversed(range(PORT_ATTEMPTS)):
                if self._may_move:
                    self.port = find_free_port()
                self._write_option_file()
                _, _, pid = self._order("start").partition(" ")
                self.pid = int(pid)
                try:
                    self._wait_until_ready()
                except ServerError:
                    self._order("kill")
                    self.pid = None
                    if not (self._may_move and attempts_left and self._port_was_taken()):
                        raise
                else:
                    # From now on clients know the port.
                    self._may_move = False
                    return

    def stop(self) -> None:
        """SIGTERM, and wait: the server flushes and ends in order."""
        self._end("stop")

    def kill(self) -> None:
        """SIGKILL, as a crash of the server would be; the data stays for ``start``."""
        self._end("kill")

    def restart(self) -> None:
        """Stop in order and start again, with the same port and data."""
        with self._lock:
            self.stop()
            self.start()

    def close(self) -> None:
        """End the server and give everything back. Calling it twice is harmless."""
        with self._lock:
            self.pid = None
            if self._guardian is None:
                return
            guardian, self._guardian = self._guardian, None
            if guardian.stdin is not None:
                # The guardian may be gone already; closing flushes.
                with contextlib.suppress(BrokenPipeError):
                    guardian.stdin.close()
            guardian.wait()
            if guardian.stdout is not None:
                guardian.stdout.close()

    def is_running(self) -> bool:
        if self.pid is None:
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    @property
    def version(self) -> tuple[int, int, int]:
        """MySQL's, as its numbers."""
        [(text,)] = self.execute("SELECT VERSION()")
        return facts_from(str(text), "", ()).version

    def root_dsn(self, schema: str) -> str:
        """``mysql://root:…@127.0.0.1:port/schema`` for an account that may do everything."""
        return f"mysql://root:{self.password}@{self.host}:{self.port}/{urllib.parse.quote(schema)}"

    def execute(
        self, sql: str, arguments: Sequence[object] = (), *, schema: str = ""
    ) -> list[tuple[Any, ...]]:
        """Run one statement as root, on a connection of its own, and return its rows.

        ``arguments`` replace ``%s``; without any, a per cent sign is just that.
        """
        connection = self._connect_again_if_broken(schema)
        try:
            with contextlib.closing(connection.cursor()) as cursor:
                cursor.execute(sql, tuple(arguments) if arguments else None)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines the server wrote."""
        try:
            text = self._log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    @property
    def _folder(self) -> pathlib.Path:
        if self.folder is None:
            raise ServerError("The server has no folder yet: start it first.")
        return self.folder

    @property
    def _log_path(self) -> pathlib.Path:
        return self._folder / "error.log"

    def _connect(self, schema: str = "") -> MySQLdb.Connection:
        return MySQLdb.connect(
            unix_socket=self.socket,
            user="root",
            passwd=self.password,
            db=schema,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=10,
        )

    @tenacity.retry(
        retry=tenacity.retry_if_exception(greeting_was_broken),
        stop=tenacity.stop_after_attempt(5),
        wait=tenacity.wait_fixed(0.05),
        reraise=True,
    )
    def _connect_again_if_broken(self, schema: str) -> MySQLdb.Connection:
        return self._connect(schema)

    def _prepare(self) -> None:
        """Folder, password, data and guardian, as far as they are not there yet."""
        if self._guardian is not None:
            return
        mysqld = find_mysqld()
        if self.folder is None:
            self.folder = make_temporary_folder()
        if len(os.fsencode(self.folder)) > LONGEST_FOLDER:
            raise ServerError(
                f"{self.folder} is too long a path for a UNIX socket in it (at most"
                f" {LONGEST_FOLDER} bytes). Nothing was started; choose a shorter one."
            )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Before the data: from here on the folder is removed whatever happens.
        self._guardian = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", CHECKOUT / "playground" / "guardian.py"),
                *(str(os.getpid()), self.folder),
                "remove" if self._is_temporary else "keep",
                *(self._log_path, mysqld, f"--defaults-file={self.folder / 'my.cnf'}"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._set_password()
        if not self.data_folder.exists():
            template = templates.find_or_make(mysqld, self.options)
            unfinished = self.folder / "data.unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(template, unfinished)
            unfinished.rename(self.data_folder)
        (self.folder / "tmp").mkdir(exist_ok=True)

    def _set_password(self) -> None:
        """A random password, the same for the folder's life, which every start gives to root."""
        path = self._folder / "root-password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(16))
        self.password = path.read_text()
        # Not in the binary log: a fresh server has executed nothing.
        (self._folder / "init.sql").write_text(
            "SET SESSION sql_log_bin = 0;\n"
            f"ALTER USER 'root'@'localhost' IDENTIFIED BY '{self.password}';\n"
        )

    def _write_option_file(self) -> None:
        folder = self._folder
        on_or_off = "ON" if self.gtid else "OFF"
        settings: dict[str, Option] = {
            "datadir": str(self.data_folder),
            "tmpdir": str(folder / "tmp"),
            "socket": self.socket,
            "pid-file": str(folder / "mysqld.pid"),
            "init-file": str(folder / "init.sql"),
            "port": self.port,
            "bind-address": HOST,
            "mysqlx": "OFF",
            "secure-file-priv": "NULL",
            "server-id": self.port,
            "log-bin": "mysql-bin",
            "binlog-format": "ROW",
            "gtid-mode": on_or_off,
            "enforce-gtid-consistency": on_or_off,
            "innodb-buffer-pool-size": "512M",
            # Since 8.0.30; before it the default files are small enough.
            "loose-innodb-redo-log-capacity": "128M",
        }
        if os.geteuid() == 0:
            settings["user"] = "root"
        settings.update(self.options)
        lines = [name if value is None else f"{name}={value}" for name, value in settings.items()]
        (folder / "my.cnf").write_text("\n".join(["[mysqld]", *lines, ""]))

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECS
        while True:
            try:
                self._connect().close()
            except MySQLdb.Error as error:
                if not self.is_running():
                    why = "ended at once"
                elif time.monotonic() > deadline:
                    why = f"did not answer within {START_TIMEOUT_SECS} s ({error})"
                else:
                    time.sleep(0.05)
                    continue
                raise ServerError(
                    f"The private MySQL server {why}. The end of its log:\n{self.log_tail()}"
                ) from None
            return

    def _port_was_taken(self) -> bool:
        return "Bind on TCP/IP port" in self.log_tail()

    def _end(self, order: str) -> None:
        with self._lock:
            if self._guardian is not None:
                self._order(order)
            self.pid = None

    def _order(self, order: str) -> str:
        """Give the guardian an order and return its answer."""
        guardian = self._guardian
        if guardian is None or guardian.stdin is None or guardian.stdout is None:
            raise ServerError("The server is closed.")
        try:
            guardian.stdin.write(f"{order}\n")
            guardian.stdin.flush()
            answer = guardian.stdout.readline().strip()
        except BrokenPipeError:
            answer = ""
        if not answer.startswith(("started", "exited")):
            raise ServerError(
                f"The server's guardian did not obey {order!r}: {answer or 'it died'}."
            )
        return answer


def find_free_port() -> int:
    """A port of PORT_RANGE on which nobody listens at this moment."""
    for port in random.sample(PORT_RANGE, k=200):
        with socket.socket() as probe:
            # As mysqld does: a port whose last connections linger is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise ServerError(f"No free port between {PORT_RANGE.start} and {PORT_RANGE.stop} on {HOST}.")


def make_temporary_folder() -> pathlib.Path:
    """A new folder only we may enter, short enough for a socket in it."""
    parent = tempfile.gettempdir()
    return pathlib.Path(
        tempfile.mkdtemp(
            prefix="spirit-mysql-", dir=parent if len(parent) < LONGEST_FOLDER - 25 else "/tmp"
        )
    )
