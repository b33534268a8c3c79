"""``script/demo --once``: a migration from the form to the swapped table, and the proof of it.

The three people do it in the web pages while the live application writes: submit, approve, start,
stop near half, start again. Then every row is compared with the writer's ledger and the old table.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from playground import control
from playground.comparison import Comparison, compare
from playground.people import People
from playground.stack import SCHEMA, Stack
from playground.writer import WriterReport

STATEMENT = """\
ALTER TABLE orders
  ADD COLUMN channel VARCHAR(16) NOT NULL DEFAULT 'web',
  MODIFY COLUMN note VARCHAR(500) DEFAULT NULL,
  ADD INDEX channel_created (channel, created_at)"""
TITLE = "Orders: sales channel, longer notes"
REASON = "The shop opens a second sales channel next week; support asks for longer notes."
OLD_TABLE = "_orders_old"
POLL_INTERVAL_SECS = 0.2
# A worker polls its orders each second, and the copy goes on meanwhile: asked a little early, it
# stops near half.
STOP_ASKED_AT = 0.35
# Copied at the lowest volume, so that there is a middle to stop in.
SMALL_ORDERS = 500_000
ORDER_TIMEOUT_SECS = 60.0
# Nothing that is waited for can come any more.
FINAL_STATES = {"completed", "failed", "rejected", "cancelled"}
# For a machine that is busy with other things; an idle one needs a tenth.
RUN_TIMEOUT_SECS = 300.0
RUN_TIMEOUT_SECS_PER_MILLION = 900.0
# Written some more after the swap, so that the new table is proved to be in full use.
WRITES_AFTER_SWAP = 200
CHANGED = {"channel": "varchar(16)", "note": "varchar(500)"}
NEW_INDEX = "channel_created"


class StoryError(Exception):
    """The story did not go as it must; the message says where and how."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What the report tells.

    secs: from the first start to the swap, the stop included; first_run_secs: until it had
    stopped; resumed: the event's details (checkpoint_id, position, rows_copied); stall_secs: how
    long the cut-over held the table, if the engine said so.
    """

    secs: float
    first_run_secs: float
    resumed: dict[str, Any]
    stall_secs: float | None
    comparison: Comparison
    writer: WriterReport


class Story:
    """One migration of ``orders``. say: gets a line for each step."""

    def __init__(self, stack: Stack, say: Callable[[str], None]) -> None:
        self.stack = stack
        self.people = People(stack.address, stack.accounts)
        self.request = 0
        self._say = say
        self._run_timeout_secs = (
            RUN_TIMEOUT_SECS + RUN_TIMEOUT_SECS_PER_MILLION * stack.orders / 1_000_000
        )

    def tell(self) -> Result:
        """Go through all of it. Raises StoryError, PageError, ChildError or WriterError."""
        self._agree()
        began_at = time.monotonic()
        first_run_secs, checkpoint = self._run_to_half()
        self.people.start()
        self._say("The operator starts it again.")
        self._wait_for_state("completed", self._run_timeout_secs)
        secs = time.monotonic() - began_at
        self._say("Completed: the tables are swapped. The application goes on writing …")
        comparison, writer = self._prove()
        return Result(
            secs=secs,
            first_run_secs=first_run_secs,
            resumed=self._resumed(checkpoint),
            stall_secs=self._stall_secs(),
            comparison=comparison,
            writer=writer,
        )

    def _agree(self) -> None:
        """From the form to an approved request."""
        volume = 3 if self.stack.orders > SMALL_ORDERS else 1
        self.request = self.people.submit(STATEMENT, title=TITLE, reason=REASON, volume=volume)
        self._say(f"The requester submits request #{self.request}:\n{STATEMENT}")
        self._wait_for_state("submitted", ORDER_TIMEOUT_SECS)
        self.people.approve()
        self._say("The approver approves it.")
        self._wait_for_state("approved", ORDER_TIMEOUT_SECS)

    def _run_to_half(self) -> tuple[float, dict[str, Any]]:
        """Start, and stop near half; returns how long that took, in seconds, and the checkpoint."""
        began_at = time.monotonic()
        self.people.start()
        self._say("The operator starts it.")
        enough = int(STOP_ASKED_AT * self.stack.orders)
        self._wait(
            lambda now: now.rows_copied >= enough,
            "near half of the rows are copied",
            self._run_timeout_secs,
        )
        self.people.stop()
        now = self._wait_for_state("stopped", ORDER_TIMEOUT_SECS)
        secs = time.monotonic() - began_at
        share = now.rows_copied / max(1, self.stack.orders)
        self._say(f"The operator stops it: {now.rows_copied:,} rows are copied ({share:.0%}).")
        checkpoint = control.last_checkpoint(self.request)
        if not checkpoint["rows_copied"]:
            raise StoryError("It stopped before any row was copied.")
        return secs, checkpoint

    def _resumed(self, checkpoint: dict[str, Any]) -> dict[str, Any]:
        """What the second run said: it must have gone on from that checkpoint, not begun again."""
        for fresh in control.events(self.request, "fresh_start"):
            raise StoryError(f"The second run began again: {fresh['message']}")
        found = control.events(self.request, "resumed")
        if not found:
            raise StoryError("No event says that the second run resumed from a checkpoint.")
        data: dict[str, Any] = found[-1]["data"]
        if (data.get("checkpoint_id"), data.get("rows_copied")) != (
            checkpoint["id"],
            checkpoint["rows_copied"],
        ):
            raise StoryError(
                f"It resumed from checkpoint {data.get('checkpoint_id')} with"
                f" {data.get('rows_copied')} rows copied; the stop had written checkpoint"
                f" {checkpoint['id']} with {checkpoint['rows_copied']}."
            )
        return data

    def _prove(self) -> tuple[Comparison, WriterReport]:
        """Write on for a moment, stop writing, and compare every row."""
        stack, writer = self.stack, self.stack.writer
        wanted = writer.changes + min(WRITES_AFTER_SWAP, int(2 * stack.rate))
        deadline = time.monotonic() + ORDER_TIMEOUT_SECS
        while writer.changes < wanted and writer.is_writing and time.monotonic() < deadline:
            time.sleep(POLL_INTERVAL_SECS)
        writer.stop()
        self._say("Comparing every row with the application's own ledger and the old table …")
        self._check_shape()
        comparison = compare(stack.server.root_dsn(SCHEMA), writer.table, writer.ledger, OLD_TABLE)
        report = writer.report()
        if comparison.differences or report.surprises:
            shown = [str(one) for one in comparison.differences[:10]] + report.surprises[:10]
            raise StoryError(
                f"{len(comparison.differences)} rows differ, and the application met"
                f" {len(report.surprises)} surprises:\n  " + "\n  ".join(shown)
            )
        return comparison, report

    def _check_shape(self) -> None:
        """The new table has the new shape: otherwise equal rows would prove nothing."""
        execute = self.stack.server.execute
        types = dict(row[:2] for row in execute("SHOW COLUMNS FROM orders", schema=SCHEMA))
        indexes = {row[2] for row in execute("SHOW INDEX FROM orders", schema=SCHEMA)}
        for column, wanted in CHANGED.items():
            if types.get(column) != wanted:
                raise StoryError(f"orders.{column} is {types.get(column)}, not {wanted}.")
        if NEW_INDEX not in indexes:
            raise StoryError(f"orders has no index {NEW_INDEX}.")

    def _stall_secs(self) -> float | None:
        for event in control.events(self.request, "cutover_done"):
            found = event["data"].get("stall_secs")
            return None if found is None else float(found)
        return None

    def _wait_for_state(self, state: str, timeout_secs: float) -> control.Reading:
        return self._wait(lambda now: now.state == state, f"it is {state}", timeout_secs)

    def _wait(
        self, claim: Callable[[control.Reading], bool], what: str, timeout_secs: float
    ) -> control.Reading:
        """Watch the request until the claim holds. A failure of anything ends the wait at once."""
        deadline = time.monotonic() + timeout_secs
        while True:
            now = control.read(self.request)
            if claim(now):
                return now
            self.stack.check()
            if now.state in FINAL_STATES:
                raise StoryError(
                    f"Request #{self.request} is {now.state} while waiting until {what}."
                    f" It says: {now.message or 'nothing'}"
                )
            if time.monotonic() > deadline:
                raise StoryError(
                    f"Not within {timeout_secs:.0f} s: {what}. Request #{self.request} is"
                    f" {now.state} in phase {now.phase or '-'} at {now.fraction:.0%}."
                    f" {now.message}"
                )
            time.sleep(POLL_INTERVAL_SECS)
