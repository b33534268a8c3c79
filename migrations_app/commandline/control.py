"""What the subcommands of the control plane share: who acts, on what, and how errors are said.

They work on the control database, as a named person and by the same rules as the pages. Whoever can
run them has the database anyway: the name says who acts, it is no login.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.db import DatabaseError, InterfaceError

from migrations_app.commands import OrderRefused
from migrations_app.models import MigrationRequest

USER_VARIABLE = "SPIRIT_USER"
DONE, FAILED, USAGE, STILL_GOING = 0, 1, 2, 5
EXIT_CODES = (
    "Exit codes: 0 done; 1 refused, or it failed; 2 bad usage; 5 not settled when the time for "
    "waiting was over, or the database cannot be asked."
)

Handler = Callable[[dict[str, Any]], int]


class Complaint(Exception):
    """What is wrong with what was asked, for the person at the terminal."""


def add_person(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as", dest="person", default=os.environ.get(USER_VARIABLE, ""), metavar="USERNAME",
        help=f"the person who acts (default: {USER_VARIABLE} in the environment)",
    )  # fmt: skip


def add_request(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("request", type=int, metavar="NUMBER", help="of the request")


def person_of(arguments: dict[str, Any]) -> User:
    """Who acts. Raises Complaint."""
    name = arguments["person"]
    if not name:
        raise Complaint(f"Say who acts: --as USERNAME, or set {USER_VARIABLE}.")
    user = User.objects.filter(username=name).first()
    if user is None:
        raise Complaint(f"There is no person called {name!r}.")
    if not user.is_active:
        raise Complaint(f"The account {name!r} is not active.")
    return user


def request_of(number: int) -> MigrationRequest:
    """Raises Complaint when there is none."""
    rows = MigrationRequest.objects.select_related("target", "requester", "acknowledged_by")
    found = rows.filter(pk=number).first()
    if found is None:
        raise Complaint(f"There is no request #{number}.")
    return found


def guarded(handler: Handler) -> Handler:
    """The handler, with what goes wrong said in a sentence on stderr."""

    def run(arguments: dict[str, Any]) -> int:
        # What was queued is said in our own words.
        logging.getLogger("django-q").setLevel(logging.WARNING)
        try:
            return handler(arguments)
        except Complaint as error:
            sys.stderr.write(f"{error}\n")
            return USAGE
        except OrderRefused as error:
            sys.stderr.write(f"{error}\n")
            return FAILED
        except (DatabaseError, InterfaceError) as error:
            sys.stderr.write(
                f"The control database cannot be used ({type(error).__name__}). Is DATABASE_URL "
                f"right, and has manage.py migrate been run?\n"
            )
            return STILL_GOING

    return run
