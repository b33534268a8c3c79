"""The number of copier threads follows what the server says, step by step, and no row is lost."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from migrations_app.engine import (
    DeferIndexes,
    Event,
    Migration,
    Options,
    OutcomeKind,
    autoscaler,
    chunker,
    pulse,
    shadow,
    volume_setting,
)
from migrations_app.engine.abort import Abort
from migrations_app.engine.autoscaler import Autoscaler, Reading
from migrations_app.engine.others import Others
from migrations_app.engine.pulse import Pulse
from migrations_app.engine.session import Session
from playground.comparison import compare
from playground.shop import create_shop
from playground.writer import LiveWriter
from tests.conftest import Schema
from tests.engine.support import Recorder, RunInThread, make_numbers, migrate, wait_until
from tests.engine.test_rules import open_connection

CHANGE = "ALTER TABLE orders ADD COLUMN channel VARCHAR(20) NOT NULL DEFAULT 'web', FORCE"
WIDEN = "ALTER TABLE t MODIFY v BIGINT NOT NULL"


def reading(at: float, rows_per_sec: float, **others: float | None) -> Reading:
    values = {"chunks": 40, "statement_secs": 0.002, "others_running": 1.0, "waited_share": 0.0,
              "deltas_waiting": 0}  # fmt: skip
    return Reading(at=at, rows_per_sec=rows_per_sec, **{**values, **others})  # type: ignore[arg-type]


def scaler(threads: int = 2, highest: int = 8) -> Autoscaler:
    return Autoscaler(1, highest, threads, max_keys=1_000, calm_secs=0.002)


def steps(chooser: Autoscaler, readings: list[Reading]) -> list[int | None]:
    return [step.threads if (step := chooser.decide(each)) else None for each in readings]


def test_threads_are_added_while_that_is_faster_and_the_last_is_taken_back() -> None:
    readings = [reading(at, rate) for at, rate in ((5, 100), (10, 100), (15, 150), (20, 200))]
    assert steps(scaler(), [*readings, reading(25, 205)]) == [None, 3, 4, 5, 4]


def test_what_brought_nothing_is_tried_again_after_ever_longer_pauses() -> None:
    chooser, tried = scaler(), []
    for at in range(5, 1_000, 5):
        step = chooser.decide(reading(at, 100))
        if step is not None and step.threads == 3:
            tried.append(at)
    assert tried == [10, 75, 200, 445, 930]


def test_more_is_never_tried_above_the_bound() -> None:
    assert steps(scaler(threads=8), [reading(5, 100), reading(70, 100)]) == [None, None]


def test_fewer_copy_while_the_application_suffers_and_that_helps() -> None:
    slow, better = {"statement_secs": 0.080}, {"statement_secs": 0.030}
    calm = {"statement_secs": 0.003}
    readings = [
        reading(5, 100, **slow),
        reading(10, 80, **better),
        reading(15, 60, **calm),
        reading(20, 60, **calm),
        reading(25, 90, **calm),
    ]
    # From 3: two help, the last is left, and when it stays calm more are tried.
    assert steps(scaler(threads=3), readings) == [2, 1, None, 2, 3]


def test_fewer_that_do_not_help_are_taken_back_and_more_are_not_tried() -> None:
    slow = {"statement_secs": 0.080}
    readings = [reading(at, 100, **slow) for at in (5, 10, 15, 20)]
    assert steps(scaler(), readings) == [1, 2, None, None]


def test_a_step_that_the_application_feels_is_taken_back_although_it_is_faster() -> None:
    calm = [reading(0, 100), reading(5, 100)]
    assert steps(scaler(), [*calm, reading(10, 200, statement_secs=0.050)]) == [None, 3, 2]
    assert steps(scaler(), [*calm, reading(10, 200, others_running=9.0)]) == [None, 3, 2]


def test_more_are_not_tried_for_one_calm_interval_among_others() -> None:
    readings = [
        reading(at, 100, statement_secs=0.002 if at % 10 == 0 else 0.006) for at in range(0, 100, 5)
    ]
    assert steps(scaler(), readings) == [None] * len(readings)


def test_more_are_not_tried_where_others_queue_already() -> None:
    queued = {"waited_share": 0.05}
    for silent in (queued, {**queued, "statement_secs": None}):
        readings = [reading(at, 100, **silent) for at in (5, 70, 140)]
        assert steps(scaler(), readings) == [None, None, None]
    calm = [reading(0, 100), reading(5, 100)]
    assert steps(scaler(), [*calm, reading(10, 200, **queued)]) == [None, 3, 2]


def test_a_server_that_is_neither_calm_nor_slow_is_left_alone() -> None:
    """Three times as long as usual: no reason to yield, and none to ask for more."""
    readings = [reading(at, 100, statement_secs=0.006) for at in (5, 70, 140)]
    assert steps(scaler(), readings) == [None, None, None]
    readings = [reading(0, 100), reading(5, 100), reading(10, 200, statement_secs=0.006)]
    assert steps(scaler(), readings) == [None, 3, 2]


def test_fewer_copy_while_changed_keys_pile_up() -> None:
    many = {"deltas_waiting": 300}
    readings = [reading(5, 100, **many), reading(10, 50, **many), reading(15, 50)]
    assert steps(scaler(threads=3), readings) == [2, 1, 2]


def test_a_trial_that_was_interrupted_is_not_judged() -> None:
    chooser = scaler()
    assert steps(chooser, [reading(0, 100), reading(5, 100)]) == [None, 3]
    chooser.forget()
    assert steps(chooser, [reading(10, 100), reading(15, 100)]) == [None, 4]


@pytest.mark.parametrize("volume", range(1, 12))
def test_the_bounds_of_a_volume_hold_its_own_number(volume: int) -> None:
    setting = volume_setting(volume, server_cores=64)
    assert 1 <= setting.threads <= setting.max_threads
    if volume > 1:
        assert setting.max_threads >= volume_setting(volume - 1).max_threads
    assert Options(volume=volume, autoscale=False).setting().max_threads == min(
        setting.threads, Options(volume=volume).setting().threads
    )
    assert Options(volume=volume, threads=5).setting().max_threads == 5


@pytest.fixture
def quick_decisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "MIN_INTERVAL_SECS", 0.3)
    monkeypatch.setattr(pulse, "SAMPLE_EVERY_SECS", 0.05)


def changes_in(events: list[Event]) -> list[tuple[int, int]]:
    return [(e.data["before"], e.data["threads"]) for e in events if e.kind == "threads_changed"]


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("quick_decisions")
def test_threads_come_and_go_under_load_and_no_row_differs(schema: Schema) -> None:
    create_shop(schema.dsn, orders=500_000)
    options = Options(
        volume=5, repair_differences=False, skip_drop=True, target_chunk_time_secs=0.05
    )
    with LiveWriter(schema.dsn, rate=200, seed=11) as writer:
        with RunInThread(schema, CHANGE, options) as run:
            outcome = run.outcome(800)
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
        after_swap = writer.changes
        wait_until(lambda: writer.changes > after_swap + 200, "writes after the swap")
    made = changes_in(run.recorder.events)
    assert made, "nothing was tried"
    # What the events tell is what copied.
    assert {after for _, after in made} & {r.threads for r in run.recorder.readings}
    assert all(1 <= after <= 12 and after != before for before, after in made)
    assert writer.report().surprises == []
    result = compare(schema.dsn, writer.table, writer.ledger, baseline="_orders_old")
    assert result.differences == []


@pytest.mark.usefixtures("quick_decisions")
@pytest.mark.parametrize("queues", [0, 20, 10_000], ids=["none", "for_a_while", "always"])
def test_what_the_copy_waited_for_others_decides_whether_more_are_tried(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, queues: int
) -> None:
    left = iter(range(queues))

    def let_pass(_others: Others, _session: Session, _secs: float, abort: Abort) -> float:
        if next(left, None) is None:
            return 0.0
        abort.wait(0.02)
        return 0.02

    monkeypatch.setattr(Others, "let_pass", let_pass)
    # So that the copy takes longer than a decision on any machine.
    monkeypatch.setattr(chunker, "MAX_CHUNK_ROWS", 500)
    make_numbers(schema, "t", 300_000)
    outcome, recorder = migrate(schema, WIDEN)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    more = [after for before, after in changes_in(recorder.events) if after > before]
    assert bool(more) is (queues < 10_000), more


class SlowApplication:
    """Updates of another table that take 50 ms each, from twelve connections."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(n,)) for n in range(12)]
        self._writing: set[int] = set()

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self._writing) == len(self._threads), "writes of each connection")

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _write(self, row: int) -> None:
        with open_connection(self._schema) as connection:
            while not self._end.is_set():
                connection.query(f"UPDATE slow SET v = v + 1 + SLEEP(0.05) WHERE id = {row + 1}")
                connection.commit()
                self._writing.add(row)


@pytest.mark.usefixtures("quick_decisions")
def test_a_slow_application_gets_room_and_a_step_that_did_not_help_is_taken_back(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that the copy takes longer than two decisions on any machine.
    monkeypatch.setattr(chunker, "MAX_CHUNK_ROWS", 300)
    make_numbers(schema, "t", 900_000)
    make_numbers(schema, "slow", 20)
    # As if statements had been quick before, and none were ten times as quick afterwards by chance.
    make_scaler = Pulse._make_scaler
    monkeypatch.setattr(Pulse, "_make_scaler", lambda self, _calm_secs: make_scaler(self, 0.002))
    monkeypatch.setattr(autoscaler, "_WORTH_YIELDING", 0.1)
    # Long enough for the statements that a decision needs.
    monkeypatch.setattr(pulse, "MIN_INTERVAL_SECS", 1.0)
    # One above the default: it begins with its two threads.
    options = Options(volume=4, target_chunk_time_secs=0.05)
    with SlowApplication(schema), RunInThread(schema, WIDEN, options) as run:
        run.wait_for_event("threads_changed")
        wait_until(lambda: len(changes_in(run.recorder.events)) >= 2, "the step was taken back")
    first, second = [e for e in run.recorder.events if e.kind == "threads_changed"][:2]
    assert (first.data["before"], first.data["threads"]) == (2, 1)
    assert "application's writes take" in first.message
    assert (second.data["before"], second.data["threads"]) == (1, 2)
    assert "did not help" in second.message


def test_beside_others_the_default_begins_with_one_thread_and_says_so(schema: Schema) -> None:
    make_numbers(schema, "t", 20_000)
    make_numbers(schema, "slow", 20)
    with SlowApplication(schema):
        # Twelve connections, twenty updates a second each: seen before the copy begins.
        outcome, recorder = migrate(schema, WIDEN)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    begun = recorder.event("threads_changed")
    assert (begun.data["before"], begun.data["threads"]) == (2, 1)
    assert "others write to the server" in begun.message
    # The setting came with MySQL 8.0.22.
    log_writers = dict(schema.execute("SHOW GLOBAL VARIABLES LIKE 'innodb_log_writer_threads'"))
    said = "server_setting" in recorder.kinds()
    assert said is (log_writers.get("innodb_log_writer_threads") == "OFF")
    make_numbers(schema, "alone", 20_000)
    outcome, recorder = migrate(schema, WIDEN.replace(" t ", " alone "))
    assert not {"threads_changed", "server_setting"} & set(recorder.kinds())


def test_beside_others_an_index_is_built_on_fewer_threads(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    restore = shadow.restore_indexes

    def watched(*arguments: Any, gently: bool) -> list[str]:
        asked.append(gently)
        return restore(*arguments, gently=gently)

    monkeypatch.setattr(shadow, "restore_indexes", watched)
    make_numbers(schema, "t", 5_000, "v INT NOT NULL, KEY (v)")
    make_numbers(schema, "slow", 20)
    options = Options(defer_indexes=DeferIndexes.ON)
    with SlowApplication(schema):
        assert migrate(schema, WIDEN, options)[0].kind is OutcomeKind.COMPLETED
    back = WIDEN.replace("BIGINT", "INT")
    assert migrate(schema, back, options)[0].kind is OutcomeKind.COMPLETED
    assert asked == [True, False]
    assert schema.execute("SHOW INDEX FROM t WHERE Key_name = 'v'")


@pytest.fixture
def blind_user(schema: Schema) -> Iterator[str]:
    name = f"blind_{schema.name}"
    schema.execute(f"CREATE USER {name} IDENTIFIED BY 'pw'")
    schema.execute(f"GRANT ALL ON {schema.name}.* TO {name}")
    schema.execute(
        "GRANT REPLICATION SLAVE, REPLICATION CLIENT, CONNECTION_ADMIN, XA_RECOVER_ADMIN, PROCESS "
        f"ON *.* TO {name}"
    )
    yield name
    schema.execute(f"DROP USER {name}")


@pytest.mark.usefixtures("quick_decisions")
def test_without_a_sight_of_the_server_the_number_stays_and_that_is_said(
    schema: Schema, blind_user: str
) -> None:
    make_numbers(schema, "t", 400_000)
    blind = dataclasses.replace(schema.dsn, user=blind_user, password="pw")
    recorder = Recorder()
    options = Options(target_chunk_time_secs=0.05)
    outcome = Migration(blind, WIDEN, options, recorder).run()
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert "stays at 2" in recorder.event("threads_fixed").message
    assert changes_in(recorder.events) == []


@pytest.mark.usefixtures("quick_decisions")
def test_switched_off_the_number_stays(schema: Schema) -> None:
    make_numbers(schema, "t", 400_000)
    options = Options(target_chunk_time_secs=0.05, autoscale=False)
    outcome, recorder = migrate(schema, WIDEN, options)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    assert {r.threads for r in recorder.readings if r.threads} == {2}
    assert not {"threads_changed", "threads_fixed"} & set(recorder.kinds())
