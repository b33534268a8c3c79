"""Initialised data folders, made once and copied for every private server.

``mysqld --initialize-insecure`` takes several seconds; copying what it made, a fraction of one.
There is one template for each server program and each set of options which only initialisation
can set. They live in the cache folder and may be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Mapping

from playground.errors import ServerError

INITIALISE_TIMEOUT_SECS = 300
# A data folder keeps these for its life.
SET_AT_INITIALISATION = ("innodb-page-size", "lower-case-table-names")


def cache_folder() -> pathlib.Path:
    """Where downloads and templates are kept; ``cache_folder`` of script/lib.sh says the same."""
    given = os.environ.get("SPIRIT_CACHE")
    if given:
        return pathlib.Path(given)
    parent = os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(parent) if parent else pathlib.Path.home() / ".cache") / "spirit-admin"


def find_or_make(mysqld: str, options: Mapping[str, object]) -> pathlib.Path:
    """The template data folder for this program and these options. Copy it, never start in it.

    Raises ServerError with the server's own words when it cannot be made.
    """
    chosen = [f"--{name}={options[name]}" for name in SET_AT_INITIALISATION if name in options]
    version = subprocess.run(
        [mysqld, "--no-defaults", "--version"], capture_output=True, text=True, check=True
    ).stdout
    key = hashlib.sha256("\n".join([mysqld, version, *chosen]).encode()).hexdigest()[:16]
    place = cache_folder() / "mysql" / "templates" / key
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place.with_suffix(".lock"), "w") as lock:
        # Of two at the same time one initialises, and the other waits and then finds it done.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _initialise(mysqld, chosen, place)
    return place


def _initialise(mysqld: str, chosen: list[str], place: pathlib.Path) -> None:
    """Make ``place`` appear at once, complete."""
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=place.parent) as folder:
        data = pathlib.Path(folder) / "data"
        user = ["--user=root"] if os.geteuid() == 0 else []
        command = [
            *(mysqld, "--no-defaults", "--initialize-insecure", f"--datadir={data}"),
            *("--disable-log-bin", "--loose-innodb-redo-log-capacity=8M", *user, *chosen),
        ]
        try:
            done = subprocess.run(
                command,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=INITIALISE_TIMEOUT_SECS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ServerError(
                f"{mysqld} did not initialise a data folder within {INITIALISE_TIMEOUT_SECS} s."
            ) from None
        if done.returncode != 0:
            raise ServerError(
                f"{mysqld} could not initialise a data folder:\n{done.stdout[-2000:]}"
            )
        # The server's identity: each copy makes its own.
        (data / "auto.cnf").unlink(missing_ok=True)
        shutil.move(data, place)
