"""What is told of rounds: a line for each, everything about a failed one, and a summary."""

from __future__ import annotations

import collections
import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from playground.torture.faults import FaultKind
from playground.torture.rounds import Result


def line(number: int, result: Result) -> str:
    """A round in one line."""
    plan = result.plan
    word = "FAILED" if result.failure else "ok"
    return (
        f"{number:4}  {word:6}  seed {plan.seed}  {result.secs:5.1f} s  {result.rows:6} rows"
        f"  {result.writes:6} writes  {result.attempts} attempts"
        f"  {sum(result.injected.values())} faults  {'gtid' if plan.gtid else 'file'}"
        f"  {'live' if plan.live else 'deferred'}  {plan.statement[:100]}"
    )


def failure(result: Result) -> str:
    """All that is known of a failed round."""
    parts = [
        f"--- FAILED: script/torture --seed {result.plan.seed} --rounds 1 chooses the same again",
        *result.plan.lines(),
        "--- what happened",
        *result.history,
        "--- what is wrong",
        result.failure,
        "--- the engine's last lines",
        *(json.dumps(said, ensure_ascii=False) for said in result.last_lines),
    ]
    if result.trace:
        parts += ["--- the engine's log", result.trace]
    return "\n".join([*parts, "---"])


@dataclasses.dataclass
class Summary:
    """All rounds together."""

    rounds: int = 0
    secs: float = 0.0
    attempts: int = 0
    resumes: int = 0
    fresh_starts: int = 0
    rows: int = 0
    writes: int = 0
    injected: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    failed_seeds: list[int] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, results: Iterable[Result]) -> Summary:
        summary = cls()
        for result in results:
            summary.add(result)
        return summary

    def add(self, result: Result) -> None:
        self.rounds += 1
        self.secs += result.secs
        self.attempts += result.attempts
        self.resumes += result.resumes
        self.fresh_starts += result.fresh_starts
        self.rows += result.rows
        self.writes += result.writes
        self.injected.update(result.injected)
        if result.failure:
            self.failed_seeds.append(result.plan.seed)

    def as_json(self) -> str:
        data: dict[str, Any] = dataclasses.asdict(self)
        data["injected"] = {str(kind): count for kind, count in self.injected.items()}
        data["secs"] = round(self.secs, 1)
        return json.dumps(data)

    def text(self) -> str:
        kinds = "\n".join(
            f"  {self.injected[kind]:5}  {kind}" for kind in FaultKind if self.injected[kind]
        )
        seeds = ", ".join(map(str, self.failed_seeds))
        verdict = f"{len(self.failed_seeds)} FAILED, seeds {seeds}" if seeds else "every row right"
        return (
            f"{self.rounds} rounds in {self.secs:.0f} s: {verdict}.\n"
            f"{self.rows:,} rows compared, {self.writes:,} changes written meanwhile;"
            f" {self.attempts} runs of the engine, {self.resumes} of them resumed,"
            f" {self.fresh_starts} started afresh.\n"
            f"Faults:\n{kinds or '      none'}"
        )
