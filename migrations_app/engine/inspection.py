"""A session for looking at a server, and what goes wrong with it, in words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import MySQLdb

from migrations_app.engine.dsn import Dsn
from migrations_app.engine.errors import RefusedError, TransientError
from migrations_app.engine.preflight import require_supported_server
from migrations_app.engine.session import Session, is_contention, server_text

_LOCK_WAIT_SECS = 5


@contextlib.contextmanager
def inspecting(dsn: Dsn, purpose: str) -> Iterator[Session]:
    """A session for the length of a block.

    Raises TransientError when the server cannot be reached or is kept waiting by a lock;
    RefusedError when it can be no target, or refuses the account or one of the block's questions.
    """
    try:
        require_supported_server(dsn)
        session = Session(dsn, purpose, "")
        try:
            session.query(f"SET SESSION lock_wait_timeout = {_LOCK_WAIT_SECS}")
            yield session
        finally:
            session.close()
    except MySQLdb.Error as error:
        if is_contention(error):
            raise TransientError(
                f"The server could not answer for a lock: {server_text(error)}. Nothing was "
                f"changed; try again."
            ) from error
        raise RefusedError(
            f"The server answered: {server_text(error)}. Check the account's privileges."
        ) from error
