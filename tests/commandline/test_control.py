"""Every order by every role in every state, requests written at a terminal, and what is said."""

from __future__ import annotations

import io
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from migrations_app import offers
from migrations_app.commandline.control_orders import NAMES
from migrations_app.models import Checkpoint, Command, MigrationRequest, Run, State, Target
from tests.app.support import PASSWORD, make_person, make_request, make_target, put_in_state
from tests.conftest import Schema

Spirit = Callable[..., tuple[int, str, str]]


@pytest.fixture
def spirit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Spirit:
    """Runs a subcommand: exit code, stdout, stderr."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code: int | str | None
        try:
            call_command("spirit", *map(str, arguments))
            code = 0
        except SystemExit as end:
            code = end.code
        except CommandError as error:
            return 2, "", str(error)
        said = capsys.readouterr()
        assert PASSWORD not in said.out + said.err
        return int(code or 0), said.out, said.err

    return run


@pytest.fixture
def people(db: None) -> dict[str, User]:
    roles = {"requester": "Requesters", "approver": "Approvers", "operator": "Operators"}
    return {name: make_person(name, role) for name, role in roles.items()}


def trace(request: MigrationRequest) -> tuple[Any, ...]:
    row = MigrationRequest.objects.get(pk=request.pk)
    return (row.state, row.version, row.volume, row.cutover_held, row.desired_state,
            Command.objects.count(), row.events.count())  # fmt: skip


def given(kind: str, request: MigrationRequest, who: str) -> list[object]:
    """The arguments of an order."""
    arguments: list[object] = [NAMES.get(kind, kind), request.pk]
    arguments += [5] if kind == "set_volume" else []
    arguments += ["--yes"] if kind in ("cut_over", "start_afresh", "cancel") else []
    return [*arguments, "--comment", "Because.", "--as", who]


@pytest.mark.parametrize("role", ["requester", "approver", "operator"])
@pytest.mark.parametrize("state", State.values)
@pytest.mark.parametrize("kind", [kind for kind in offers.ORDERS if kind != "submit"])
def test_an_order_is_taken_exactly_where_the_rules_allow_it(
    kind: str, state: str, role: str, people: dict[str, User], target: Target, spirit: Spirit
) -> None:
    request = make_request(target, people["requester"], defer_cutover=True)
    put_in_state(request, State(state))
    why_not = offers.why_not(offers.ORDERS[kind], request, people[role])
    before = trace(request)
    code, out, err = spirit(*given(kind, request, role))
    if why_not:
        assert (code, err.strip(), out) == (1, why_not, "")
        assert trace(request) == before
    else:
        assert (code, err) == (0, "")
        assert "given" in out
        assert trace(request) != before


def test_a_change_is_submitted_edited_and_told(
    people: dict[str, User], schema: Schema, spirit: Spirit, tmp_path: pathlib.Path
) -> None:
    schema.execute("CREATE TABLE orders (id INT PRIMARY KEY, total INT, note VARCHAR(40))")
    make_target(schema.dsn)
    statement = tmp_path / "change.sql"
    statement.write_text("ALTER TABLE orders DROP COLUMN note;\n")
    code, _, err = spirit("submit", "--target", "shop", "--file", statement, "--as", "requester")
    assert (code, "Kept as draft #" in err, "note" in err) == (1, True, True)
    number = MigrationRequest.objects.get().pk
    code, out, _ = spirit(
        "edit", number, "--acknowledge", "Nobody reads it.", "--strict", "--submit", "--as",
        "requester",
    )  # fmt: skip
    assert (code, "1 of these must approve: approver" in out) == (0, True)
    request = MigrationRequest.objects.get()
    assert (request.state, request.strict, request.is_unsafe) == (State.SUBMITTED, True, True)
    code, out, _ = spirit("status", number, "--as", "approver")
    assert code == 0
    assert "approver may: Approve, Reject, Comment" in out
    assert "ALTER TABLE orders DROP COLUMN note" in out
    assert schema.dsn.password not in out
    document = json.loads(spirit("status", number, "--json")[1])
    assert document["state"] == "submitted"
    assert {offer["kind"] for offer in document["offers"]} == set(offers.ORDERS)


@pytest.mark.parametrize(
    "arguments,code,said",
    [
        (("start", 1), 2, "Say who acts"),
        (("start", 1, "--as", "nobody"), 2, "no person called 'nobody'"),
        (("start", 1, "--as", "gone"), 2, "not active"),
        (("status", "--as", "nobody"), 2, "no person called 'nobody'"),
        (("start", 999, "--as", "olga"), 2, "no request #999"),
        (("cutover", 1, "--as", "olga"), 2, "add --yes"),
        (("submit", "--target", "x", "--statement", "ALTER TABLE t ADD c INT", "--as", "olga"), 2,
         "There are: shop"),
        (("submit", "--target", "shop", "--as", "olga"), 2, "Give the statement"),
        (("submit", "--target", "shop", "--file", "/nowhere", "--as", "olga"), 2, "cannot be read"),
        (("submit", "--target", "shop", "--statement", "ALTER TABLE t ADD c INT", "--as", "olga"),
         1, "Only requesters"),
        (("volume", 1, 12, "--as", "olga"), 1, "between 1 and 11"),
        (("schedule", 1, "--after", "soon", "--as", "olga"), 2, "not like"),
        (("schedule", 1, "--after", "9999-12-31T23:59-12:00", "--as", "olga"), 1, "within 10"),
        (("comment", 1, "--comment", "caf\udce9", "--as", "olga"), 1, "half of a character"),
        (("reject", 1, "--as", "olga"), 2, "--comment"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_a_sentence(
    arguments: tuple[object, ...], code: int, said: str, draft: MigrationRequest, spirit: Spirit,
    operator: User,
) -> None:  # fmt: skip
    make_person("gone", is_active=False)
    put_in_state(draft, State.STOPPED)
    MigrationRequest.objects.filter(pk=draft.pk).update(id=1)
    got, out, err = spirit(*arguments)
    assert (got, out) == (code, "")
    assert said in err
    assert "Traceback" not in err


def test_lists_read_well_and_say_when_there_is_nothing(
    target: Target, requester: User, spirit: Spirit
) -> None:
    assert "There is no such request" in spirit("requests")[1]
    assert "No worker lives" in spirit("status")[1]
    request = make_request(target, requester, title="A title " * 20, waiting_for="Waiting: a lot.")
    put_in_state(request, State.QUEUED, desired_state="run")
    assert "No checkpoint" in spirit("checkpoints", request.pk)[1]
    run = Run.objects.create(request=request, number=1, lease_token=1, worker="w", pid=1, volume=3)
    Checkpoint.objects.create(
        request=request, run=run, engine_id=1, binlog_name="binlog.000042", binlog_pos=4567,
        phase="copy_rows", rows_copied=1_234_567, engine_version="1", created_at=run.started_at,
        resumable=False, why_not="The log is gone.",
    )  # fmt: skip
    for arguments in (
        ("requests",), ("status",), ("status", request.pk), ("checkpoints", request.pk),
        ("events", request.pk),
    ):  # fmt: skip
        code, out, err = spirit(*arguments)
        assert (code, err) == (0, "")
        assert all(len(line) <= 80 and line == line.rstrip() for line in out.splitlines()), out
        json.loads(spirit(*arguments, "--json")[1])
    assert "1,234,567 rows" in spirit("checkpoints", request.pk)[1]
    assert "cannot be resumed: The log is gone." in " ".join(
        spirit("status", request.pk)[1].split()
    )
    assert json.loads(spirit("requests", "--state", "failed", "--json")[1]) == {"requests": []}


def test_waiting_ends_when_the_time_is_over(
    draft: MigrationRequest, operator: User, spirit: Spirit
) -> None:
    put_in_state(draft, State.RUNNING)
    code, out, _ = spirit("stop", draft.pk, "--wait", "0.1", "--as", "olga")
    assert (code, "stopping" in out) == (5, True)
    put_in_state(draft, State.STOPPED)
    assert spirit("volume", draft.pk, 5, "--wait", "5", "--as", "olga")[0] == 0
