"""A control database with a request in every state, for pictures of the pages.

Only what is shown matters: histories are written as rows, and no migration runs.
"""

from __future__ import annotations

import datetime as dt
import importlib
import json
import math
from typing import Any

from playground import control

STATEMENT = (
    "ALTER TABLE orders\n  ADD COLUMN channel VARCHAR(16) NOT NULL DEFAULT 'web',\n"
    "  MODIFY COLUMN note VARCHAR(500) DEFAULT NULL,\n  ADD INDEX channel_created (channel)"
)
ROWS = 48_211_973
LONG_WORD = "a_table_whose_name_goes_on_for_as_long_as_mysql_lets_it_go_on_64"

_FRACTIONS = {
    "running": 0.43, "waiting_for_cutover": 1.0, "cutting_over": 1.0, "stopping": 0.61,
    "stopped": 0.61, "interrupted": 0.27, "failed": 0.35, "completed": 1.0, "cancelled": 0.2,
}  # fmt: skip
_PHASES = {"waiting_for_cutover": "waiting_for_cutover", "cutting_over": "cut_over"}


class Stage:
    """Makes rows. Django is set up already (``control.set_up``)."""

    def __init__(self) -> None:
        self.models = importlib.import_module("migrations_app.models")
        users = importlib.import_module("django.contrib.auth.models").User.objects
        self.people = {user.username: user for user in users.all()}
        self.now = importlib.import_module("django.utils.timezone").now()
        self.target = self.models.Target.objects.get(name=control.TARGET_NAME)

    def fill(self) -> dict[str, int]:
        """One request in each state, and some that are special; their numbers by name."""
        numbers = {
            state: self._request(state, n) for n, state in enumerate(self.models.State.values)
        }
        numbers["fallback"] = self._fallback()
        self._at_risk(numbers["stopped"], numbers["failed"])
        self._blocked(numbers["cutting_over"])
        numbers["throttled"] = self._throttled()
        numbers["indexing"] = self._request(
            "running", 2, title="Building indexes", phase="restore_indexes", fraction=0.0,
            rows_copied=ROWS, rows_per_sec=0.0, eta_secs=None,
        )  # fmt: skip
        numbers["long"] = self._long()
        return numbers

    def _request(self, state: str, n: int, **fields: Any) -> int:
        fraction = _FRACTIONS.get(state, 0.0)
        row = self.models.MigrationRequest.objects.create(
            **{
                "target": self.target,
                "requester": self.people["requester"],
                "statement": STATEMENT,
                "schema_name": self.target.database,
                "table_name": "orders",
                "title": "Where an order came from",
                "reason": "The shop app writes it from version 4.2 on.",
                "state": state,
                "defer_cutover": state == "waiting_for_cutover",
                "rows_total": ROWS if fraction else 0,
                "rows_copied": int(ROWS * fraction),
                "fraction": fraction,
                "phase": _PHASES.get(state, "copy_rows") if fraction else "",
                "method": "copy" if fraction else "",
                "running_volume": 3 if state == "running" else None,
                "rows_per_sec": 38_412.0 if state == "running" else 0.0,
                "eta_secs": 715.0 if state == "running" else None,
                "deltas_waiting": 1_204 if state == "running" else 0,
                "deltas_applied": 480_233 if fraction else 0,
                "last_heartbeat_at": self.now if fraction else None,
                "message": "orders.note has a value of 731 characters in the row with id = 9,"
                " which VARCHAR(500) cannot hold. Nothing was changed."
                if state == "failed"
                else "",
                **fields,
            }
        )
        self.models.MigrationRequest.objects.filter(pk=row.pk).update(
            created_at=self.now - dt.timedelta(hours=3 * n + 1)
        )
        if fraction:
            self._history(row)
        if state not in ("draft", "submitted"):
            row.approvals.create(approver=self.people["approver"], comment="Adds and widens only.")
        return int(row.pk)

    def _history(self, row: Any) -> None:
        """Two runs with checkpoints, readings and events."""
        checkpoint = None
        for number, volume in ((1, 8), (2, 3)):
            began = self.now - dt.timedelta(minutes=75 - 25 * number)
            run = row.runs.create(
                number=number, lease_token=number, worker="db-tools-1:4711", pid=4711,
                volume=volume, threads=2, method="copy", resumed_from=checkpoint,
                ended_at=began + dt.timedelta(minutes=24) if number == 1 else None,
                outcome="stopped" if number == 1 else "",
            )  # fmt: skip
            self.models.Run.objects.filter(pk=run.pk).update(started_at=began)
            self._samples(run, began, volume)
            checkpoint = self._checkpoints(row, run, began)
            self._events(row, run, number)

    def _samples(self, run: Any, began: dt.datetime, volume: int) -> None:
        rows = [
            self.models.Sample(
                run=run, phase="copy_rows", rows_copied=n * 200_000,
                rows_per_sec=volume * 5_000 * (1 + 0.3 * math.sin(n / 7)),
                deltas_waiting=abs(int(2_000 * math.sin(n / 11))), chunk_time_secs=0.5,
                replica_lag_secs=abs(3 * math.sin(n / 23)),
            )
            for n in range(120)
        ]  # fmt: skip
        for n, sample in enumerate(self.models.Sample.objects.bulk_create(rows)):
            self.models.Sample.objects.filter(pk=sample.pk).update(
                taken_at=began + dt.timedelta(seconds=12 * n)
            )

    def _checkpoints(self, row: Any, run: Any, began: dt.datetime) -> Any:
        newest = None
        for n in range(6):
            at = began + dt.timedelta(minutes=4 * n)
            bound = 8_000_000 * run.number + n * 700_000
            newest = row.checkpoints.create(
                run=run, engine_id=run.number * 10 + n,
                binlog_name=f"binlog.{n + 28 + 6 * run.number:06}",
                binlog_pos=4_567 + n * 90_001, phase="copy_rows", rows_copied=bound,
                engine_version="1", created_at=at, resumable=run.number == 2 and n == 5,
                why_not="" if run.number == 2 and n == 5 else "A newer checkpoint counts.",
                log_expires_at=self.now + dt.timedelta(hours=29), looked_at=self.now,
                oldest_log="binlog.000037", newest_log="binlog.000047",
                copier_watermark=json.dumps(
                    {"Key": ["id"], "UpperBound": {"Value": [str(bound)], "Inclusive": False}}
                ),
            )  # fmt: skip
            self.models.Checkpoint.objects.filter(pk=newest.pk).update(received_at=at)
        return newest

    def _events(self, row: Any, run: Any, number: int) -> None:
        told = [
            ("taken_up", "info", "Taken up by the worker db-tools-1:4711."),
            ("resumed" if number == 2 else "started", "info", "Copying with 2 threads."),
            ("throttled", "warning", "The copy is paused: Threads_running is 61, above 50."),
        ]
        for kind, level, message in told:
            row.events.create(run=run, kind=kind, level=level, message=message)
        if number == 1:
            row.events.create(
                run=run, kind="stopping", message="operator ordered it to stop.",
                actor=self.people["operator"],
            )  # fmt: skip

    def _fallback(self) -> int:
        pk = self._request("running", 2, title="Began again")
        self.models.Event.objects.create(
            request_id=pk, kind="fresh_start", level="warning",
            message="Starting afresh: binlog.000012 is gone.",
            data={
                "reason": "the server no longer has binlog.000012", "rows_lost": 31_004_871,
                "old_position": "binlog.000012:4567", "new_position": "binlog.000061:157",
                "age_secs": 190_112,
            },
        )  # fmt: skip
        return pk

    def _at_risk(self, expiring: int, lost: int) -> None:
        requests = self.models.MigrationRequest.objects
        requests.filter(pk=expiring).update(expiry_warned_at=self.now)
        newest = self.models.Checkpoint.objects.filter
        newest(request=expiring, resumable=True).update(
            log_expires_at=self.now + dt.timedelta(hours=3)
        )
        newest(request=lost, resumable=True).update(
            resumable=False, why_not="The server no longer has binlog.000045."
        )

    def _blocked(self, pk: int) -> None:
        row = self.models.MigrationRequest.objects.get(pk=pk)
        row.events.create(
            run=row.runs.first(), kind="cutover_blocked", level="warning",
            message="Attempt 3 to swap the tables did not get through: blocked by session 4711.",
            data={
                "attempt": 3, "stall_secs": 1.0, "next_attempt_secs": 20.0,
                "blockers": [
                    {
                        "session_id": 4711, "account": "reports@10.2.0.17", "rows_modified": 0,
                        "spared": "",
                    },
                    {
                        "session_id": 4802, "account": "backup@10.2.0.4",
                        "rows_modified": 1_204_551,
                        "spared": "its transaction has changed 1,204,551 rows and would take long "
                        "to roll back",
                    },
                ],
            },
        )  # fmt: skip

    def _throttled(self) -> int:
        return self._request(
            "running", 3, title="Paused for a replica", rows_per_sec=0.0, eta_secs=None,
            throttled="replica db-7 lags 340 s, more than 120 s",
            throttled_since=self.now - dt.timedelta(minutes=42),
        )  # fmt: skip

    def _long(self) -> int:
        columns = ",\n  ".join(
            f"ADD COLUMN {LONG_WORD[:50]}_{n} VARCHAR(200) NOT NULL DEFAULT ''" for n in range(40)
        )
        return self._request(
            "submitted", 4, table_name=LONG_WORD, title="W" * 200, reason="Because. " * 200,
            statement=f"ALTER TABLE {LONG_WORD}\n  {columns}",
        )  # fmt: skip
