"""Events as CSV and JSON, however many: read and sent in blocks, in the order of their numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse

from migrations_app.models import Event

COLUMNS = (
    "id", "time", "request", "target", "table", "kind", "level", "message", "actor", "run", "data",
)  # fmt: skip
FORMATS = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
_BLOCK_ROWS = 2_000
# A cell that begins with one of these is a formula to a spreadsheet.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


def answer(events: QuerySet[Event], form: str) -> StreamingHttpResponse:
    """A download of these events, oldest first. form: ``csv`` or ``json`` (an array)."""
    lines = as_csv(events) if form == "csv" else as_json(events)
    return StreamingHttpResponse(
        lines,
        content_type=FORMATS[form],
        headers={"Content-Disposition": f'attachment; filename="events.{form}"'},
    )


def as_csv(events: QuerySet[Event]) -> Iterator[str]:
    """Lines of CSV with a heading. Cells that a spreadsheet would take for a formula get an
    apostrophe in front; JSON has them as they are."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for row in _rows(events):
        row["data"] = json.dumps(row["data"], ensure_ascii=False, sort_keys=True)
        writer.writerow([_cell(row[name]) for name in COLUMNS])
        if buffer.tell() > 2**16:
            yield _emptied(buffer)
    yield _emptied(buffer)


def as_json(events: QuerySet[Event]) -> Iterator[str]:
    """An array with an object a line."""
    separator = "[\n"
    for row in _rows(events):
        yield separator + json.dumps(row, ensure_ascii=False)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def _rows(events: QuerySet[Event]) -> Iterator[dict[str, Any]]:
    last = 0
    ordered = events.order_by("pk").select_related("request__target", "actor", "run")
    while True:
        block = list(ordered.filter(pk__gt=last)[:_BLOCK_ROWS])
        for event in block:
            yield _row(event)
        if len(block) < _BLOCK_ROWS:
            return
        last = block[-1].pk


def _row(event: Event) -> dict[str, Any]:
    request = event.request
    return {
        "id": event.pk,
        "time": event.created_at.isoformat(timespec="milliseconds"),
        "request": event.request_id,
        "target": request.target.name if request else "",
        "table": request.table if request else "",
        "kind": event.kind,
        "level": event.level,
        "message": event.message,
        "actor": event.actor.get_username() if event.actor else "",
        "run": event.run.number if event.run else None,
        "data": event.data,
    }


def _cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA_SIGNS):
        return f"'{value}"
    return value


def _emptied(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
