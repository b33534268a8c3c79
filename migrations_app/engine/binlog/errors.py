"""What reading the binary log can end in, beside the engine's general errors."""

from __future__ import annotations

from migrations_app.engine.errors import EngineError, FailedError


class PositionLostError(EngineError):
    """The server no longer has what follows the position: definitive, a fresh start is needed.

    ``server_message`` is the server's own text, "" when the reader found out by itself.
    """

    def __init__(self, message: str, server_message: str = "") -> None:
        super().__init__(message, {"server_message": server_message})
        self.server_message = server_message


class ChangesLostError(FailedError):
    """Rows changed, and the binary log cannot say which: no checkpoint from before is of use."""


class UnreadableEventError(FailedError):
    """An event holds something that this reader does not understand."""
