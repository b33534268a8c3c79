"""A real receiver of notices, and rows that tests begin with."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import User

from migrations_app.models import NoticeChannel, Target

SECRET = "the-secret-of-the-hook"


class Receiver:
    """A web server on this machine. status: what it answers with; None: it does not answer.

    barrier: so many are answered together; once they have been, all others at once.
    """

    def __init__(self) -> None:
        self.status: int | None = 200
        self.received: list[dict[str, Any]] = []
        self.released = threading.Event()
        self.barrier = threading.Barrier(1)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), daemon=True
        )
        self._thread.start()

    @property
    def address(self) -> str:
        """In apprise's form, with a secret as password and in its path."""
        return f"json://spirit:{SECRET}@127.0.0.1:{self._server.server_port}/hook/{SECRET}"

    @property
    def titles(self) -> list[str]:
        return [str(message["title"]) for message in self.received]

    def meet(self) -> None:
        """Wait for the barrier's others, the first time."""
        barrier = self.barrier
        with contextlib.suppress(threading.BrokenBarrierError):
            barrier.wait(5)
            barrier.abort()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if receiver.status is None:
                    receiver.released.wait(30)
                    return
                receiver.meet()
                if receiver.status == 200:
                    receiver.received.append(json.loads(body))
                with contextlib.suppress(ConnectionError):
                    self.send_response(receiver.status)
                    self.send_header("Location", "/elsewhere")
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Says nothing."""

        return Handler


@contextlib.contextmanager
def running_receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    try:
        yield receiver
    finally:
        receiver.close()


def make_channel(
    address: str = "json://127.0.0.1:1/",
    *,
    owner: User | None = None,
    targets: list[Target] | None = None,
    **fields: Any,
) -> NoticeChannel:
    """A channel, of the team unless it has an owner."""
    channel = NoticeChannel(name=fields.pop("name", "the team's chat"), owner=owner, **fields)
    channel.set_address(address)
    channel.save()
    channel.targets.set(targets or [])
    return channel
