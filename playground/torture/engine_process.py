"""One run of the engine in a process of its own, which a torturer can kill.

Run as a program by ``attempt`` and by nothing else: the DSN, the statement and the options come as
JSON on standard input's first line; JSON lines go to standard output; the exit code is the
outcome's. SIGTERM asks the run to stop with a checkpoint. The end of standard input means that the
torturer is gone: the process ends at once, as if it were killed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from types import FrameType

from migrations_app.engine import DeferIndexes, Dsn, Migration, Options, pulse
from migrations_app.jsonlines import JsonObserver


def main() -> int:
    given = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_owner, daemon=True).start()
    stop = threading.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, ask)
    # The owner answers Ctrl-C by ending this process; the terminal sends it to both.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Traces of unforeseen errors, for the report.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    options = given["options"]
    options["defer_indexes"] = DeferIndexes(options["defer_indexes"])
    # A round is short: threads come and go in it as they would in an hour.
    pulse.SAMPLE_EVERY_SECS, pulse.MIN_INTERVAL_SECS = 0.05, 0.2
    observer = JsonObserver()
    migration = Migration(
        Dsn.parse(given["dsn"]),
        given["statement"],
        Options(repair_differences=False, attempt_direct=False, skip_drop=True, **options),
        observer,
    )
    outcome = migration.run(stop)
    observer.ended(outcome)
    return outcome.exit_code


def _end_with_owner() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
