"""The engine's commands load nothing of the web application, and end as any program does."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import pytest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
NOWHERE = "mysql://root@127.0.0.1:1/shop"
HEAVY = (
    "django",
    "unfold",
    "ninja",
    "pydantic",
    "apprise",
    "allauth",
    "psycopg",
    "django_q",
    "rich",
)

LOADED = """
import runpy, sys, os
def tell(code):
    print(sorted({name.partition(".")[0] for name in sys.modules}), flush=True)
    sys.exit(code)
os._exit = tell
sys.argv = ["manage.py", "spirit", *sys.argv[1:]]
runpy.run_path("manage.py", run_name="__main__")
"""


def run(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=CHECKOUT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_migration_loads_nothing_of_the_web_application() -> None:
    done = run("-c", LOADED, "migrate", "--json", "--statement", "ALTER TABLE t ADD c INT",
               SPIRIT_DSN=NOWHERE)  # fmt: skip
    assert done.returncode == 5, done.stderr
    loaded = done.stdout.splitlines()[-1]
    assert "'MySQLdb'" in loaded
    assert not [name for name in HEAVY if f"'{name}'" in loaded]


@pytest.mark.parametrize("command", ["migrate", "plan", "lint"])
def test_all_that_is_said_arrives_in_a_pipe(command: str) -> None:
    done = run("manage.py", "spirit", command, "--json", "--statement", "ALTER TABLE t ADD c INT",
               SPIRIT_DSN=NOWHERE)  # fmt: skip
    assert done.returncode == 5, done.stderr
    assert done.stdout.endswith("}\n")
    assert "cannot be reached" in done.stdout


LEFT = """
import atexit, logging, sys, threading, time
from migrations_app.commandline import running
{before}
sys.stdout.write("said")
running.leave(3)
"""


@pytest.mark.parametrize(
    "before, said",
    [
        ("atexit.register(lambda: print('exit function'))", "saidexit function\n"),
        ("threading.Thread(target=lambda: (time.sleep(0.3), print(' by a thread'))).start()",
         "said by a thread\n"),
    ],
)  # fmt: skip
def test_a_quick_end_leaves_nothing_out(before: str, said: str) -> None:
    done = run("-c", LEFT.format(before=before))
    assert (done.returncode, done.stdout, done.stderr) == (3, said, "")


def test_an_output_that_cannot_be_written_is_an_error_as_for_any_program() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", LEFT.format(before="")],
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONUNBUFFERED": ""},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 120
    assert "No space left" in done.stderr


ENDED = """
import sys, time
from migrations_app.commandline import migrate, running
def wait(arguments):
    print("waits", flush=True)
    time.sleep(60)
running.leave(running.exit_code_of({"run": wait}))
"""


def test_an_interruption_has_the_exit_code_of_its_signal() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENDED], cwd=CHECKOUT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 128 + signal.SIGINT
