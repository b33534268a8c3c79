"""Where the bench works: one schema, the base tables, and a fresh copy of one for each run.

A base table is made once and never written again. Its copies are made of its file
(``FLUSH TABLES … FOR EXPORT``, ``IMPORT TABLESPACE``), which takes the time of copying a file and
leaves nothing for the server to flush. Neither base tables nor copies are in the binary log.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import MySQLdb

from playground.bench import verify
from playground.bench.shapes import ROWS_AT_ONCE, Shape
from playground.connections import connected, query, quote
from playground.server import PrivateServer

SCHEMA = "bench"
TABLE = "t"
_BASE = "base_"


class Ground:
    """The schema of a bench on a running server. Leaving the block drops it.

    seed: equal ones make equal tables.
    """

    def __init__(self, server: PrivateServer, seed: int = 1) -> None:
        self.server = server
        self.seed = seed
        self._fingerprints: dict[str, verify.Fingerprint] = {}

    def __enter__(self) -> Self:
        self.server.execute(f"DROP DATABASE IF EXISTS {SCHEMA}")
        self.server.execute(f"CREATE DATABASE {SCHEMA}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.server.execute(f"DROP DATABASE IF EXISTS {SCHEMA}")

    @property
    def dsn(self) -> str:
        """Root's account in the schema."""
        return self.server.root_dsn(SCHEMA)

    def base(self, shape: Shape, rows: int) -> str:
        """The name of the base table of so many rows; made when it is not there yet."""
        name = f"{_BASE}{shape.name}_{rows}"
        if name not in self._fingerprints:
            with self._unlogged() as connection:
                self._make(connection, shape, name, rows)
                self._fingerprints[name] = verify.fingerprint(connection, name, shape)
        return name

    def fingerprint(self, shape: Shape, rows: int) -> verify.Fingerprint:
        """The base table's, as it was made."""
        return self._fingerprints[self.base(shape, rows)]

    def fresh(self, shape: Shape, rows: int) -> None:
        """Make ``t`` a copy of the base table, in the buffer pool, with statistics; nothing of an
        earlier run is left, in tables or in the binary log."""
        base = self.base(shape, rows)
        self.clear()
        source, copy = quote(base), quote(TABLE)
        folder = self.server.data_folder / SCHEMA
        with self._unlogged() as connection:
            query(connection, f"CREATE TABLE {copy} LIKE {source}")
            query(connection, f"ALTER TABLE {copy} DISCARD TABLESPACE")
            query(connection, f"FLUSH TABLES {source} FOR EXPORT")
            for suffix in ("ibd", "cfg"):
                shutil.copyfile(folder / f"{base}.{suffix}", folder / f"{TABLE}.{suffix}")
            query(connection, "UNLOCK TABLES")
            query(connection, f"ALTER TABLE {copy} IMPORT TABLESPACE")
            query(connection, f"ANALYZE TABLE {copy}")
            # Every page is read once: no run begins with a colder table than another.
            query(connection, f"SELECT MAX(CRC32({quote(shape.names[-1])})) FROM {copy}")

    def clear(self) -> None:
        """Drop every table but the base tables, and the binary log so far."""
        with self._unlogged() as connection:
            for name in self.tables():
                query(connection, f"DROP TABLE {quote(name)}")
            query(connection, "FLUSH BINARY LOGS")
            last = query(connection, "SHOW BINARY LOGS")[-1][0]
            query(connection, "PURGE BINARY LOGS TO %s", (last,))

    def drop_base(self, shape: Shape, rows: int) -> None:
        """Give a base table's disk back; ``base`` would make it again."""
        name = f"{_BASE}{shape.name}_{rows}"
        with self._unlogged() as connection:
            query(connection, f"DROP TABLE IF EXISTS {quote(name)}")
        self._fingerprints.pop(name, None)

    def tables(self) -> list[str]:
        """Names of every table but the base tables."""
        found = self.server.execute("SHOW TABLES", schema=SCHEMA)
        return sorted(str(row[0]) for row in found if not str(row[0]).startswith(_BASE))

    def _make(self, connection: MySQLdb.Connection, shape: Shape, name: str, rows: int) -> None:
        query(connection, shape.create_sql(name))
        query(connection, "SET @seed = %s", (str(self.seed),))
        query(connection, f"SET SESSION cte_max_recursion_depth = {ROWS_AT_ONCE + 1}")
        for first in range(1, rows + 1, ROWS_AT_ONCE):
            last = min(rows, first + ROWS_AT_ONCE - 1)
            query(connection, shape.fill_sql(name, first, last))
        indexes = shape.index_sql(name)
        if indexes:
            query(connection, indexes)
        query(connection, f"ANALYZE TABLE {quote(name)}")

    @contextlib.contextmanager
    def _unlogged(self) -> Iterator[MySQLdb.Connection]:
        """A connection whose changes stay out of the binary log."""
        with connected(self.dsn) as connection:
            query(connection, "SET SESSION sql_log_bin = 0")
            yield connection
