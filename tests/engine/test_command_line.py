"""``manage.py spirit migrate`` as a process: its exit codes, its JSON lines, signals and kills."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from playground.server import PrivateServer, find_free_port
from tests.conftest import Schema
from tests.engine.support import make_numbers, tables_of, wait_until

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"
ROWS = 600_000
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Start]:
    """Starts the command; ends what is still running after the test."""
    processes: list[subprocess.Popen[str]] = []

    def begin(dsn: str, statement: str, *options: str) -> subprocess.Popen[str]:
        command = [sys.executable, "manage.py", "spirit", "migrate", "--statement", statement]
        process = subprocess.Popen(
            [*command, *options],
            cwd=CHECKOUT,
            env={
                **os.environ,
                "SPIRIT_DSN": dsn,
                "VAR_DIR": str(tmp_path),
                "DJANGO_SETTINGS_MODULE": "spirit_admin.settings",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def dsn_of(schema: Schema) -> str:
    return schema.server.root_dsn(schema.name)


def lines_of(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


def events(output: str) -> dict[str, dict[str, Any]]:
    return {line["kind"]: line for line in lines_of(output) if line["type"] == "event"}


def wait_for_rows_in_checkpoint(schema: Schema) -> None:
    def saved() -> bool:
        if "_t_chkpnt" not in tables_of(schema):
            return False
        rows = schema.execute("SELECT MAX(rows_copied) FROM _t_chkpnt")
        return bool(rows[0][0])

    wait_until(saved, "a checkpoint with rows")


def test_each_line_of_json_is_an_object_and_the_last_is_the_outcome(
    schema: Schema, start: Start
) -> None:
    make_numbers(schema, "t", 2_000)
    process = start(dsn_of(schema), WIDEN, "--json", "--volume", "5")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    lines = lines_of(output)
    assert {"phase", "progress", "checkpoint", "event", "outcome"} == {x["type"] for x in lines}
    assert lines[-1]["outcome"] == "completed"
    assert lines[-1]["exit_code"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_a_checkpoint_and_the_next_run_goes_on_from_it(
    schema: Schema, start: Start, number: signal.Signals
) -> None:
    make_numbers(schema, "t", ROWS)
    process = start(dsn_of(schema), WIDEN, "--volume", "1")
    wait_for_rows_in_checkpoint(schema)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 3, output
    assert "what was copied is kept. Run the same again to go on from there." in output
    saved, copied = schema.execute("SELECT id, rows_copied FROM _t_chkpnt ORDER BY id DESC")[0]
    process = start(dsn_of(schema), WIDEN, "--json", "--volume", "8")
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    assert events(output)["resumed"]["data"]["checkpoint_id"] == saved
    assert events(output)["resumed"]["data"]["rows_copied"] == copied > 0
    assert schema.execute("SELECT COUNT(*), SUM(v = id) FROM t") == [(ROWS, ROWS)]


def test_a_killed_run_goes_on_from_its_last_checkpoint(any_scheme: Schema, start: Start) -> None:
    schema = any_scheme
    make_numbers(schema, "t", ROWS)
    process = start(dsn_of(schema), WIDEN, "--volume", "1")
    wait_for_rows_in_checkpoint(schema)
    process.kill()
    process.wait()
    schema.execute("UPDATE t SET v = -v WHERE id % 1000 = 0")
    schema.execute("DELETE FROM t WHERE id % 1000 = 1")
    process = start(dsn_of(schema), WIDEN, "--json", "--volume", "8")
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 0, output
    assert events(output)["resumed"]["data"]["rows_copied"] > 0
    expected = [(ROWS - ROWS // 1000, ROWS // 1000)]
    assert schema.execute("SELECT COUNT(*), SUM(v < 0) FROM t") == expected
    assert tables_of(schema) == {"t"}


@pytest.mark.parametrize(
    ("statement", "options", "code", "words"),
    [
        ("ALTR TABLE t ADD x INT", (), 2, "begins with 'ALTR TABLE'"),
        ("ALTER TABLE nowhere ADD x INT", (), 2, "There is no table"),
        (WIDEN, ("--volume", "12"), 2, "must be between 1 and 11"),
        (WIDEN, ("--threads", "65"), 2, "must be 64 or less"),
        (WIDEN, ("--title", "\udcff"), 2, "no UTF-8"),
        (WIDEN, ("--dsn", "postgres://x"), 2, "must begin with mysql://"),
        (WIDEN, ("--dsn", f"mysql://a:secret-word@127.0.0.1:{find_free_port()}/d"), 5,
         "cannot be reached"),
    ],
)  # fmt: skip
def test_bad_input_gets_words_and_its_exit_code(
    schema: Schema, start: Start, statement: str, options: tuple[str, ...], code: int, words: str
) -> None:
    process = start(dsn_of(schema), statement, *options)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code, output
    assert words in output
    assert "Traceback" not in output
    assert "secret-word" not in output


def test_strict_mode_refuses_with_its_own_exit_code(start: Start) -> None:
    with PrivateServer() as server:
        server.execute("CREATE DATABASE d")
        schema = Schema(server, "d")
        make_numbers(schema, "t", ROWS)
        process = start(dsn_of(schema), WIDEN, "--volume", "1", "--strict")
        wait_for_rows_in_checkpoint(schema)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
        schema.execute("INSERT INTO t VALUES (0, 0)")
        schema.execute("FLUSH BINARY LOGS")
        schema.execute(f"PURGE BINARY LOGS TO '{schema.execute('SHOW BINARY LOGS')[-1][0]}'")
        process = start(dsn_of(schema), WIDEN, "--strict")
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 4, output
        assert "Strict mode forbids" in output
        assert {"_t_new", "_t_chkpnt"} <= tables_of(schema)
