"""What is wrong, dangerous or odd about a statement, said before it runs.

``lint(dsn, statement)`` asks the server; ``lint_statement(statement, table, facts)`` is the
judgement alone, without a connection. Rules compare the table before and after: what it would
be afterwards the server says, on an empty copy (``engine/scratch``).

- ``rules``: every rule, its level and description; ``levels``: what a level means;
  ``registry``: choosing levels
- ``columns``, ``indexes``, ``statements``, ``tables``: the rules; ``types``: what fits into what
- ``case``: what a rule is given; ``clauses``: what the statement alone can tell
- ``reading``: what is asked of the server
"""

from __future__ import annotations

from collections.abc import Mapping

from migrations_app.engine.dsn import Dsn
from migrations_app.engine.errors import RefusedError
from migrations_app.engine.inspection import inspecting
from migrations_app.engine.lint.case import Allowed, Case, ElsewhereColumn, Facts, Finding
from migrations_app.engine.lint.levels import LintLevel
from migrations_app.engine.lint.reading import Looked, gather
from migrations_app.engine.lint.registry import as_markdown, parse_levels
from migrations_app.engine.lint.rules import RULES, UNSUPPORTED, Rule
from migrations_app.engine.lint.statements import split
from migrations_app.engine.statement import Statement
from migrations_app.engine.table import Table

__all__ = [
    "RULES",
    "Allowed",
    "ElsewhereColumn",
    "Facts",
    "Finding",
    "LintLevel",
    "Looked",
    "Rule",
    "as_markdown",
    "findings_of_refusal",
    "gather",
    "lint",
    "lint_statement",
    "parse_levels",
    "refused",
]


def lint_statement(
    statement: Statement,
    table: Table | None,
    facts: Facts,
    levels: Mapping[str, LintLevel] | None = None,
) -> list[Finding]:
    """Every finding, the heaviest first.

    table: as it is now, None when there is none; levels: instead of the rules' own (made by
    ``parse_levels``).
    """
    case = Case(statement, table, facts)
    findings = []
    for rule in RULES:
        level = (levels or {}).get(rule.name, rule.level)
        if level is not LintLevel.OFF:
            findings += [
                Finding(rule.name, level, said.message, said.remedy) for said in rule.check(case)
            ]
    return sorted(findings, key=lambda finding: finding.level.weight)


def lint(
    dsn: Dsn,
    statement: Statement,
    levels: Mapping[str, LintLevel] | None = None,
    allowed: Allowed | None = None,
) -> list[Finding]:
    """Ask the server and judge. Nothing is changed.

    Raises TransientError when the server cannot be reached or the table is locked, RefusedError
    when it refuses the account or is none that can be a target.
    """
    with inspecting(dsn, "lint") as session:
        looked = gather(session, statement, allowed)
    return lint_statement(statement, looked.table, looked.facts, levels)


def findings_of_refusal(error: RefusedError) -> list[Finding]:
    """What ``parse_statement`` refused, as findings."""
    return [
        Finding(UNSUPPORTED, LintLevel.REFUSE, said.message, said.remedy)
        for said in map(split, error.reasons)
    ]


def refused(findings: list[Finding]) -> bool:
    """Whether any of them keeps the statement from running."""
    return any(finding.level is LintLevel.REFUSE for finding in findings)
