"""``spirit approve``, ``start``, ``stop``, ``volume``, ``cutover`` …: every order there is."""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import time
from typing import Any

from django.utils import timezone

from migrations_app import commands, offers, readings
from migrations_app.commandline import show
from migrations_app.commandline.arguments import add_json
from migrations_app.commandline.control import (
    DONE,
    EXIT_CODES,
    FAILED,
    STILL_GOING,
    Complaint,
    add_person,
    add_request,
    guarded,
    person_of,
    request_of,
)
from migrations_app.models import CommandResult, MigrationRequest, State

# Where an order is called otherwise than by its kind.
NAMES = {
    "set_volume": "volume",
    "cut_over": "cutover",
    "hold_cutover": "hold",
    "start_afresh": "start-afresh",
}
# With a command of its own, which takes more.
ELSEWHERE = {"submit"}
_NEED_COMMENT = {"reject", "comment"}
_IRREVERSIBLE = {"cut_over", "start_afresh", "cancel"}
_QUEUES = {"start", "retry", "start_afresh"}
_AT_REST = {
    State.COMPLETED, State.STOPPED, State.FAILED, State.CANCELLED, State.WAITING_FOR_CUTOVER,
    State.DRAFT, State.REJECTED,
}  # fmt: skip
_LOOK_EVERY_SECS = 0.5


def add_to(subcommands: Any) -> None:
    """Add one subcommand for each kind of order."""
    for order in offers.ORDERS.values():
        if order.kind not in ELSEWHERE:
            _add(subcommands, order)


def _add(subcommands: Any, order: offers.Order) -> None:
    parser = subcommands.add_parser(
        NAMES.get(order.kind, order.kind),
        help=order.help,
        description=order.help,
        epilog=EXIT_CODES,
    )
    parser.set_defaults(run=guarded(give), kind=order.kind)
    add_request(parser)
    if order.kind == "set_volume":
        parser.add_argument("volume", type=int, metavar="VOLUME", help="1 to 11")
    parser.add_argument(
        "--comment", "--reason", default="", required=order.kind in _NEED_COMMENT,
        help="a remark, or the reason",
    )  # fmt: skip
    if order.kind == "schedule":
        parser.add_argument(
            "--after", type=_moment, metavar="TIME", help="not to begin before: 2026-11-23T22:00"
        )
        parser.add_argument("--hours", default="", help='such as "Mon-Fri 22:00-06:00, Sat-Sun"')
    parser.add_argument(
        "--version", dest="seen", type=int, metavar="N",
        help="refuse when the request is not at this version any more",
    )  # fmt: skip
    if order.kind in _IRREVERSIBLE:
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    parser.add_argument(
        "--wait", type=float, nargs="?", const=3600.0, metavar="SECONDS",
        help="wait until it is carried out, and until the request rests",
    )  # fmt: skip
    add_person(parser)
    add_json(parser)


def give(arguments: dict[str, Any]) -> int:
    """Give the order; with ``--wait``, wait for what becomes of it."""
    actor = person_of(arguments)
    request = request_of(arguments["request"])
    kind = arguments["kind"]
    _confirm(kind, request, arguments)
    before = request.commands.order_by("-pk").values_list("pk", flat=True).first() or 0
    commands.give(
        kind,
        actor,
        request,
        commands.Arguments(
            comment=arguments["comment"],
            volume=arguments.get("volume"),
            start_after=arguments.get("after"),
            hours=arguments.get("hours") or "",
            version=_version(kind, request, arguments["seen"]),
        ),
    )
    order = request.commands.filter(pk__gt=before, kind=kind, actor=actor).first()
    code = DONE
    if arguments["wait"] is not None:
        code = _wait(request, order.pk if order else None, arguments["wait"])
        if order is not None:
            order.refresh_from_db()
    request = request_of(request.pk)
    if arguments["json"]:
        show.write_json(
            {
                "request": readings.line(request),
                "order": readings.order(order) if order is not None else None,
            }
        )
        return code
    out = show.console()
    # What was to come has come when it was waited for.
    is_over = arguments["wait"] is not None and code == DONE and kind in _QUEUES
    said = f" {order.answer}" if order is not None and order.answer and not is_over else ""
    state = State(request.state).label.lower()
    show.heading(
        out, f"{offers.ORDERS[kind].label}: given. Request #{request.pk} is {state}.{said}"
    )
    if code != DONE and request.message:
        show.heading(out, request.message, style="")
    return code


def _version(kind: str, request: MigrationRequest, seen: int | None) -> int | None:
    """An approval is for a version: the one that is there now, when none was named."""
    return request.version if seen is None and kind == "approve" else seen


def _confirm(kind: str, request: MigrationRequest, arguments: dict[str, Any]) -> None:
    """Let a person type the table's name before what cannot be undone. Raises Complaint."""
    if kind not in _IRREVERSIBLE or arguments["yes"]:
        return
    if not sys.stdin.isatty():
        raise Complaint("This cannot be undone: add --yes to confirm it.")
    sys.stderr.write(f"This cannot be undone. Type {request.table_name} to confirm: ")
    if sys.stdin.readline().strip() != request.table_name:
        raise Complaint("Nothing was done.")


def _wait(request: MigrationRequest, order: int | None, secs: float) -> int:
    """Until the order is settled and the request rests."""
    deadline = time.monotonic() + secs
    while time.monotonic() < deadline:
        request.refresh_from_db()
        given = request.commands.filter(pk=order).first() if order else None
        is_settled = given is None or not given.is_open
        if is_settled and (request.state in _AT_REST or request.is_final):
            failed = given is not None and given.result == CommandResult.FAILED
            return FAILED if failed or request.state == State.FAILED else DONE
        time.sleep(_LOOK_EVERY_SECS)
    return STILL_GOING


def _moment(text: str) -> dt.datetime:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not like 2026-11-23T22:00") from None
    return moment if moment.tzinfo else timezone.make_aware(moment)
