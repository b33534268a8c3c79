"""``script/storm``: a storm of orders, calm, and the verdict; exit 0 when nothing contradicts."""

from __future__ import annotations

import argparse
import importlib
import json
import pathlib
import random
import signal
import sys
import tempfile
import time
from types import FrameType
from typing import Any

from playground import control
from playground.server import PrivateServer

_SERVER_OPTIONS = {"innodb-buffer-pool-size": "512M"}


def main(arguments: list[str]) -> int:
    given = _options(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    seed = int(time.time()) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="spirit-storm-") as folder,
        PrivateServer(options=_SERVER_OPTIONS) as server,
    ):
        return _storm(given, random.Random(seed), pathlib.Path(folder), server)


def _storm(
    given: argparse.Namespace, chance: random.Random, folder: pathlib.Path, server: PrivateServer
) -> int:
    environment = _environment(folder, given.running)
    control.set_up(environment)
    # What uses the models can only be imported once Django is set up.
    scene_module = importlib.import_module("playground.storm.scene")
    orders_module = importlib.import_module("playground.storm.orders")
    verdict_module = importlib.import_module("playground.storm.verdict")
    scene = scene_module.Scene(server, folder, environment, chance)
    try:
        scene.build(given.requests)
        print(f"{given.requests} requests, 2 workers, {given.running} at once", flush=True)
        figures = orders_module.storm(scene, given.minutes * 60)
        print(json.dumps(figures), flush=True)
        quiet = verdict_module.wait_for_calm(scene)
        problems = quiet + verdict_module.problems(scene)
    finally:
        scene.close()
    _report(verdict_module.states(), problems)
    return 1 if problems else 0


def _report(states: dict[str, int], problems: list[str]) -> None:
    print("states at the end: " + ", ".join(f"{n} {state}" for state, n in states.items()))
    for problem in problems:
        print(f"WRONG: {problem}")
    print("Nothing contradicts." if not problems else f"{len(problems)} contradictions.")


def _environment(folder: pathlib.Path, running: int) -> dict[str, str]:
    return {
        "DJANGO_SETTINGS_MODULE": "spirit_admin.settings",
        "VAR_DIR": str(folder),
        "DATABASE_URL": f"sqlite:///{folder / 'control.sqlite3'}",
        "GENERATE_KEYS": "on",
        # So that ten minutes hold many losses of a worker.
        "LEASE_SECS": "8",
        "SUPERVISE_EVERY_SECS": "2",
        "MAX_CONCURRENT_RUNS": str(running),
        "LOG_LEVEL": "WARNING",
    }


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _options(arguments: list[str]) -> Any:
    parser = argparse.ArgumentParser(
        prog="script/storm",
        description="Random orders to many requests while workers are killed. Exit code 0: every"
        " order was answered, and no request contradicts its runs and tables.",
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="default: 10")
    parser.add_argument("--requests", type=int, default=200, help="default: 200")
    parser.add_argument("--running", type=int, default=10, help="at once (default: 10)")
    parser.add_argument("--seed", type=int, help="the same choices again (times differ)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
