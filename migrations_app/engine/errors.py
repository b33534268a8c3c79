"""What can go wrong, by what the caller should do about it.

EngineError
├── RefusedError          nothing was touched; change the statement, the table or the server
├── TransientError        everything was kept; run it again
│   ├── ServerLostError   the server, or one of our connections to it, went away
│   └── LockLostError      the connection that holds the run's locks went away
├── StrictRefusedError    the checkpoint cannot be used and strict mode forbids a fresh start
├── StoppedError          the caller asked to stop (control flow inside the engine)
└── FailedError           needs a person; progress was kept unless the message says otherwise
    ├── DataDoesNotFitError    a row cannot take its new shape
    ├── DifferenceError        the checksum found a difference it could not explain
    └── SchemaChangedError     somebody else changed the table during the run
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class EngineError(Exception):
    """The root of all errors this engine raises on purpose.

    str() is a message for people: what happened and what was kept. advice: what whoever called the
    engine does next; apart, because a program that runs the engine has its own ways to go on.
    """

    usual_advice = ""

    def __init__(
        self, message: str, data: Mapping[str, Any] | None = None, *, advice: str = ""
    ) -> None:
        super().__init__(message)
        self.data: Mapping[str, Any] = data or {}
        self.advice = advice or self.usual_advice


class RefusedError(EngineError):
    """Refused before anything was touched. ``reasons``: every reason found, one sentence each."""

    def __init__(self, reasons: str | Sequence[str]) -> None:
        self.reasons = [reasons] if isinstance(reasons, str) else list(reasons)
        super().__init__("\n".join(self.reasons), {"reasons": self.reasons})


class TransientError(EngineError):
    """Worth another try: the shadow table and the checkpoint were kept."""

    usual_advice = "Run it again to go on."


class ServerLostError(TransientError):
    """The server, or a connection the run cannot do without, went away."""


class LockLostError(TransientError):
    """Not a ServerLostError: those are tried again on a new connection, which must not be."""


class StrictRefusedError(EngineError):
    """The checkpoint cannot be used, and strict mode forbids to start afresh."""


class StoppedError(EngineError):
    """The caller asked to stop."""

    usual_advice = "Run the same again to go on from there."


class FailedError(EngineError):
    """The run cannot go on and a rerun would meet the same obstacle."""


class DataDoesNotFitError(FailedError):
    """A row cannot be stored in the new shape; ``data`` names key, column and value."""


class DifferenceError(FailedError):
    """The new table differs from the old one where nothing explains it."""


class SchemaChangedError(FailedError):
    """Somebody else changed the definition of the table while it was being migrated."""
