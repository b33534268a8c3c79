"""Semi-synchronous replication without a replica: a commit is logged at once, and can be seen only
after a time, since nobody acknowledges it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from playground.server import PrivateServer


class SemiSync:
    """The plugin of a source, by the name it has on this server: another before MySQL 8.0.26."""

    def __init__(self, server: PrivateServer) -> None:
        self._server = server
        self._word = "source" if server.version >= (8, 0, 26) else "master"

    def install(self) -> None:
        """Once in a server's life; it does nothing yet."""
        word = self._word
        self._server.execute(f"INSTALL PLUGIN rpl_semi_sync_{word} SONAME 'semisync_{word}.so'")

    def uninstall(self) -> None:
        self._server.execute(f"UNINSTALL PLUGIN rpl_semi_sync_{self._word}")

    def stall(self) -> None:
        """The next commit is stalled, and those that come meanwhile; then the source gives up."""
        self._set("enabled", "ON")

    def end(self) -> None:
        self._set("enabled", "OFF")

    def set_timeout(self, millisecs: int) -> None:
        """How long a commit is stalled."""
        self._set("timeout", str(millisecs))

    def _set(self, name: str, value: str) -> None:
        self._server.execute(f"SET GLOBAL rpl_semi_sync_{self._word}_{name} = {value}")


@contextlib.contextmanager
def semi_sync(server: PrivateServer, timeout_millisecs: int) -> Iterator[SemiSync]:
    """The plugin for the length of a block."""
    plugin = SemiSync(server)
    plugin.install()
    try:
        plugin.set_timeout(timeout_millisecs)
        yield plugin
    finally:
        plugin.end()
        plugin.uninstall()
