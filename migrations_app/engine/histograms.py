"""Histograms of columns: nothing copies them, so the new table is given its own before the swap.

ALTER TABLE keeps the histograms of columns that it does not define anew. Here those of every column
that lives on are built again, from the rows of the new table.
"""

from __future__ import annotations

import dataclasses

import MySQLdb

from migrations_app.engine.errors import ServerLostError
from migrations_app.engine.mapping import Mapping
from migrations_app.engine.names import TableNames, literal, quote
from migrations_app.engine.observer import Event, Level
from migrations_app.engine.session import Session, server_text


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class _Shape:
    """What a histogram was asked for with. automatic: ANALYZE TABLE keeps it up to date."""

    buckets: int
    automatic: bool

    @property
    def sql(self) -> str:
        # The words for the other way are unknown to servers that have only that one.
        return f"WITH {self.buckets} BUCKETS{' AUTO UPDATE' if self.automatic else ''}"


class Histograms:
    """The histograms of one table's columns, and what was said of them already."""

    def __init__(self, names: TableNames, mapping: Mapping) -> None:
        self._names = names
        self._mapping = mapping
        self._given_up: set[str] = set()

    def renew(self, session: Session) -> list[Event]:
        """Build on the shadow table what the source has and it has not; what to tell of that.

        A histogram that cannot be built stops no run: the event says how to build it later. Raises
        ServerLostError.
        """
        try:
            missing = self._missing(session)
        except MySQLdb.Error as error:
            return [self._unknown(error)]
        if not missing:
            return []
        reasons = [self._build(session, shape, missing) for shape in sorted(set(missing.values()))]
        present = self._of(session, self._names.shadow)
        built = sorted(name for name in missing if name.lower() in present)
        events = [self._built(built)] if built else []
        failed = {name: shape for name, shape in missing.items() if name not in built}
        if failed:
            self._given_up |= set(failed)
            events.append(self._lost(failed, " ".join(reason for reason in reasons if reason)))
        return events

    def _missing(self, session: Session) -> dict[str, _Shape]:
        """By column of the shadow table."""
        wanted = self._of(session, self._names.table)
        if not wanted:
            return {}
        present = self._of(session, self._names.shadow)
        lives_on = {pair.source.name.lower(): pair.target.name for pair in self._mapping.pairs}
        for column in self._mapping.shadow.columns:
            if column.generated:
                lives_on.setdefault(column.name.lower(), column.name)
        found = {lives_on[name]: shape for name, shape in wanted.items() if name in lives_on}
        return {
            name: shape
            for name, shape in found.items()
            if name.lower() not in present and name not in self._given_up
        }

    def _of(self, session: Session, table: str) -> dict[str, _Shape]:
        """By column, in lower case."""
        # The dictionary compares to the byte; a server may write every name in lower case.
        rows = session.query(
            "SELECT COLUMN_NAME, HISTOGRAM->>'$.\"number-of-buckets-specified\"', "
            "COALESCE(HISTOGRAM->>'$.\"auto-update\"', 'false') "
            "FROM information_schema.COLUMN_STATISTICS "
            f"WHERE {_is('SCHEMA_NAME', self._names.schema)} AND {_is('TABLE_NAME', table)}"
        )
        return {
            str(name).lower(): _Shape(int(buckets), _text(automatic) == "true")
            for name, buckets, automatic in rows
        }

    def _build(self, session: Session, shape: _Shape, missing: dict[str, _Shape]) -> str:
        """One pass over the table; why not everything could be built, or ""."""
        columns = [name for name, its in missing.items() if its == shape]
        try:
            rows = session.query(_analyze(self._names.shadow_sql, columns, shape))
        except ServerLostError:
            raise
        except MySQLdb.Error as error:
            return server_text(error)
        return " ".join(_text(row[3]) for row in rows if _text(row[2]).lower() == "error")

    def _built(self, columns: list[str]) -> Event:
        return Event(
            "histograms_built",
            f"Histograms of {self._names.table} were built for the new table: "
            f"{', '.join(columns)}.",
            data={"table": self._names.table, "columns": columns},
        )

    def _lost(self, failed: dict[str, _Shape], reason: str) -> Event:
        statements = [
            _analyze(
                self._names.source_sql, [n for n, its in failed.items() if its == shape], shape
            )
            for shape in sorted(set(failed.values()))
        ]
        return Event(
            "histograms_lost",
            f"{self._names.table} has no histograms of {', '.join(sorted(failed))} after the swap: "
            f"{reason or 'the server did not build them'}. Its rows are not concerned. To try it "
            f"again after the swap: {'; '.join(statements)}.",
            Level.WARNING,
            {"table": self._names.table, "columns": sorted(failed), "statements": statements},
        )

    def _unknown(self, error: MySQLdb.Error) -> Event:
        return Event(
            "histograms_lost",
            f"It could not be read which histograms {self._names.table} has: {server_text(error)}. "
            f"If there are any, build them again after the swap.",
            Level.WARNING,
            {"table": self._names.table, "columns": [], "statements": []},
        )


def _analyze(table_sql: str, columns: list[str], shape: _Shape) -> str:
    listed = ", ".join(quote(name) for name in sorted(columns))
    return f"ANALYZE TABLE {table_sql} UPDATE HISTOGRAM ON {listed} {shape.sql}"


def _is(column: str, name: str) -> str:
    value = literal(name)
    return (
        f"({column} = {value} "
        f"OR (@@lower_case_table_names > 0 AND LOWER({column}) = LOWER({value})))"
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
