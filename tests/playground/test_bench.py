"""The bench, small: its figures are there, and a run that is not right is found."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from playground.bench import figures, load, phases
from playground.bench.__main__ import counts_as_wrong, server_options
from playground.bench.cases import CASES, Case
from playground.bench.ground import Ground
from playground.bench.runs import Choices, Run, measure
from playground.bench.timed import TimedProcess
from playground.bench.tools import Done, GhOst, Job, Native, find_tools, run_sql
from playground.connections import connected, query
from playground.server import CHECKOUT, PrivateServer

ROWS = 500
IDLE = CASES["a"].scaled(ROWS)


@pytest.fixture
def ground(mysql: PrivateServer) -> Iterator[Ground]:
    mysql.start()
    with Ground(mysql) as ground:
        yield ground


def choices(folder: pathlib.Path, spoil: str = "") -> Choices:
    """spoil: a statement that is run between the change and the verification."""

    def hook(dsn: str) -> None:
        with connected(dsn) as connection:
            query(connection, spoil)

    return Choices(3, 60.0, folder, before_verification=hook if spoil else None)


def native(ground: Ground, folder: pathlib.Path, spoil: str = "", case: Case = IDLE) -> Run:
    return measure(ground, case, Native(), ROWS, 1, choices(folder, spoil))


@pytest.mark.timeout(900)
def test_a_small_bench_measures_and_verifies(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "playground.bench", "--case", "a,f,h,j", "--rows", "2000",
         "--rounds", "1", "--tools", "native,ours", "--json", file,
         "--set", "sync-binlog=0"],
        cwd=CHECKOUT, capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Every table was right." in done.stdout
    document = json.loads(file.read_text())
    assert document["machine"]["mysql"]["sync_binlog"] == "0"
    assert document["command"][0] == "script/bench"
    cases = {case["case"]: case for case in document["cases"]}
    assert list(cases) == ["a", "f", "h", "j"]
    assert all(run["verified"] and not run["problems"]
               for case in cases.values() for run in case["runs"])  # fmt: skip
    assert [(run["tool"], run["rows"]) for run in cases["a"]["runs"]] == [
        ("native", 2000),
        ("ours", 2000),
    ]
    ours = cases["a"]["runs"][1]
    assert {"copy_rows", "checksum", "cut_over"} <= set(ours["phase_secs"])
    assert sum(ours["phase_secs"].values()) == pytest.approx(ours["wall_secs"], abs=0.1)
    assert ours["client_cpu_secs"] > 0
    assert ours["peak_rss_bytes"] > 2**20
    caught_up = cases["f"]["runs"][0]["extra"]
    assert caught_up["changes_per_sec"] > 0
    assert caught_up["changes_applied"] >= caught_up["changes"] == 500
    assert cases["h"]["runs"][1]["rows"] == 1000
    summary = {one["tool"]: one for one in cases["a"]["summary"]}
    assert summary["native"]["figures"]["to_baseline"]["median"] == 1.0


def test_equal_seeds_make_equal_tables(ground: Ground) -> None:
    first = {case.letter: ground.fingerprint(case.shape, ROWS) for case in CASES.values()}
    for case in CASES.values():
        ground.drop_base(case.shape, ROWS)
    assert {case.letter: ground.fingerprint(case.shape, ROWS) for case in CASES.values()} == first
    for case in CASES.values():
        ground.drop_base(case.shape, ROWS)
    ground.seed = 2
    assert ground.fingerprint(IDLE.shape, ROWS) != first["a"]


def test_a_run_begins_with_a_copy_of_the_base_table(ground: Ground, tmp_path: pathlib.Path) -> None:
    for _ in range(2):
        run = native(ground, tmp_path)
        assert run.is_right
        assert not counts_as_wrong(run)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("UPDATE t SET pad = 'other' WHERE id = 7", "not the same content"),
        ("UPDATE t a JOIN t b ON b.id = 9 SET a.pad = b.pad WHERE a.id = 7", "not the same"),
        ("DELETE FROM t WHERE id = 7", "has 499 rows, not 500"),
        ("ALTER TABLE t MODIFY k INT NOT NULL DEFAULT 0", "missing in t: `k` bigint"),
        ("ALTER TABLE t DROP KEY k_1", "missing in t: KEY `k_1`"),
    ],
)
def test_a_table_that_is_not_right_is_found(
    ground: Ground, tmp_path: pathlib.Path, spoil: str, said: str
) -> None:
    run = native(ground, tmp_path, spoil)
    assert any(said in problem for problem in run.problems), run.problems
    assert counts_as_wrong(run)
    assert not run.is_right


def test_a_row_that_is_lost_under_load_is_found(
    ground: Ground, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "BEFORE_SECS", 0.5)
    assert CASES["b"].load is not None
    slow = dataclasses.replace(CASES["b"].load, rate=200, connections=4)
    case = dataclasses.replace(CASES["b"].scaled(ROWS), load=slow)
    right = native(ground, tmp_path, case=case)
    assert right.is_right, right
    assert right.felt is not None
    assert right.felt.before.count > 10
    if right.phase_secs:
        assert 0 < right.felt.by_phase["copy_rows"].count <= right.felt.during.count
    wrong = native(ground, tmp_path, "DELETE FROM t LIMIT 1", case)
    assert any("is missing" in problem for problem in wrong.problems)


def test_a_program_that_changes_nothing_is_found(ground: Ground, tmp_path: pathlib.Path) -> None:
    run = measure(ground, IDLE, GhOst("true"), ROWS, 1, choices(tmp_path))
    assert any("bigint" in problem for problem in run.problems)
    assert counts_as_wrong(run)


def test_a_peer_that_fails_is_told_and_is_not_our_failure(
    ground: Ground, tmp_path: pathlib.Path
) -> None:
    run = measure(ground, IDLE, GhOst("false"), ROWS, 1, choices(tmp_path))
    assert "exit code 1" in run.failure
    assert not run.is_right
    assert not counts_as_wrong(run)
    assert counts_as_wrong(dataclasses.replace(run, tool="native"))


class Breaker:
    """A peer that takes the table away for good."""

    name = "breaker"

    def make(self, job: Job) -> Done:
        return run_sql(job.dsn, "DROP TABLE t", 30)


def test_an_application_that_had_to_give_up_is_told(
    ground: Ground, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "BEFORE_SECS", 0.5)
    run = measure(ground, CASES["b"].scaled(ROWS), Breaker(), ROWS, 1, choices(tmp_path))
    assert "the application had to give up" in run.failure
    assert not run.is_right


def test_a_peer_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GHOST", "no-such-program")
    monkeypatch.setenv("SPIRIT", sys.executable)
    tools, missing = find_tools()
    assert "spirit" in [tool.name for tool in tools]
    assert "gh-ost" not in [tool.name for tool in tools]
    assert any("named by GHOST" in text for text in missing)


def test_a_program_is_measured_without_its_parent() -> None:
    ballast = bytearray(120 * 2**20)
    with TimedProcess([sys.executable, "-c", "import time; time.sleep(0.2); print('done')"]) as one:
        usage = one.wait(30)
        one.drain()
        assert one.lines == ["done"]
    assert len(ballast) == 120 * 2**20
    assert usage is not None
    assert 0.2 <= usage.wall_secs < 20
    assert usage.peak_rss_bytes is not None
    assert usage.peak_rss_bytes < 100 * 2**20
    assert usage.code == 0


def test_what_takes_too_long_is_given_up_and_ended(ground: Ground) -> None:
    began = time.monotonic()
    with TimedProcess(["sleep", "60"]) as process:
        assert process.wait(0.2) is None
    assert not process.lives
    assert "given up" in run_sql(ground.dsn, "SELECT SLEEP(3)", 0.3).failure
    assert time.monotonic() - began < 20


def test_phases_are_read_from_what_a_run_says() -> None:
    swapped = (
        '{"type": "event", "at": "2026-01-01T00:00:05Z", "kind": "cutover_done", "data":'
        ' {"stall_secs": 0.5, "attempts": 2}}'
    )
    lines = [
        '{"type": "phase", "at": "2026-01-01T00:00:01+00:00", "phase": "setup"}',
        '{"type": "phase", "at": "2026-01-01T00:00:02+00:00", "phase": "copy_rows"}',
        swapped,
        '{"type": "phase", "at": "2026-01-01T00:00:06+00:00", "phase": "completed"}',
        '{"type": "outcome", "at": "2026-01-01T00:00:06+00:00", "method": "copy"}',
        '{"type": "pro',
    ]
    told = phases.read(lines)
    start = told.phases[0][1] - 1
    assert told.phase_secs(start, start + 6) == {
        phases.STARTING: 1,
        "setup": 1,
        "copy_rows": 4,
        phases.ENDING: 0,
    }
    assert (told.stall_secs, told.attempts, told.method) == (0.5, 2, "copy")
    assert phases.position_of("b.000009:12") < phases.position_of("b.000010:3")
    assert phases.position_of("") < phases.position_of("b.000001:4")


def test_ratios_are_of_the_same_round() -> None:
    first = [Run("native", 1, 1, wall_secs=1.0), Run("native", 1, 2, wall_secs=10.0)]
    ours = [Run("ours", 1, 2, wall_secs=20.0), Run("ours", 1, 1, wall_secs=2.0)]
    ratio = figures.ratios(ours, first)
    assert ratio is not None
    assert (ratio.median, ratio.least, ratio.most) == (2.0, 2.0, 2.0)
    assert figures.ratios(ours, []) is None


def test_sizes_keep_their_ratio() -> None:
    assert CASES["i"].scaled(5000).rows == (500, 5000)
    assert CASES["f"].scaled(2000).changes == 500
    assert CASES["h"].scaled(2000).rows == (1000,)
    pool = str(server_options([IDLE])["innodb-buffer-pool-size"])
    assert pool == "256M"


def test_a_busy_machine_is_warned_of() -> None:
    warning = figures.how_busy({"load_average": 6.0, "cores": 2})
    assert "busy: 6.0 processes at work in the last minute, on 2 cores" in warning
    assert figures.how_busy({"load_average": 1.0, "cores": 2}) == ""
