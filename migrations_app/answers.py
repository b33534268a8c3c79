"""What becomes of open orders when a run, or the request, comes to rest."""

from __future__ import annotations

from collections.abc import Mapping

from migrations_app.models import CommandKind, CommandResult, MigrationRequest

Answer = tuple[CommandResult, str]
_DONE, _MOOT, _FAILED = CommandResult.DONE, CommandResult.MOOT, CommandResult.FAILED

_KEPT: Mapping[str, Answer] = {
    CommandKind.SET_VOLUME: (_DONE, "Kept for the next run."),
    CommandKind.HOLD_CUTOVER: (_DONE, "Kept for the next run: it waits for the order."),
}
COMPLETED: Mapping[str, Answer] = {
    CommandKind.CUT_OVER: (_DONE, "The tables are swapped."),
    CommandKind.HOLD_CUTOVER: (_MOOT, "Too late: the tables had just been swapped."),
}
STOPPED: Mapping[str, Answer] = {
    **_KEPT,
    CommandKind.STOP: (_DONE, "Stopped; a checkpoint was written."),
}
LOST_AND_STOPPED: Mapping[str, Answer] = {
    **_KEPT,
    CommandKind.STOP: (_DONE, "Stopped; its worker was lost, and the last checkpoint is kept."),
}
CANCELLED: Mapping[str, Answer] = {CommandKind.CANCEL: (_DONE, "Cancelled.")}
NOT_CANCELLED: Mapping[str, Answer] = {
    **_KEPT,
    CommandKind.CANCEL: (_FAILED, "The shadow table could not be dropped: cancel it again."),
}
FAILED: Mapping[str, Answer] = {
    **_KEPT,
    CommandKind.CUT_OVER: (_FAILED, "The run failed before the tables were swapped."),
}
_OTHERWISE = {
    id(COMPLETED): "The change was already made.",
    id(STOPPED): "The run was stopped.",
    id(LOST_AND_STOPPED): "The run was stopped.",
    id(CANCELLED): "The request was cancelled.",
    id(NOT_CANCELLED): "The request was being cancelled.",
    id(FAILED): "The run had failed.",
}


def settle_open(request: MigrationRequest, answers: Mapping[str, Answer]) -> None:
    """Settle every open order of a request by one of the tables above; an order that is not in it
    no longer applied."""
    for command in request.commands.filter(obeyed_at=None):
        result, words = answers.get(command.kind, (_MOOT, _OTHERWISE[id(answers)]))
        command.settle(words, result)
