"""What is asked and answered. Times are ISO 8601 in UTC."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Self

from ninja import Field, Schema
from pydantic import AwareDatetime, ConfigDict, model_validator

from migrations_app.engine import DEFAULT_VOLUME, MAX_VOLUME, MIN_VOLUME
from migrations_app.models import State

MOST_ROWS = 200


class Page(Schema):
    """before: only rows with a smaller number, for the next page."""

    before: int | None = None
    limit: int = Field(50, ge=1, le=MOST_ROWS)


# What rows are looked up by. Not every database may even be asked for a NUL.
Name = Annotated[str, Field(pattern=r"^[^\x00]*$")]


class Filters(Page):
    """Which requests; what is left out does not matter."""

    state: list[State] = []
    target: Name = ""
    table: Name = ""
    requester: Name = ""


class Asked(Schema):
    """What a program sends. A field that there is not is a mistake, not something to ignore."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="after")
    def _is_text(self) -> Self:
        """JSON can escape half of a character (a lone surrogate), which no database stores."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
                raise ValueError(f"{name} holds half of a character, which cannot be stored")
        return self


class Message(Schema):
    """Why something was not done."""

    detail: str


class OptionsOut(Schema):
    """How a request runs."""

    volume: int
    strict: bool
    defer_cutover: bool
    skip_drop: bool
    autoscale: bool
    defer_indexes: str
    checkpoint_max_age_secs: int
    start_after: dt.datetime | None
    hours: str


class Options(Asked):
    """How a request is to run."""

    volume: int = Field(DEFAULT_VOLUME, ge=MIN_VOLUME, le=MAX_VOLUME)
    strict: bool = False
    defer_cutover: bool = False
    skip_drop: bool = False
    autoscale: bool = True
    defer_indexes: str = Field("auto", pattern="^(auto|on|off)$")
    checkpoint_max_age_secs: int = Field(7 * 24 * 3600, ge=60)
    start_after: AwareDatetime | None = None
    hours: str = ""


class NewRequest(Options):
    """A change to ask for. acknowledgement: why unsafe parts are meant; submit: at once."""

    target: Name
    statement: str = Field(min_length=1, max_length=1_000_000)
    title: str = Field("", max_length=200)
    reason: str = ""
    acknowledgement: str = ""
    submit: bool = False


class Changes(Asked):
    """What of a request is to be different; what is left out stays. version: as it was read;
    start_after: null takes it away."""

    version: int
    statement: str | None = Field(None, min_length=1, max_length=1_000_000)
    title: str | None = Field(None, max_length=200)
    reason: str | None = None
    acknowledgement: str | None = None
    volume: int | None = Field(None, ge=MIN_VOLUME, le=MAX_VOLUME)
    strict: bool | None = None
    defer_cutover: bool | None = None
    skip_drop: bool | None = None
    autoscale: bool | None = None
    defer_indexes: str | None = Field(None, pattern="^(auto|on|off)$")
    checkpoint_max_age_secs: int | None = Field(None, ge=60)
    start_after: AwareDatetime | None = None
    hours: str | None = None


class OrderIn(Asked):
    """What comes with an order: a reason, the volume, a schedule, the version that was seen."""

    comment: str = Field("", max_length=4000)
    volume: int | None = None
    start_after: AwareDatetime | None = None
    hours: str = Field("", max_length=200)
    version: int | None = None


class OfferOut(Schema):
    """An order, and whether this person may give it now; reason: why not."""

    kind: str
    label: str
    help: str
    is_allowed: bool
    reason: str


class OrderOut(Schema):
    """An order that was given, and what became of it."""

    id: int
    kind: str
    argument: dict[str, Any]
    actor: str
    asked_at: dt.datetime
    obeyed_at: dt.datetime | None
    result: str
    answer: str


class RequestLine(Schema):
    """A request in a list."""

    id: int
    version: int
    target: str
    table: str
    title: str
    requester: str
    state: str
    phase: str
    fraction: float
    rows_copied: int
    rows_total: int
    rows_per_sec: float
    eta_secs: float | None
    throttled: str
    volume: int
    waiting_for: str
    message: str
    created_at: dt.datetime
    updated_at: dt.datetime
    last_heartbeat_at: dt.datetime | None


class ApprovalOut(Schema):
    """One person's consent; voided_at: when an edit made it worth nothing."""

    approver: str
    comment: str
    created_at: dt.datetime
    voided_at: dt.datetime | None


class RequestFull(RequestLine):
    """A request with everything about it."""

    statement: str
    reason: str
    options: OptionsOut
    running_volume: int | None
    rows_checked: int
    deltas_waiting: int
    deltas_applied: int
    position: str
    method: str
    place_in_queue: int | None
    is_unsafe: bool
    acknowledgement: str
    acknowledged_by: str
    cutover_held: bool
    approvals: list[ApprovalOut]
    approvals_missing: int
    snapshot: dict[str, Any]
    open_orders: list[OrderOut]
    offers: list[OfferOut]
    submitted_at: dt.datetime | None
    approved_at: dt.datetime | None
    started_at: dt.datetime | None
    ended_at: dt.datetime | None


class EventOut(Schema):
    """Something that happened."""

    id: int
    request: int | None
    run: int | None
    kind: str
    level: str
    message: str
    data: dict[str, Any]
    actor: str
    created_at: dt.datetime


class CheckpointOut(Schema):
    """The mirror of a checkpoint; resumable: null before the first look at the target."""

    id: int
    run: int
    position: str
    gtid_set: str
    phase: str
    rows_copied: int
    resumable: bool | None
    why_not: str
    log_expires_at: dt.datetime | None
    looked_at: dt.datetime | None
    created_at: dt.datetime


class RunOut(Schema):
    """One attempt of the engine; outcome: "" while it runs."""

    number: int
    worker: str
    volume: int
    threads: int | None
    method: str
    started_at: dt.datetime
    ended_at: dt.datetime | None
    outcome: str
    message: str
    resumed_from: int | None
    rows_at_start: int
    rows_at_end: int


class TargetOut(Schema):
    """A target without its secrets."""

    name: str
    address: str
    user: str
    tls_mode: str
    required_approvals: int
    approver_groups: list[str]
    allowed_hours: str
    time_zone: str
    max_volume: int
    max_concurrent_runs: int


class Me(Schema):
    """Whose token it is, and what it is for."""

    username: str
    permissions: list[str]
    scopes: list[str]
    expires_at: dt.datetime | None
