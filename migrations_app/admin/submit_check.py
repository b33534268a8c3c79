"""What would become of a statement, said while it is written: the target itself is asked."""

from __future__ import annotations

import dataclasses
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.http import require_POST

from migrations_app import approvers, snapshots, words
from migrations_app.admin.access import SUBMIT, may, person
from migrations_app.admin.submit_form import SubmitForm
from migrations_app.engine import Method
from migrations_app.models import MigrationRequest, Target

_METHODS = {
    Method.INSTANT: "The server changes it at once. No row is copied.",
    Method.INPLACE: "The server changes only its description of the table. No row is copied.",
    Method.COPY: "Every row is copied into a new table, which is verified and swapped in.",
    Method.UNDECIDED: "It would not run.",
}


@dataclasses.dataclass(frozen=True, slots=True)
class TableView:
    """What is shown of one table. duration: "" when nothing is copied."""

    name: str
    method: str
    method_words: str
    reason: str
    rows: str
    data_bytes: int
    index_bytes: int
    disk_bytes: int
    log_bytes: int
    key: str
    indexes_later: str
    duration: str
    diff: str


@require_POST
def check(request: HttpRequest) -> HttpResponse:
    """A fragment about what the form holds now; nothing is stored."""
    if not may(request.user, SUBMIT):
        raise PermissionDenied("Only requesters submit changes.")
    return TemplateResponse(request, "spirit/submit/checked.html", _context(request))


def _context(request: HttpRequest) -> dict[str, Any]:
    user = person(request)
    form = SubmitForm(request.POST, instance=MigrationRequest(requester=user))
    form.is_valid()
    statement = form.cleaned_data.get("statement")
    target = form.cleaned_data.get("target")
    if not request.POST.get("statement", "").strip():
        return {"hint": "Write the statement: what it would do is said here."}
    if form.errors.get("statement"):
        return {"errors": form.errors["statement"]}
    if not isinstance(target, Target) or not statement:
        return {"hint": "Choose the target: it is asked what the statement would do."}
    draft = form.instance
    draft.statement, draft.target = statement, target
    approval = approvers.words(target, user)
    try:
        snapshot = snapshots.take(draft)
    except snapshots.CannotLookError as error:
        return {"errors": str(error).split("\n"), "approval": approval}
    return {
        "approval": approval,
        "refused": bool(snapshot.refusals),
        "unsafe": snapshot.unsafe,
        "findings": snapshot.findings,
        "tables": [_table(table) for table in snapshot.tables],
    }


def _table(table: snapshots.TableSeen) -> TableView:
    return TableView(
        name=table.name,
        method=table.method,
        method_words=_METHODS[Method(table.method)],
        reason=table.method_reason,
        rows=words.grouped(table.rows),
        data_bytes=table.data_bytes,
        index_bytes=table.index_bytes,
        disk_bytes=table.disk_bytes,
        log_bytes=table.log_bytes,
        key=table.key,
        indexes_later=", ".join(table.indexes_later),
        duration=_duration(table.duration_secs),
        diff=table.diff,
    )


def _duration(secs: list[float]) -> str:
    if not secs:
        return ""
    shortest, longest = (words.duration(max(1.0, round(one))) for one in secs)
    return shortest if shortest == longest else f"{shortest} to {longest}"
