"""A door to a server where those who come may be greeted with what was meant for others."""

from __future__ import annotations

import contextlib
import dataclasses
import select
import socket
import threading
from typing import Self

from migrations_app.engine.dsn import Dsn

# The "OK" after a statement, as a session's last word; see connections.greeting_was_broken.
_OK_PACKET = bytes.fromhex("0700000100000002000000")


class Door:
    """Passes connections on to a server, but for the next ``wrong_greetings`` ones."""

    def __init__(self, dsn: Dsn) -> None:
        self._server = (dsn.host, dsn.port)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self.dsn = dataclasses.replace(dsn, port=self._socket.getsockname()[1])
        self._carriers: list[threading.Thread] = []
        self.wrong_greetings = 0

    def __enter__(self) -> Self:
        self._keeper.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        for thread in (self._keeper, *self._carriers):
            thread.join()
        self._socket.close()

    def _keep(self) -> None:
        with contextlib.suppress(OSError):  # the door was shut
            while True:
                visitor, _ = self._socket.accept()
                if self.wrong_greetings:
                    self.wrong_greetings -= 1
                    visitor.sendall(_OK_PACKET)
                    visitor.close()
                    continue
                carrier = threading.Thread(target=self._carry, args=(visitor,), daemon=True)
                carrier.start()
                self._carriers.append(carrier)

    def _carry(self, visitor: socket.socket) -> None:
        """Until either end has gone."""
        with visitor, socket.create_connection(self._server) as server:
            other = {visitor: server, server: visitor}
            with contextlib.suppress(OSError):
                while True:
                    for ready in select.select([visitor, server], [], [])[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        other[ready].sendall(data)
