"""What a server is, how it is set, and what an account may do there."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import pathlib
import re
from collections.abc import Iterable
from typing import Any

import MySQLdb

from migrations_app.engine.session import Session

OLDEST_VERSION = (8, 0, 19)
# Lists of keys are sent, and rows are compared as texts, of up to half of that.
LEAST_PACKET_BYTES = 1024 * 1024
_AMPLE_REDO_LOG_BYTES = 1024**3
_VARIABLES = (
    "gtid_mode", "log_bin", "binlog_format", "binlog_order_commits", "binlog_row_image",
    "lower_case_table_names", "server_uuid", "innodb_ddl_buffer_size", "datadir",
    "super_read_only", "read_only", "explicit_defaults_for_timestamp",
    "innodb_flush_log_at_trx_commit", "innodb_log_writer_threads", "max_allowed_packet",
    "innodb_redo_log_capacity", "innodb_log_file_size", "innodb_log_files_in_group",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class ServerFacts:
    """A server's version and the settings that matter here, all as text in ``variables``."""

    version_text: str
    version: tuple[int, int, int]
    mariadb: bool
    variables: dict[str, str]

    @property
    def uses_gtid(self) -> bool:
        return self.variables.get("gtid_mode", "").upper() == "ON"

    @property
    def keeps_commits(self) -> bool:
        """Whether what was committed survives a crash of the server."""
        return self.variables.get("innodb_flush_log_at_trx_commit") == "1"

    @property
    def commits_may_stall(self) -> bool:
        """Whether a commit may sleep for 100 ms while another session, such as the copy, writes to
        the redo log. Without log writer threads a commit that finds a gap in the log buffer waits
        for an event whose signal it can miss (log_self_write_up_to in InnoDB's log0write.cc,
        8.0.22 to 9.x); measured in docs/benchmarks.md."""
        return self.variables.get("innodb_log_writer_threads") == "OFF"

    @property
    def builds_indexes_beside_writes(self) -> bool:
        """Whether a table may be written to while an index of it is built. MySQL 8.0 can then fill
        a small redo log to the last byte, and stands still for good: seen on 8.0.46 with one of
        128 MB ("Out of space in the redo log", MY-013059), never on 9.7; 8.4 was not tried."""
        return self.version >= (9, 0, 0) or self.redo_log_bytes >= _AMPLE_REDO_LOG_BYTES

    @property
    def redo_log_bytes(self) -> int:
        """As it is configured; 0 where that is not known."""
        value = self.variables.get
        capacity = int(value("innodb_redo_log_capacity") or 0)  # since MySQL 8.0.30
        files = int(value("innodb_log_files_in_group") or 0)
        return capacity or int(value("innodb_log_file_size") or 0) * files

    @property
    def cores(self) -> int:
        """Cores of the server, as far as known: the machine's own when it is this one, else 8."""
        if pathlib.Path(self.variables.get("datadir") or "/nonexistent").is_dir():
            return os.cpu_count() or 8
        return 8


def read_facts(session: Session) -> ServerFacts:
    version_text, comment = session.query_one("SELECT VERSION(), @@version_comment")
    names = ", ".join(f"'{name}'" for name in _VARIABLES)
    rows = session.query(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})")
    return facts_from(str(version_text), str(comment), rows)


def facts_from(version_text: str, comment: str, rows: Iterable[tuple[Any, ...]]) -> ServerFacts:
    numbers = [int(number) for number in re.findall(r"\d+", version_text)[:3]]
    numbers += [0] * (3 - len(numbers))
    return ServerFacts(
        version_text=version_text,
        version=(numbers[0], numbers[1], numbers[2]),
        mariadb="mariadb" in (version_text + comment).lower(),
        variables={str(name): str(value) for name, value in rows},
    )


def server_problems(facts: ServerFacts) -> list[str]:
    """What keeps this server from being migrated on, each with its way out."""
    if facts.mariadb:
        reason = (
            f"This is MariaDB ({facts.version_text}). Only MySQL 8.0.19 up to 9.x is supported: "
            f"MariaDB's binary log and GTIDs are different."
        )
        return [reason]
    problems = []
    if facts.version < OLDEST_VERSION:
        problems.append(
            f"The server is MySQL {facts.version_text}; 8.0.19 or newer is needed "
            f"(older ones cannot swap tables under a lock)."
        )
    if facts.variables.get("log_bin") != "ON":
        problems.append("The server writes no binary log: start it with log-bin.")
    if facts.variables.get("binlog_format", "ROW") != "ROW":
        problems.append(
            f"binlog_format is {facts.variables['binlog_format']}: set it to ROW "
            f"(SET PERSIST binlog_format = 'ROW', then let the application reconnect)."
        )
    if not facts.uses_gtid and facts.variables.get("binlog_order_commits") == "OFF":
        problems.append(
            "binlog_order_commits is OFF and GTIDs are not in use: changes could become visible "
            "in another order than logged. Set binlog_order_commits = ON, or gtid_mode = ON."
        )
    packet_bytes = int(facts.variables.get("max_allowed_packet") or LEAST_PACKET_BYTES)
    if packet_bytes < LEAST_PACKET_BYTES:
        problems.append(
            f"max_allowed_packet is {packet_bytes:,} bytes: rows could not be compared. Set it to "
            f"64M, the server's default (SET PERSIST max_allowed_packet = 67108864)."
        )
    if facts.variables.get("super_read_only") == "ON" or facts.variables.get("read_only") == "ON":
        problems.append("The server is read-only: point the target at the primary.")
    return problems


# TRIGGER: without it information_schema hides the triggers that the swap would lose.
_TABLE_PRIVILEGES = (
    "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "LOCK TABLES",
    "TRIGGER",
)  # fmt: skip
_GLOBAL_PRIVILEGES = ("REPLICATION SLAVE", "REPLICATION CLIENT")
_GRANT = re.compile(r"GRANT (?P<what>.+?) ON (?P<where>\S+|`.*`\.\S+) TO ", re.DOTALL)


def missing_privileges(session: Session, schema: str) -> list[str]:
    """The privileges the session's account lacks, one sentence with the GRANT for each kind."""
    everywhere, here = _granted(session, schema)
    account = str(session.query_one("SELECT CURRENT_USER()")[0])
    user, _, host = account.rpartition("@")
    problems = []
    lacking = [p for p in _GLOBAL_PRIVILEGES if not {p, "ALL PRIVILEGES"} & everywhere]
    if lacking:
        problems.append(
            f"The account {account} lacks {', '.join(lacking)}, needed to read the binary log: "
            f"GRANT {', '.join(lacking)} ON *.* TO '{user}'@'{host}'."
        )
    lacking = [p for p in _TABLE_PRIVILEGES if not {p, "ALL PRIVILEGES"} & (here | everywhere)]
    if lacking:
        problems.append(
            f"The account {account} lacks {', '.join(lacking)} on {schema}: "
            f"GRANT {', '.join(lacking)} ON `{schema}`.* TO '{user}'@'{host}'."
        )
    return problems


def _granted(session: Session, schema: str) -> tuple[set[str], set[str]]:
    """Privileges granted everywhere, and those granted on the schema."""
    roles = str(session.query_one("SELECT CURRENT_ROLE()")[0])
    using = "" if roles == "NONE" else f" FOR CURRENT_USER() USING {roles}"
    try:
        rows = session.query(f"SHOW GRANTS{using}")
    except MySQLdb.Error:
        rows = session.query("SHOW GRANTS")
    everywhere: set[str] = set()
    here: set[str] = set()
    for (text,) in rows:
        match = _GRANT.match(str(text))
        if match is None:
            continue
        privileges = {part.strip().upper() for part in match["what"].split(",")}
        scope = match["where"].replace("`", "")
        if scope == "*.*":
            everywhere |= privileges
        elif scope.endswith(".*") and _covers(scope.removesuffix(".*"), schema):
            here |= privileges
    return everywhere, here


def _covers(pattern: str, schema: str) -> bool:
    """Whether a schema name of a GRANT, which may hold SQL wildcards, covers a schema."""
    if pattern.replace("\\", "") == schema:
        return True
    translated = pattern.replace("\\_", "\0").replace("\\%", "\1")
    translated = re.sub(r"([\[\]*?])", r"[\1]", translated).replace("_", "?").replace("%", "*")
    return fnmatch.fnmatchcase(schema, translated.replace("\0", "_").replace("\1", "%"))
