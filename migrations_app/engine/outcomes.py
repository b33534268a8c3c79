"""How a run ended, made from what ended it."""

from __future__ import annotations

import logging

import MySQLdb

from migrations_app.engine.binlog import PositionLostError
from migrations_app.engine.errors import (
    EngineError,
    FailedError,
    RefusedError,
    StoppedError,
    StrictRefusedError,
    TransientError,
)
from migrations_app.engine.observer import Event, Level, Method, Outcome, OutcomeKind, Phase
from migrations_app.engine.session import is_contention, server_text

logger = logging.getLogger(__name__)

_KINDS: tuple[tuple[type[EngineError], OutcomeKind], ...] = (
    (RefusedError, OutcomeKind.REFUSED),
    (StrictRefusedError, OutcomeKind.STRICT),
    (StoppedError, OutcomeKind.STOPPED),
    # The next run sees at its beginning that the position is gone, and decides there.
    (PositionLostError, OutcomeKind.TRANSIENT),
    (TransientError, OutcomeKind.TRANSIENT),
    (FailedError, OutcomeKind.FAILED),
)
_DONE = {
    Method.INSTANT: "The server made the change at once (ALGORITHM=INSTANT); no row was copied.",
    Method.INPLACE: "The server made the change in place: metadata only, no row was copied.",
    Method.COPY: "Every row was copied and verified, and the tables were swapped.",
}


def completed(method: Method, kept: str) -> Outcome:
    message = _DONE.get(method, "The change was made.")
    return Outcome(OutcomeKind.COMPLETED, f"{message} {kept}".strip(), method)


def of_error(error: BaseException, method: Method) -> Outcome:
    """The outcome that an error stands for; an unforeseen one is logged with its trace."""
    if isinstance(error, EngineError):
        kind = next((kind for cls, kind in _KINDS if isinstance(error, cls)), OutcomeKind.FAILED)
        return Outcome(kind, str(error), method, dict(error.data), error.advice)
    if isinstance(error, MySQLdb.Error) and is_contention(error):
        return Outcome(
            OutcomeKind.TRANSIENT,
            f"Other sessions kept locking what the run needed: {server_text(error)}. Everything up "
            f"to the last checkpoint was kept.",
            method,
            advice=TransientError.usual_advice,
        )
    if isinstance(error, MySQLdb.Error):
        logger.error("The server refused a statement of the engine.", exc_info=error)
        return Outcome(
            OutcomeKind.FAILED,
            f"The server answered: {server_text(error)}. Everything up to the last checkpoint "
            f"was kept.",
            method,
        )
    logger.error("Unforeseen error in a run.", exc_info=error)
    return Outcome(
        OutcomeKind.FAILED,
        f"An unforeseen error ended the run ({type(error).__name__}: {error}). Everything up to "
        f"the last checkpoint was kept; the log has the details.",
        method,
    )


def last_words(outcome: Outcome) -> tuple[Phase, Event]:
    """The final phase and event of an outcome."""
    match outcome.kind:
        case OutcomeKind.COMPLETED:
            phase, level = Phase.COMPLETED, Level.INFO
        case OutcomeKind.STOPPED:
            phase, level = Phase.STOPPED, Level.INFO
        case OutcomeKind.TRANSIENT:
            phase, level = Phase.FAILED, Level.WARNING
        case _:
            phase, level = Phase.FAILED, Level.ERROR
    data = {**outcome.data, "outcome": outcome.kind.value, "method": outcome.method.value}
    return phase, Event(phase.value, outcome.message, level, data)
