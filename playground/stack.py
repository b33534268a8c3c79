"""Everything the demo runs, started in order and ended in the reverse one, whatever happens.

A private MySQL with the shop's data, a live writer on it, a fresh control database in ``var/demo``,
the web server and the workers. MySQL has three accounts: root (ours), one for the live writer, and
one for the engine with exactly the privileges a migration needs.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import shutil
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import Self

from playground import control
from playground.children import Child, listen_locally
from playground.server import CHECKOUT, HOST, PrivateServer
from playground.shop import ShopSizes, create_shop
from playground.writer import LiveWriter

SCHEMA = "shop"
WEB_TIMEOUT_SECS = 60.0
# Runs write a checkpoint when the workers are told to end; they promise to take 15 s at most.
WORKER_GRACE_SECS = 20.0
WEB_GRACE_SECS = 8.0
BUFFER_POOL = "512M"

GRANTS = {
    "live_shop": [f"SELECT, INSERT, UPDATE, DELETE ON `{SCHEMA}`.*"],
    "spirit": [
        f"SELECT, INSERT, UPDATE, DELETE ON `{SCHEMA}`.*",
        f"CREATE, DROP, ALTER, INDEX, LOCK TABLES, TRIGGER ON `{SCHEMA}`.*",
        # The binary log.
        "REPLICATION SLAVE, REPLICATION CLIENT ON *.*",
        # Who holds the table at cut-over, and, at the very end of its patience, ending them.
        "PROCESS, CONNECTION_ADMIN ON *.*",
        "SELECT ON performance_schema.*",
    ],
}


class Stack:
    """The demo's parts. say: gets a line for each step; keep: leave folder and data at the end.

    rate, max_secs, max_changes: the live writer's bounds.
    """

    def __init__(
        self,
        *,
        orders: int,
        rate: float,
        max_secs: float,
        max_changes: int,
        port: int = 0,
        keep: bool = False,
        say: Callable[[str], None],
    ) -> None:
        self.orders = orders
        self.rate = rate
        self.bounds = (max_secs, max_changes)
        self.port = port
        self.keep = keep
        self.folder = CHECKOUT / "var" / "demo" / str(os.getpid())
        self.address = ""
        self.accounts: dict[str, control.Account] = {}
        self.sizes = ShopSizes.of(orders)
        self._say = say
        self._passwords = {user: secrets.token_urlsafe(16) for user in GRANTS}
        self._ends = contextlib.ExitStack()
        self._children: list[Child] = []
        self._server: PrivateServer | None = None
        self._writer: LiveWriter | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
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

    def close(self) -> None:
        """End everything. Calling it twice is harmless."""
        # Both at once: each may take its whole grace.
        try:
            for child in self._children:
                child.ask_to_end()
        finally:
            self._ends.close()

    def check(self) -> None:
        """Raise when a part has ended by itself: ChildError, or WriterError."""
        for child in self._children:
            child.check()
        if self._writer is not None:
            self._writer.check()

    def web_pids(self) -> list[int]:
        """The processes of the web server."""
        return self._children[0].pids()

    @property
    def server(self) -> PrivateServer:
        assert self._server is not None
        return self._server

    @property
    def writer(self) -> LiveWriter:
        assert self._writer is not None
        return self._writer

    def dsn(self, user: str) -> str:
        """How one of GRANTS' accounts connects."""
        password = urllib.parse.quote(self._passwords[user])
        return f"mysql://{user}:{password}@{HOST}:{self.server.port}/{SCHEMA}"

    def _start(self) -> None:
        self._make_folder()
        self._say("Starting a private MySQL server …")
        folder = self.folder / "mysql" if self.keep else None
        server = PrivateServer(options={"innodb-buffer-pool-size": BUFFER_POOL}, folder=folder)
        self._server = self._ends.enter_context(server)
        self._say(f"Filling a web shop with {self.orders:,} orders …")
        server.execute(f"CREATE DATABASE `{SCHEMA}`")
        create_shop(server.root_dsn(SCHEMA), orders=self.orders)
        self._create_accounts()
        self._say("Starting the web server and the workers …")
        self._start_application()
        self._say(f"Starting a live application that writes {self.rate:g} rows a second …")
        max_secs, max_changes = self.bounds
        writer = LiveWriter(
            self.dsn("live_shop"), rate=self.rate, max_secs=max_secs, max_changes=max_changes
        )
        self._ends.callback(_end_writer, writer)
        writer.start()
        self._writer = writer

    def _make_folder(self) -> None:
        """A folder of our own; those of demos that were killed are cleared away."""
        parent = self.folder.parent
        parent.mkdir(parents=True, exist_ok=True)
        for other in parent.iterdir():
            is_left_over = other.name.isdigit() and not pathlib.Path("/proc", other.name).exists()
            if is_left_over and not (other / "keep").exists():
                shutil.rmtree(other, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700)
        # Where collected static files would be; the web server asks for the folder.
        (self.folder / "static").mkdir()
        if self.keep:
            (self.folder / "keep").touch()
        else:
            self._ends.callback(shutil.rmtree, self.folder, ignore_errors=True)

    def _create_accounts(self) -> None:
        for user, grants in GRANTS.items():
            # The server listens on this machine's own address only.
            self.server.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY '{self._passwords[user]}'")
            for grant in grants:
                what, _, where = grant.rpartition(" ON ")
                self.server.execute(f"GRANT {what} ON {where} TO '{user}'@'%'")

    def _start_application(self) -> None:
        settings = self._settings()
        control.set_up(settings)
        self.accounts = control.create_accounts()
        control.create_target(
            host=HOST,
            port=self.server.port,
            user="spirit",
            password=self._passwords["spirit"],
            schema=SCHEMA,
        )
        self._ends.callback(control.close)
        environment = {**os.environ, **settings}
        with listen_locally(self.port) as listener:
            self.address = f"http://{HOST}:{listener.getsockname()[1]}/"
            self._start_child(
                Child(
                    "web server",
                    _web_command(listener.fileno()),
                    environment=environment,
                    folder=CHECKOUT,
                    log=self.folder / "web.log",
                    grace_secs=WEB_GRACE_SECS,
                    listener=listener,
                )
            )
        self._start_child(
            Child(
                "worker",
                [sys.executable, CHECKOUT / "manage.py", "worker"],
                environment=environment,
                folder=CHECKOUT,
                log=self.folder / "worker.log",
                grace_secs=WORKER_GRACE_SECS,
            )
        )
        self._wait_for_pages()

    def _settings(self) -> dict[str, str]:
        """The application's environment: all of it, so that a ``.env`` changes nothing here."""
        database = urllib.parse.quote(str(self.folder / "control.sqlite3"))
        return {
            "DJANGO_SETTINGS_MODULE": "spirit_admin.settings",
            "DATABASE_URL": f"sqlite:///{database}",
            "VAR_DIR": str(self.folder),
            "SECRET_KEY": secrets.token_urlsafe(50),
            "GENERATE_KEYS": "on",
            "DEBUG": "off",
            "ALLOWED_HOSTS": f"{HOST},localhost",
            "HTTPS": "off",
            "REDIS_URL": "",
            "RUNNER_CONCURRENCY": "2",
        }

    def _start_child(self, child: Child) -> None:
        self._children.append(self._ends.enter_context(child))

    def _wait_for_pages(self) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + WEB_TIMEOUT_SECS
        while True:
            self.check()
            try:
                with opener.open(self.address, timeout=WEB_TIMEOUT_SECS):
                    return
            except OSError as error:
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"The web server did not answer within {WEB_TIMEOUT_SECS:.0f} s: {error}\n"
                        f"{self._children[0].log_tail()}"
                    ) from error
            time.sleep(0.1)


def _web_command(descriptor: int) -> list[str]:
    return [
        *(sys.executable, "-m", "gunicorn", "spirit_admin.wsgi:application"),
        *("--bind", f"fd://{descriptor}", "--workers", "1", "--threads", "8"),
        *("--graceful-timeout", "3", "--log-level", "warning", "--no-control-socket"),
    ]


def _end_writer(writer: LiveWriter) -> None:
    """Stop a writer at the end of the demo; what it may complain about was asked for before."""
    with contextlib.suppress(Exception):
        writer.stop()
