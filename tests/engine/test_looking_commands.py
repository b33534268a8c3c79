"""``manage.py spirit plan``, ``lint`` and ``checkpoint`` as processes: output and exit codes."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from playground.server import find_free_port
from tests.conftest import Schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import RunInThread, make_numbers, tables_of, wait_until

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"
ADD = "ALTER TABLE t ADD x INT"
Spirit = Callable[..., tuple[int, str, str]]


@pytest.fixture
def environment(tmp_path: pathlib.Path) -> dict[str, str]:
    settings = {"VAR_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "spirit_admin.settings"}
    return {**os.environ, **settings, "COLUMNS": ""}


@pytest.fixture
def spirit(schema: Schema, environment: dict[str, str]) -> Spirit:
    """Runs a subcommand to its end: exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "manage.py", "spirit", *arguments],
            cwd=CHECKOUT,
            env={**environment, "SPIRIT_DSN": schema.server.root_dsn(schema.name)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert "Traceback" not in done.stdout + done.stderr
        assert schema.dsn.password not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


def document(output: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(output)
    return found


def assert_reads_well(output: str) -> None:
    """In a pipe: 80 columns, no escape sequences, nothing behind the last word of a line."""
    about_table = output.partition("The table now and afterwards:")[0]
    assert "\x1b" not in output
    for line in about_table.splitlines():
        assert len(line) <= 80, line
        assert line == line.rstrip()


def test_lint_says_what_it_found_and_refuses_with_2(schema: Schema, spirit: Spirit) -> None:
    make_numbers(schema, "t", 10)
    code, output, _ = spirit("lint", "--statement", "ALTER TABLE t DROP COLUMN v, ADD COLUMN v INT")
    assert code == 2
    assert_reads_well(output)
    first, _, *rest = output.splitlines()
    assert first.startswith(f"{schema.name}.t: 1 refusal, 1 to acknowledge")
    assert rest[0] == "REFUSE  drop-and-add"
    assert any(line.startswith("  → ") for line in rest)
    assert tables_of(schema) == {"t"}


def test_lint_as_a_document_with_levels_of_ones_own(schema: Schema, spirit: Spirit) -> None:
    make_numbers(schema, "t", 10)
    arguments = ("lint", "--json", "--statement", ADD)
    code, output, _ = spirit(*arguments)
    assert (code, document(output)["exit_code"]) == (0, 0)
    assert [found["rule"] for found in document(output)["findings"]] == ["instant"]
    code, output, _ = spirit(*arguments, "--level", "instant=refuse")
    assert (code, document(output)["findings"][0]["level"]) == (2, "refuse")
    code, output, _ = spirit(*arguments, "--level", "instant=off")
    assert (code, document(output)["findings"]) == (0, [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lint", "--statement", "ALTER TABLE t RENAME TO u"), "unsupported-clause"),
        (("plan", "--statement", "ALTR TABLE t ADD x INT"), "begins with 'ALTR TABLE'"),
        (("lint", "--statement", ADD, "--level", "triggers=off"), "cannot be lowered"),
        (("plan", "--statement", ADD, "--level", "nonsense"), "not like drop-column=warn"),
        (("checkpoint",), "one of the arguments --table --statement is required"),
        (("checkpoint", "--table", "nowhere"), "There is no table"),
        (("plan", "--statement", "ALTER TABLE nowhere ADD x INT"), "There is no table"),
        (("lint", "--statement", ADD, "--dsn", "postgres://x"), "must begin with mysql://"),
    ],
)
def test_bad_input_gets_words_and_2(spirit: Spirit, arguments: tuple[str, ...], words: str) -> None:
    code, output, errors = spirit(*arguments)
    assert code == 2
    assert words in output + errors


@pytest.mark.parametrize(
    "arguments",
    [("lint", "--statement", ADD), ("plan", "--statement", ADD), ("checkpoint", "--table", "t")],
)
def test_a_server_that_is_down_gives_5(spirit: Spirit, arguments: tuple[str, ...]) -> None:
    dsn = f"mysql://a:secret-word@127.0.0.1:{find_free_port()}/d"
    code, output, errors = spirit(*arguments, "--dsn", dsn)
    assert (code, output) == (5, "")
    assert "cannot be reached" in errors
    assert "secret-word" not in errors
    code, output, errors = spirit(*arguments, "--dsn", dsn, "--json")
    assert (code, document(output)["exit_code"], errors) == (5, 5, "")
    assert "secret-word" not in output


def test_a_plan_for_people_and_for_programs(schema: Schema, spirit: Spirit) -> None:
    make_numbers(schema, "t", 1_000, "v INT NOT NULL, KEY kv (v)")
    code, output, _ = spirit("plan", "--statement", WIDEN, "--defer-indexes", "on")
    assert code == 0
    assert_reads_well(output)
    assert "this would run. Nothing has been changed." in output
    for words in ("an online copy", "PRIMARY (id)", "built after the copy: kv", "small-table"):
        assert words in output
    assert "+  `v` bigint NOT NULL,\n" in output
    code, output, _ = spirit("plan", "--json", "--statement", WIDEN)
    found = document(output)
    assert (code, found["exit_code"], found["refused"]) == (0, 0, False)
    assert (found["method"], found["key"]["columns"]) == ("copy", ["id"])
    assert found["next_run"]["kind"] == "begin"
    assert tables_of(schema) == {"t"}


def test_a_plan_that_would_be_refused(schema: Schema, spirit: Spirit) -> None:
    make_numbers(schema, "t", 10)
    schema.execute("CREATE TRIGGER trg BEFORE INSERT ON t FOR EACH ROW SET NEW.v = 1")
    code, output, _ = spirit("plan", "--statement", WIDEN)
    assert code == 2
    assert_reads_well(output)
    assert "this would be refused" in output
    assert "trg" in output


def test_what_is_saved_has_an_exit_code_for_each_case(
    schema: Schema, spirit: Spirit, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_numbers(schema, "t", 20_000)
    code, output, _ = spirit("checkpoint", "--table", "t")
    assert code == 3
    assert "nothing is saved" in output
    gate = ChunkGate(monkeypatch, chunks=3)
    with RunInThread(schema, WIDEN) as run:
        wait_until(gate.held.is_set, "three chunks to be copied")
        run.stop.set()
        run.outcome()
    code, output, _ = spirit("checkpoint", "--table", "t")
    assert code == 0, output
    assert_reads_well(output)
    assert f"{schema.name}.t: this can be resumed." in output
    for words in (WIDEN, "Rows copied", "at the earliest", "_t_new", "resumes: it goes on"):
        assert words in output
    code, output, _ = spirit("checkpoint", "--json", "--statement", ADD)
    found = document(output)
    assert (code, found["exit_code"], found["resumable"]) == (1, 1, False)
    assert found["next_run"]["kind"] == "fresh-start"
    assert found["newest"]["statement"] == WIDEN
    schema.execute("DROP TABLE _t_new, _t_chkpnt")


HELD = """
import sys, time
from django.core.management import execute_from_command_line
from migrations_app.engine import scratch

def hold(*_):
    print("held", flush=True)
    while True:
        time.sleep(0.01)

scratch._make_change = hold
execute_from_command_line(["manage.py", "spirit", "plan", "--statement", sys.argv[1]])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_plan_that_is_interrupted_leaves_nothing(
    schema: Schema, environment: dict[str, str], number: signal.Signals
) -> None:
    make_numbers(schema, "t", 10)
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, WIDEN],
        cwd=CHECKOUT,
        env={**environment, "SPIRIT_DSN": schema.server.root_dsn(schema.name)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert len(tables_of(schema)) == 2
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 128 + number, output
    assert "Traceback" not in output
    assert tables_of(schema) == {"t"}
