"""All rules, each with its name, its default level and what it is about."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from migrations_app.engine.lint import columns, indexes, statements, tables
from migrations_app.engine.lint.case import Case, Said
from migrations_app.engine.lint.levels import LintLevel
from migrations_app.engine.lint.statements import problems_of

_REFUSE, _ACK, _WARN, _ADVISE = (
    LintLevel.REFUSE, LintLevel.ACKNOWLEDGE, LintLevel.WARN, LintLevel.ADVISE,
)  # fmt: skip
UNSUPPORTED = "unsupported-clause"


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """One rule. fixed: its level cannot be chosen, since the engine refuses on its own."""

    name: str
    level: LintLevel
    description: str
    check: Callable[[Case], Iterable[Said]]
    fixed: bool = False


def _fixed(name: str, description: str, check: Callable[[Case], Iterable[Said]]) -> Rule:
    return Rule(name, _REFUSE, description, check, fixed=True)


def _nothing(_case: Case) -> tuple[Said, ...]:
    """The parser has refused before a rule is asked."""
    return ()


RULES: tuple[Rule, ...] = (
    _fixed(
        "preflight-server",
        "The server's version or settings do not fit: binary log, its format, read-only, MariaDB.",
        problems_of("server"),
    ),
    _fixed(
        "preflight-privileges",
        "The account lacks privileges; the GRANT is shown.",
        problems_of("privileges"),
    ),
    _fixed(
        "preflight-table",
        "There is no such table, or it is a view, or InnoDB does not store it.",
        problems_of("table"),
    ),
    _fixed(
        UNSUPPORTED,
        "A clause that cannot be part of an online change: ALGORITHM, LOCK, a rename of the "
        "table, foreign keys, TRUNCATE, and what is not an ALTER TABLE.",
        _nothing,
    ),
    _fixed(
        "server-refuses",
        "The server does not accept the statement on an empty copy of the table.",
        statements.refused_by_server,
    ),
    _fixed(
        "no-usable-key",
        "The table has no unique key without NULLs to walk by.",
        problems_of("no-key"),
    ),
    _fixed(
        "key-column-dropped",
        "The statement drops a column of the only usable key.",
        problems_of("key-dropped"),
    ),
    _fixed(
        "key-not-kept",
        "Rows could not be found again by the values of a present unique key.",
        statements.key_not_kept,
    ),
    _fixed(
        "enum-of-key-reordered",
        "Members of an ENUM or SET that is part of the key are reordered or removed.",
        columns.enum_of_key,
    ),
    _fixed(
        "foreign-keys",
        "The table is part of foreign keys, in either direction.",
        problems_of("foreign-keys"),
    ),
    _fixed(
        "triggers",
        "The table has triggers, which the swap would lose.",
        problems_of("triggers"),
    ),
    _fixed(
        "old-table-exists",
        "A table has the name that the swap needs for the old table.",
        statements.old_table_exists,
    ),
    Rule(
        "drop-and-add",
        _REFUSE,
        "A column is dropped and added again in one statement: its values are lost.",
        statements.drop_and_add,
    ),
    Rule(
        "rename-collision",
        _REFUSE,
        "A column is renamed from or to a name that the same statement adds.",
        statements.rename_collision,
    ),
    Rule(
        "engine-not-allowed",
        _REFUSE,
        "The table would be stored by another engine than InnoDB.",
        tables.engine,
    ),
    Rule(
        "drop-column",
        _ACK,
        "A column is dropped with its values.",
        columns.dropped,
    ),
    Rule(
        "narrow-type",
        _ACK,
        "A type becomes narrower: shorter, smaller, another sign, fewer decimals or "
        "members, or values are converted.",
        columns.narrowed,
    ),
    Rule(
        "not-null-with-nulls",
        _ACK,
        "A column becomes NOT NULL and has NULLs, or it could not be found out in time.",
        columns.not_null_with_nulls,
    ),
    Rule(
        "drop-visible-index",
        _ACK,
        "An index is dropped that was never made invisible.",
        indexes.dropped_unseen,
    ),
    Rule(
        "new-unique-index",
        _ACK,
        "A unique index on data that may have duplicates.",
        indexes.new_unique,
    ),
    Rule(
        "lossy-charset",
        _ACK,
        "A conversion to a character set that does not have all characters of the old one.",
        columns.characters_lost,
    ),
    Rule(
        "key-type",
        _WARN,
        "A new or changed column of the primary key is not BIGINT UNSIGNED or BINARY.",
        columns.key_type,
    ),
    Rule(
        "auto-increment-full",
        _WARN,
        "AUTO_INCREMENT is past 85 % of its type.",
        tables.auto_increment_full,
    ),
    Rule(
        "inexact-money",
        _WARN,
        "A column whose name sounds like money is FLOAT or DOUBLE.",
        columns.inexact_money,
    ),
    Rule(
        "attribute-left-out",
        _WARN,
        "MODIFY or CHANGE does not repeat NOT NULL, a default, a comment or the like.",
        columns.left_out,
    ),
    Rule(
        "timestamp-2038",
        _WARN,
        "A new or changed column is TIMESTAMP, which ends in 2038.",
        columns.timestamp,
    ),
    Rule(
        "zero-date",
        _WARN,
        "A default is a date that does not exist.",
        columns.zero_date,
    ),
    Rule(
        "redundant-index",
        _WARN,
        "A new index repeats another, or makes one redundant.",
        indexes.redundant,
    ),
    Rule(
        "range-column-first",
        _WARN,
        "A new index of several columns begins with a date, time or floating-point column.",
        indexes.range_first,
    ),
    Rule(
        "type-differs-elsewhere",
        _WARN,
        "Another table has a column of the same name with another type.",
        columns.differs_elsewhere,
    ),
    Rule(
        "reserved-word",
        _WARN,
        "A new name is a reserved word of the server.",
        columns.reserved_word,
    ),
    Rule(
        "mixed-case-name",
        _WARN,
        "A new name has capital letters.",
        columns.mixed_case,
    ),
    Rule(
        "charset-not-allowed",
        _WARN,
        "A character set other than utf8mb4.",
        tables.charset,
    ),
    Rule(
        "collation-not-allowed",
        _WARN,
        "A collation other than utf8mb4_0900_*, utf8mb4_bin, utf8mb4_unicode_ci or the "
        "table's own.",
        tables.collation,
    ),
    Rule(
        "too-many-indexes",
        _WARN,
        "An index is added, and there are more than 16.",
        indexes.too_many,
    ),
    Rule(
        "long-text-index",
        _WARN,
        "A new index holds more than 255 characters of a column.",
        indexes.long_text,
    ),
    Rule(
        "not-null-without-default",
        _WARN,
        "A new column is NOT NULL and has no default.",
        columns.not_null_without_default,
    ),
    Rule(
        "visibility-with-rebuild",
        _WARN,
        "An index's visibility is changed together with a copy of the table.",
        statements.visibility_with_rebuild,
    ),
    Rule(
        "position-change",
        _WARN,
        "FIRST or AFTER on a column that exists.",
        columns.moved,
    ),
    Rule(
        "instant",
        _ADVISE,
        "The server can make the change without copying a row.",
        statements.could_be_instant,
    ),
    Rule(
        "small-table",
        _ADVISE,
        "Fewer than 10,000 rows and 16 MiB: a plain ALTER TABLE would do.",
        tables.small,
    ),
    Rule(
        "written-just-now",
        _ADVISE,
        "A column or index is dropped, and the table was written to within the last minute.",
        tables.written_just_now,
    ),
)
