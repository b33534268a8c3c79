"""Real MySQL servers for the tests, one of each kind for a session, and a fresh schema for a test.

- ``mysql``, ``mysql_file_position``: a private server, with GTIDs and without.
- ``schema``, ``schema_file_position``: a fresh schema on it, dropped after the test.
- ``any_scheme``: a fresh schema on each, so that the test runs in both coordinate schemes.

``MYSQLD`` names another MySQL to run them on; a test of what only newer ones have is marked
``mysql_since(9, 0, 0)``, and skipped on an older one.

A test that kills or reconfigures a server starts its own (``playground.server.PrivateServer``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from migrations_app.engine import Dsn
from playground.server import PrivateServer

# Small: the tests' tables are.
TEST_SERVER_OPTIONS = {"innodb-buffer-pool-size": "256M"}

_schema_numbers = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class Schema:
    """A schema of a test's own on a private server."""

    server: PrivateServer
    name: str

    @property
    def dsn(self) -> Dsn:
        """Root's account, in this schema, as the engine wants it."""
        return Dsn.parse(self.server.root_dsn(self.name))

    def execute(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Run one statement as root in this schema and return its rows."""
        return self.server.execute(sql, arguments, schema=self.name)


@contextlib.contextmanager
def fresh_schema(server: PrivateServer) -> Iterator[Schema]:
    """An empty schema with a name no other test has had, dropped at the end."""
    # A test before this one may have left the server down.
    server.start()
    name = f"test_{next(_schema_numbers)}"
    server.execute(f"CREATE DATABASE `{name}`")
    try:
        yield Schema(server, name)
    finally:
        server.start()
        server.execute(f"DROP DATABASE `{name}`")


@pytest.fixture(scope="session")
def mysql() -> Iterator[PrivateServer]:
    """A private server with GTIDs."""
    with PrivateServer(options=TEST_SERVER_OPTIONS) as server:
        yield server


@pytest.fixture(scope="session")
def mysql_file_position() -> Iterator[PrivateServer]:
    """A private server without GTIDs: its coordinates are a file and a position."""
    with PrivateServer(gtid=False, options=TEST_SERVER_OPTIONS) as server:
        yield server


def skip_what_the_server_does_not_have(
    request: pytest.FixtureRequest, server: PrivateServer
) -> None:
    """Of the tests marked ``mysql_since``."""
    server.start()
    since = request.node.get_closest_marker("mysql_since")
    if since is not None and server.version < since.args:
        pytest.skip(f"MySQL {'.'.join(map(str, server.version))} does not have it yet")


@pytest.fixture
def schema(request: pytest.FixtureRequest, mysql: PrivateServer) -> Iterator[Schema]:
    """A fresh schema on the server with GTIDs."""
    skip_what_the_server_does_not_have(request, mysql)
    with fresh_schema(mysql) as schema:
        yield schema


@pytest.fixture
def schema_file_position(mysql_file_position: PrivateServer) -> Iterator[Schema]:
    """A fresh schema on the server without GTIDs."""
    with fresh_schema(mysql_file_position) as schema:
        yield schema


@pytest.fixture(params=["gtid", "file_position"])
def any_scheme(request: pytest.FixtureRequest) -> Iterator[Schema]:
    """A fresh schema, once on a server with GTIDs and once on one without."""
    name = "mysql" if request.param == "gtid" else "mysql_file_position"
    server = request.getfixturevalue(name)
    skip_what_the_server_does_not_have(request, server)
    with fresh_schema(server) as schema:
        yield schema
