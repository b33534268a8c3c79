"""What depends on the time zone of whoever writes.

The engine's sessions are in UTC, so that the values of TIMESTAMP keys are never ambiguous. ALTER
TABLE and the application are in the server's zone: statements that define something are run in it
(``Session.define``), and what would be computed anew while rows are copied, and come out
otherwise in UTC, is refused.
"""

from __future__ import annotations

import re

from migrations_app.engine.errors import RefusedError
from migrations_app.engine.mapping import Mapping
from migrations_app.engine.names import TableNames, quote
from migrations_app.engine.session import Session
from migrations_app.engine.table import show_create_table

_UTC = {"+00:00", "utc", "etc/utc", "gmt", "etc/gmt", "universal", "zulu"}
# Of SHOW CREATE TABLE; a key's functional part begins with two parentheses.
_COMPUTED = re.compile(r"GENERATED ALWAYS AS|\bCHECK \(|\bKEY .*\(\(", re.IGNORECASE)
_NOW = re.compile(r"now|current|cur(date|time)|local|sysdate|from_unixtime", re.IGNORECASE)


def refuse_what_depends_on_it(session: Session, names: TableNames, mapping: Mapping) -> None:
    """Raise RefusedError where the copy would hold other values than ALTER TABLE makes."""
    if is_utc(session):
        return
    reasons = [*_converted(mapping), *_computed(session, names, mapping), *_new(mapping)]
    if reasons:
        raise RefusedError(
            f"The server's time zone is not UTC, in which rows are copied, and "
            f"{'; '.join(reasons)}: that would come out otherwise than by the server's own ALTER "
            f"TABLE. Nothing was touched. Leave that out, or use ALTER TABLE in a quiet hour."
        )


def is_utc(session: Session) -> bool:
    """Whether who does not choose a zone of their own is in UTC."""
    zone, system = session.query_one("SELECT @@GLOBAL.time_zone, @@system_time_zone")
    return str(system if str(zone).upper() == "SYSTEM" else zone).lower() in _UTC


def _converted(mapping: Mapping) -> list[str]:
    return [
        f"{pair.source.name} goes from {pair.source.data_type} to {pair.target.data_type}"
        for pair in mapping.pairs
        if (pair.source.data_type == "timestamp") != (pair.target.data_type == "timestamp")
    ]


def _computed(session: Session, names: TableNames, mapping: Mapping) -> list[str]:
    moments = [c.name for c in mapping.shadow.columns if c.data_type == "timestamp"]
    if not moments:
        return []
    lines = show_create_table(session, names.shadow_sql).splitlines()
    return [
        f"{name} is part of an expression ({line.strip().rstrip(',')})"
        for line in lines
        if (begin := _COMPUTED.search(line))
        for name in moments
        if quote(name) in line[begin.start() :]
    ]


def _new(mapping: Mapping) -> list[str]:
    taken = {pair.target.name for pair in mapping.pairs}
    return [
        f"the new column {column.name} begins with the time ({default})"
        for column in mapping.shadow.columns
        if column.name not in taken and not column.generated and column.data_type != "timestamp"
        if _NOW.search(default := str(column.facts.get("COLUMN_DEFAULT") or ""))
        and "default_generated" in column.extra
    ]
