"""``spirit submit`` and ``spirit edit``: requests written at a terminal or by a program."""

from __future__ import annotations

import argparse
import pathlib
import sys
from typing import Any

from migrations_app import approvers, commands, readings
from migrations_app.commandline import show
from migrations_app.commandline.arguments import add_json
from migrations_app.commandline.control import (
    DONE,
    EXIT_CODES,
    Complaint,
    add_person,
    add_request,
    guarded,
    person_of,
    request_of,
)
from migrations_app.engine import DeferIndexes
from migrations_app.models import MigrationRequest, State, Target

# option -> the request's field
_FIELDS = {
    "title": "title",
    "reason": "reason",
    "acknowledge": "acknowledgement",
    "volume": "volume",
    "strict": "strict",
    "defer_cutover": "defer_cutover",
    "skip_drop": "skip_drop",
    "autoscale": "autoscale",
    "defer_indexes": "defer_indexes",
    "hours": "hours",
}


def add_to(subcommands: Any) -> None:
    """Add ``submit`` and ``edit``."""
    parser = subcommands.add_parser(
        "submit",
        help="ask for a change: writes a request and submits it for approval",
        description="Ask for a change. What cannot be submitted is kept as a draft.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(run=guarded(submit))
    parser.add_argument("--target", required=True, help="the name of the target")
    _add_fields(parser)
    parser.add_argument("--draft", action="store_true", help="do not submit it yet")

    parser = subcommands.add_parser(
        "edit",
        help="change a request of yours that has not been started",
        description="Change a request. Approvals given for the former version no longer count.",
        epilog=EXIT_CODES,
    )
    parser.set_defaults(run=guarded(edit))
    add_request(parser)
    _add_fields(parser)
    parser.add_argument("--submit", action="store_true", help="and submit it")


def _add_fields(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--statement", help='e.g. "ALTER TABLE t ADD COLUMN c INT"')
    source.add_argument("--file", help="a file that holds the statement; - is stdin")
    parser.add_argument("--title", help="a few words by which others recognise it")
    parser.add_argument("--reason", help="what the approver should know")
    parser.add_argument("--acknowledge", metavar="REASON", help="why unsafe parts are meant")
    parser.add_argument("--volume", type=int, help="1 to 11")
    for name, text in (
        ("strict", "never begin again by itself"),
        ("defer-cutover", "wait for an order before the cut-over"),
        ("skip-drop", "keep the old table"),
        ("autoscale", "adapt the threads to the server"),
    ):
        parser.add_argument(
            f"--{name}", action=argparse.BooleanOptionalAction, default=None, help=text
        )
    parser.add_argument("--defer-indexes", choices=[choice.value for choice in DeferIndexes])
    parser.add_argument("--hours", help='only then, such as "Mon-Fri 22:00-06:00"')
    add_person(parser)
    add_json(parser)


def submit(arguments: dict[str, Any]) -> int:
    actor = person_of(arguments)
    target = Target.objects.filter(name=arguments["target"]).first()
    if target is None:
        names = ", ".join(Target.objects.values_list("name", flat=True)) or "none"
        raise Complaint(f"There is no target called {arguments['target']!r}. There are: {names}.")
    statement = _statement(arguments)
    if not statement:
        raise Complaint("Give the statement: --statement TEXT, or --file FILE.")
    request = MigrationRequest(target=target, statement=statement)
    _fill(request, arguments)
    commands.draft(actor, request)
    if not arguments["draft"]:
        _submit(actor, request)
    return _tell(request, arguments)


def edit(arguments: dict[str, Any]) -> int:
    actor = person_of(arguments)
    request = request_of(arguments["request"])
    request.statement = _statement(arguments) or request.statement
    _fill(request, arguments)
    commands.edit(actor, request)
    if arguments["submit"]:
        _submit(actor, request)
    return _tell(request, arguments)


def _submit(actor: Any, request: MigrationRequest) -> None:
    try:
        commands.submit(actor, request)
    except commands.OrderRefused as error:
        raise commands.OrderRefused(
            f"Kept as draft #{request.pk}, and not submitted:\n{error}"
        ) from None


def _fill(request: MigrationRequest, arguments: dict[str, Any]) -> None:
    for option, field in _FIELDS.items():
        if arguments[option] is not None:
            setattr(request, field, arguments[option])


def _statement(arguments: dict[str, Any]) -> str:
    """Raises Complaint for a file that cannot be read."""
    text = arguments["statement"] or ""
    if arguments["file"] == "-":
        text = sys.stdin.read()
    elif arguments["file"]:
        try:
            text = pathlib.Path(arguments["file"]).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Complaint(f"{arguments['file']} cannot be read: {error}") from None
    return text.strip().rstrip(";").rstrip()


def _tell(request: MigrationRequest, arguments: dict[str, Any]) -> int:
    request = request_of(request.pk)
    if arguments["json"]:
        show.write_json({"request": readings.line(request)})
        return DONE
    out = show.console()
    show.heading(out, f"Request #{request.pk}: {State(request.state).label.lower()}.")
    if request.state == State.SUBMITTED:
        show.heading(out, approvers.words(request.target, request.requester), style="")
    return DONE
