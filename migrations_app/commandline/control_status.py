"""``spirit status``, ``requests``, ``events``, ``checkpoints``: what stands where. Only looks."""

from __future__ import annotations

import sys
from typing import Any

from django.utils import timezone
from rich.console import Console

from migrations_app import commands, exports, heartbeat, readings, words
from migrations_app.commandline import show
from migrations_app.commandline.arguments import add_json, positive
from migrations_app.commandline.control import (
    DONE,
    EXIT_CODES,
    add_person,
    add_request,
    guarded,
    person_of,
    request_of,
)
from migrations_app.models import ACTIVE_STATES, Checkpoint, Event, MigrationRequest, State

_LAST_EVENTS = 8


def add_to(subcommands: Any) -> None:
    """Add the reading subcommands."""
    parser = subcommands.add_parser(
        "status", help="where a request stands; without a number, what runs and waits",
        epilog=EXIT_CODES,
    )  # fmt: skip
    parser.set_defaults(run=guarded(status))
    parser.add_argument("request", type=int, nargs="?", metavar="NUMBER")
    add_person(parser)
    add_json(parser)

    parser = subcommands.add_parser("requests", help="list requests", epilog=EXIT_CODES)
    parser.set_defaults(run=guarded(list_requests))
    parser.add_argument("--state", choices=State.values, action="append", default=[])
    parser.add_argument("--target", help="by the target's name")
    parser.add_argument("--table")
    parser.add_argument("--requester", metavar="USERNAME")
    parser.add_argument("--limit", type=positive, default=30)
    add_json(parser)

    parser = subcommands.add_parser("events", help="what happened to a request", epilog=EXIT_CODES)
    parser.set_defaults(run=guarded(list_events))
    add_request(parser)
    parser.add_argument("--csv", action="store_true", help="as CSV")
    add_json(parser)

    parser = subcommands.add_parser(
        "checkpoints", help="the checkpoints of a request, and which can be resumed",
        epilog=EXIT_CODES,
    )  # fmt: skip
    parser.set_defaults(run=guarded(list_checkpoints))
    add_request(parser)
    parser.add_argument("--limit", type=positive, default=20)
    add_json(parser)


def status(arguments: dict[str, Any]) -> int:
    person = person_of(arguments) if arguments["person"] else None
    if arguments["request"] is None:
        return _overview(arguments)
    request = request_of(arguments["request"])
    user = person or request.requester
    document = readings.full(request, user)
    if arguments["json"]:
        show.write_json(document)
        return DONE
    out = show.console()
    state = words.state_words(request.state)
    show.heading(out, f"#{request.pk} {request.title or request.table}: {state.label}")
    show.heading(out, state.sentence, style="")
    show.pairs(out, _facts(request, document))
    _offers(out, request, user, named=bool(arguments["person"]))
    _events(out, request)
    return DONE


def _facts(request: MigrationRequest, document: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [
        ("Table", f"{request.table} on {request.target.name}"),
        ("Statement", words.shortened(request.statement, 400)),
        ("Asked by", request.requester.get_username()),
    ]
    if request.phase and not request.is_final:
        done = f"{words.grouped(request.rows_copied)} of about {words.grouped(request.rows_total)}"
        eta = "estimating…" if request.eta_secs is None else words.duration(request.eta_secs)
        rows.append(("Step", words.phase_label(request.phase)))
        rows.append(("Rows", f"{done}{_share(request, ' ({} % of this step)')}"))
        rows.append(("Rate", f"{words.grouped(request.rows_per_sec)} rows/s, {eta} left"))
    newest = request.latest_checkpoint
    if newest is not None and not request.is_final:
        rows.append(("Checkpoint", _checkpoint(newest)))
    if document["place_in_queue"]:
        rows.append(("In the queue", f"number {document['place_in_queue']}"))
    for label, text in (
        ("Waits for", request.waiting_for),
        ("Paused", request.throttled),
        ("Message", request.message),
    ):
        if text:
            rows.append((label, text))
    rows += [
        ("Open order", f"{one['kind']} by {one['actor']}: {one['result']}. {one['answer']}".strip())
        for one in document["open_orders"]
    ]
    return rows


def _checkpoint(row: Checkpoint) -> str:
    saved = f"saved {words.ago(row.received_at, timezone.now())} at {row.position}"
    if row.resumable is None:
        return f"{saved}; not looked at yet"
    if not row.resumable:
        return f"{saved}; cannot be resumed: {row.why_not}"
    until = ""
    if row.log_expires_at is not None:
        until = f" until about {row.log_expires_at:%Y-%m-%d %H:%M} UTC"
    return f"{saved}; can be resumed{until}"


def _offers(out: Console, request: MigrationRequest, user: Any, *, named: bool) -> None:
    allowed = [one.label for one in commands.available_orders(request, user) if one.is_allowed]
    who = f"{user.get_username()} may" if named else "Its requester may"
    show.pairs(
        out, [("Orders", f"{who}: {', '.join(allowed)}" if allowed else f"{who} do nothing")]
    )


def _events(out: Console, request: MigrationRequest) -> None:
    now = timezone.now()
    rows = list(Event.objects.filter(request=request).select_related("actor")[:_LAST_EVENTS])
    if rows:
        out.print()
        show.heading(out, "What happened, newest first")
    show.pairs(out, [(words.ago(row.created_at, now), _event(row)) for row in rows])


def _event(row: Event) -> str:
    who = f" ({row.actor.get_username()})" if row.actor else ""
    return f"{words.event_label(row.kind)}: {row.message}{who}"


def _overview(arguments: dict[str, Any]) -> int:
    rows = list(
        MigrationRequest.objects.filter(state__in=ACTIVE_STATES).select_related(
            "target", "requester"
        )
    )
    workers = list(heartbeat.live())
    if arguments["json"]:
        show.write_json(
            {
                "requests": [readings.line(row) for row in rows],
                "workers": [{"name": one.name, "places": one.concurrency} for one in workers],
            }
        )
        return DONE
    out = show.console()
    places = sum(worker.concurrency for worker in workers)
    show.heading(out, f"{len(workers)} worker(s) with {places} place(s); {len(rows)} under way")
    if not workers:
        show.heading(out, "No worker lives: start one with manage.py worker.", style="yellow")
    _lines(out, rows)
    return DONE


def list_requests(arguments: dict[str, Any]) -> int:
    rows = MigrationRequest.objects.select_related("target", "requester")
    filters = {
        "state__in": arguments["state"],
        "target__name": arguments["target"],
        "table_name": arguments["table"],
        "requester__username": arguments["requester"],
    }
    found = list(rows.filter(**{k: v for k, v in filters.items() if v})[: arguments["limit"]])
    if arguments["json"]:
        show.write_json({"requests": [readings.line(row) for row in found]})
        return DONE
    out = show.console()
    if not found:
        show.heading(out, "There is no such request.", style="")
    _lines(out, found)
    return DONE


def _lines(out: Console, rows: list[MigrationRequest]) -> None:
    show.pairs(out, [(f"#{row.pk}", _line(row)) for row in rows])


def _share(request: MigrationRequest, form: str) -> str:
    share = words.share(request.phase, request.fraction)
    return "" if share is None else form.format(share)


def _line(row: MigrationRequest) -> str:
    far = _share(row, ", {} %") if row.is_active and row.phase else ""
    title = f" ({words.shortened(row.title, 60)})" if row.title else ""
    waits = f". {row.waiting_for}" if row.waiting_for else ""
    state = words.state_words(row.state).label
    return f"{state}{far}: {row.table} on {row.target.name}{title}{waits}"


def list_events(arguments: dict[str, Any]) -> int:
    rows = Event.objects.filter(request=request_of(arguments["request"]))
    if arguments["csv"] or arguments["json"]:
        lines = exports.as_csv(rows) if arguments["csv"] else exports.as_json(rows)
        for line in lines:
            sys.stdout.write(line)
        return DONE
    out = show.console()
    show.pairs(
        out,
        [
            (f"{row.created_at:%m-%d %H:%M:%S}", _event(row))
            for row in rows.order_by("pk").select_related("actor")
        ],
    )
    return DONE


def list_checkpoints(arguments: dict[str, Any]) -> int:
    request = request_of(arguments["request"])
    rows = list(request.checkpoints.select_related("run")[: arguments["limit"]])
    if arguments["json"]:
        names = ("id", "position", "gtid_set", "phase", "rows_copied", "resumable", "why_not",
                 "log_expires_at", "created_at")  # fmt: skip
        show.write_json(
            {"checkpoints": [{name: getattr(row, name) for name in names} for row in rows]}
        )
        return DONE
    out = show.console()
    if not rows:
        show.heading(out, "No checkpoint has been written yet.", style="")
    show.pairs(
        out,
        [
            (f"run {row.run.number}", f"{words.grouped(row.rows_copied)} rows; {_checkpoint(row)}")
            for row in rows
        ],
    )
    return DONE
