"""What is stored: targets, requests with their approvals and orders, runs and their history.

The models hold data and what can be said about a row by itself. Who may change a request's state,
and when, is lifecycle's; what a person can order is commands'. Events are append-only; checkpoints
are a mirror of what the engine wrote on the target.
"""

from migrations_app.models.api_token import ApiToken, Scope
from migrations_app.models.approval import Approval
from migrations_app.models.checkpoint import Checkpoint
from migrations_app.models.command import Command, CommandKind, CommandResult
from migrations_app.models.event import Event
from migrations_app.models.latch import Latch
from migrations_app.models.notice import NoticeChannel, NoticeDelivery
from migrations_app.models.request import (
    ACTIVE_STATES,
    FINAL_STATES,
    LEASED_STATES,
    DesiredState,
    MigrationRequest,
    State,
)
from migrations_app.models.run import Run
from migrations_app.models.sample import Sample
from migrations_app.models.target import Target
from migrations_app.models.worker import Worker

__all__ = [
    "ACTIVE_STATES",
    "FINAL_STATES",
    "LEASED_STATES",
    "ApiToken",
    "Approval",
    "Checkpoint",
    "Command",
    "CommandKind",
    "CommandResult",
    "DesiredState",
    "Event",
    "Latch",
    "MigrationRequest",
    "NoticeChannel",
    "NoticeDelivery",
    "Run",
    "Sample",
    "Scope",
    "State",
    "Target",
    "Worker",
]
