"""The torture chooses by its seed alone, passes a good engine, and finds a spoiled row."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys

from playground.connections import connected, query
from playground.server import CHECKOUT, PrivateServer
from playground.torture import report
from playground.torture.faults import FaultKind
from playground.torture.plan import Plan, choose
from playground.torture.rounds import Result, run_round
from tests.conftest import Schema

SEEDS = range(1, 400)


def quiet_plan(live: bool) -> Plan:
    """A plan without faults: what is found then is not the server's trouble."""
    return next(
        plan for plan in map(choose, SEEDS) if not plan.faults and plan.gtid and plan.live is live
    )


def played(plan: Plan, server: PrivateServer, spoil: str) -> Result:
    """A round on whose table the statement is run before the comparison."""

    def hook(dsn: str) -> None:
        with connected(dsn) as connection:
            query(connection, spoil)

    return run_round(plan, server, before_comparison=hook)


def test_equal_seeds_choose_the_same() -> None:
    for seed in (1, 2, 3):
        once, again = choose(seed), choose(seed)
        assert once.lines() == again.lines()
        assert list(once.shape.made_rows()) == list(again.shape.made_rows())
    assert choose(1).lines() != choose(2).lines()


def test_every_kind_of_fault_is_chosen_sooner_or_later() -> None:
    chosen = {fault.kind for seed in SEEDS for fault in choose(seed).faults}
    assert chosen == set(FaultKind)


def test_the_statements_of_every_seed_can_be_read() -> None:
    plans = [choose(seed) for seed in SEEDS]
    assert {plan.live for plan in plans} == {True, False}
    assert len({plan.statement for plan in plans}) > len(plans) / 2


def test_a_short_run_finds_nothing_and_leaves_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "playground.torture", "--rounds", "2", "--seed", "1", "--json"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["rounds"] == 2
    assert summary["failed_seeds"] == []
    assert summary["rows"] > 2_000
    assert summary["writes"] > 0


def test_a_row_that_is_lost_while_the_writer_goes_on_is_found(schema: Schema) -> None:
    result = played(quiet_plan(live=True), schema.server, "DELETE FROM t LIMIT 1")
    assert "is missing" in result.failure
    told = report.failure(result)
    assert f"--seed {result.plan.seed} --rounds 1" in told
    assert result.plan.statement in told


def test_a_row_that_is_lost_in_a_deferred_swap_is_found(schema: Schema) -> None:
    result = played(quiet_plan(live=False), schema.server, "DELETE FROM t LIMIT 1")
    assert "row missing in the table" in result.failure


def test_a_table_that_is_left_behind_is_found(schema: Schema) -> None:
    result = played(quiet_plan(live=False), schema.server, "CREATE TABLE _t_new (id INT)")
    assert "left behind: table _t_new" in result.failure


def test_an_undisturbed_failure_of_the_engine_is_one_of_the_round(schema: Schema) -> None:
    plan = quiet_plan(live=True)
    bad = "ALTER TABLE t DROP COLUMN nowhere"
    result = run_round(dataclasses.replace(plan, statement=bad), schema.server)
    assert "exit code 2, undisturbed" in result.failure
    summary = report.Summary.of([result])
    assert summary.failed_seeds == [plan.seed]
    assert str(plan.seed) in summary.text()
