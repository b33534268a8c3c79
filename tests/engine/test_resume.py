"""Going on: from every phase, from what can and what cannot be used; and what any end leaves."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from migrations_app.engine import DeferIndexes, Dsn, Migration, Options, OutcomeKind, Phase, shadow
from migrations_app.engine.checksum import Checksum
from migrations_app.engine.errors import TransientError
from migrations_app.engine.phases import Phases
from tests.conftest import Schema
from tests.engine.stepping import ChunkGate
from tests.engine.support import Recorder, RunInThread, make_numbers, migrate, tables_of, wait_until

ROWS = 6_000
STATEMENT = "ALTER TABLE t MODIFY v BIGINT NOT NULL"
OPTIONS = Options(
    repair_differences=False, threads=1, skip_drop=True, defer_indexes=DeferIndexes.ON
)


def table(schema: Schema) -> None:
    make_numbers(schema, "t", ROWS, "v INT NOT NULL, KEY v (v)")


def hold(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> threading.Event:
    """Have a step of the engine wait, before it begins, until the run is stopped."""
    reached = threading.Event()

    def wait(*arguments: Any, **_: Any) -> Any:
        reached.set()
        abort = next(
            found
            for part in arguments
            if (found := getattr(getattr(part, "_work", None), "abort", None)) is not None
        )
        while True:
            abort.wait(0.05)

    monkeypatch.setattr(owner, name, wait)
    return reached


def stop_in(schema: Schema, monkeypatch: pytest.MonkeyPatch, phase: Phase) -> Recorder:
    """Run until a phase is under way and stop it there; returns what the run told."""
    options = OPTIONS
    gate = ChunkGate(monkeypatch, chunks=2 if phase is Phase.COPY_ROWS else 1_000)
    if phase is Phase.CHECKSUM:
        hold(monkeypatch, Checksum, "_verify")
    elif phase is Phase.RESTORE_INDEXES:
        restore = shadow.restore_indexes

        def slow(session: Any, *arguments: Any, gently: bool) -> Any:
            session.query("SELECT SLEEP(60)")
            return restore(session, *arguments, gently=gently)

        monkeypatch.setattr(shadow, "restore_indexes", slow)
    elif phase is Phase.WAITING_FOR_CUTOVER:
        options = Options(
            repair_differences=False, threads=1, skip_drop=True, defer_cutover=True,
            defer_indexes=DeferIndexes.ON,
        )  # fmt: skip
    with RunInThread(schema, STATEMENT, options) as run:
        run.wait_for_phase(phase)
        if phase is Phase.COPY_ROWS:
            assert gate.held.wait(20)
        run.stop.set()
        assert run.outcome().kind is OutcomeKind.STOPPED
    monkeypatch.undo()
    return run.recorder


def end_well(schema: Schema, options: Options = OPTIONS) -> Recorder:
    """The next run goes on, and every row is right."""
    outcome, recorder = migrate(schema, STATEMENT, options)
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    old, new = (schema.execute(f"SELECT * FROM {name} ORDER BY id") for name in ("_t_old", "t"))
    assert new == old
    assert schema.execute("SHOW INDEX FROM t WHERE Key_name = 'v'")
    return recorder


@pytest.mark.parametrize(
    "phase",
    [Phase.COPY_ROWS, Phase.RESTORE_INDEXES, Phase.CHECKSUM, Phase.WAITING_FOR_CUTOVER],
)
def test_a_run_goes_on_from_every_phase(
    any_scheme: Schema, monkeypatch: pytest.MonkeyPatch, phase: Phase
) -> None:
    schema = any_scheme
    table(schema)
    saved = stop_in(schema, monkeypatch, phase).checkpoints[-1]
    assert saved.phase == phase
    schema.execute("UPDATE t SET v = -v WHERE id % 3 = 0")
    schema.execute("UPDATE t SET id = id + 100000 WHERE id % 100 = 1")
    schema.execute("DELETE FROM t WHERE id % 100 = 2")
    recorder = end_well(schema)
    resumed = recorder.event("resumed").data
    assert (resumed["checkpoint_id"], resumed["rows_copied"]) == (saved.id, saved.rows_copied)
    copied = recorder.readings[-1].rows_copied - saved.rows_copied
    # What lay above the watermark; with the whole table copied, nothing but rows added at its end.
    assert copied <= (ROWS - saved.rows_copied) + ROWS // 50


def alter(sql: str) -> Callable[[Schema], object]:
    return lambda schema: schema.execute(sql)


# what is done to what was saved; words of the reason
DEFINITIVE = {
    "no checkpoint": (alter("DELETE FROM _t_chkpnt"), "there is no checkpoint"),
    "another shape": (alter("ALTER TABLE _t_chkpnt DROP COLUMN phase"), "cannot be read"),
    "too old": (alter("UPDATE _t_chkpnt SET created_at = NOW() - INTERVAL 9 DAY"), "hours old"),
    "watermark": (alter("UPDATE _t_chkpnt SET copier_watermark = '{\"Key\": 1}'"), "does not fit"),
    "version": (alter("UPDATE _t_chkpnt SET engine_version = '0'"), "engine version 0"),
    "another table": (alter("UPDATE _t_chkpnt SET table_name = 'u'"), "of the table u"),
    "no shadow table": (alter("DROP TABLE _t_new"), "_t_new is gone"),
    "purged": (
        alter("UPDATE _t_chkpnt SET binlog_name = 'gone.000001', gtid_set = NULL"), "gone.000001",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFINITIVE)
def test_proof_leads_to_one_fresh_start_or_in_strict_mode_to_none(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    table(schema)
    stop_in(schema, monkeypatch, Phase.COPY_ROWS)
    spoil, words = DEFINITIVE[name]
    spoil(schema)
    before = tables_of(schema)
    strict = Options(threads=1, strict=True)
    outcome, recorder = migrate(schema, STATEMENT, strict)
    assert (outcome.kind, outcome.exit_code) == (OutcomeKind.STRICT, 4), outcome.message
    assert words in recorder.event("resume_failed").message
    assert tables_of(schema) == before
    recorder = end_well(schema)
    fresh = [event for event in recorder.events if event.kind == "fresh_start"]
    assert len(fresh) == 1
    assert words in fresh[0].message
    assert "rows_lost" in fresh[0].data


def test_a_run_that_ended_before_its_first_checkpoint_is_begun_again_in_strict_mode_too(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(schema)

    def stalled(*_: Any) -> None:
        raise TransientError("the commit did not come back")

    monkeypatch.setattr(Phases, "save_checkpoint", stalled)
    stop_in(schema, monkeypatch, Phase.COPY_ROWS)
    assert schema.execute("SELECT COUNT(*) > 0 FROM _t_new") == [(1,)]
    outcome, recorder = migrate(schema, STATEMENT, Options(threads=1, strict=True))
    assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
    fresh = recorder.event("fresh_start")
    assert "before its first checkpoint" in fresh.message
    assert fresh.data["rows_lost"] == 0


@contextlib.contextmanager
def locked(schema: Schema) -> Iterator[Dsn]:
    """Another session holds the checkpoint table."""
    connection = schema.server._connect(schema.name)
    try:
        connection.query("LOCK TABLES _t_chkpnt WRITE")
        yield schema.dsn
    finally:
        connection.close()


@contextlib.contextmanager
def full(schema: Schema) -> Iterator[Dsn]:
    """The server takes no more connections of the account."""
    schema.execute("CREATE USER crowded IDENTIFIED BY 'pw'")
    schema.execute("GRANT ALL ON *.* TO crowded")
    schema.execute("ALTER USER crowded WITH MAX_USER_CONNECTIONS 1")
    try:
        yield Dsn.parse(f"mysql://crowded:pw@127.0.0.1:{schema.server.port}/{schema.name}")
    finally:
        schema.execute("DROP USER crowded")


@pytest.mark.parametrize("trouble", [locked, full])
def test_doubt_keeps_everything_and_the_next_run_resumes(
    schema: Schema, monkeypatch: pytest.MonkeyPatch, trouble: Any
) -> None:
    table(schema)
    saved = stop_in(schema, monkeypatch, Phase.COPY_ROWS).checkpoints[-1]
    before = tables_of(schema)
    with trouble(schema) as dsn:
        outcome = Migration(dsn, STATEMENT, OPTIONS, Recorder()).run()
    assert (outcome.kind, outcome.exit_code) == (OutcomeKind.TRANSIENT, 5), outcome.message
    assert tables_of(schema) == before
    assert end_well(schema).event("resumed").data["checkpoint_id"] == saved.id


def test_names_of_64_characters_are_resumed(
    schema: Schema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two tables whose names differ at the end only: each resumes its own."""
    names = ["x" * 63 + end for end in "ab"]
    for number, name in enumerate(names):
        make_numbers(schema, name, 4_000 + number)
        gate = ChunkGate(monkeypatch, chunks=2)
        with RunInThread(schema, f"ALTER TABLE {name} MODIFY v BIGINT", Options(threads=1)) as run:
            run.wait_for_phase(Phase.COPY_ROWS)
            assert gate.held.wait(20)
            run.stop.set()
            assert run.outcome().kind is OutcomeKind.STOPPED
        monkeypatch.undo()
    for number, name in enumerate(names):
        outcome, recorder = migrate(schema, f"ALTER TABLE {name} MODIFY v BIGINT", Options())
        assert outcome.kind is OutcomeKind.COMPLETED, outcome.message
        assert "resumed" in recorder.kinds()
        assert schema.execute(f"SELECT COUNT(*) FROM {name}") == [(4_000 + number,)]
    assert tables_of(schema) == set(names)


def forbidden(schema: Schema) -> None:
    recorder = Recorder()
    recorder.cut_over_allowed = False
    Migration(schema.dsn, STATEMENT, Options(), recorder).run()


def with_a_broken_observer(schema: Schema) -> None:
    class Broken(Recorder):
        def phase_changed(self, phase: Phase) -> None:
            if phase is Phase.CHECKSUM:
                raise KeyError("observer")

    with pytest.raises(KeyError):
        Migration(schema.dsn, STATEMENT, Options(), Broken()).run()


# how a run ends; the tables it may leave besides t
ENDS: dict[str, tuple[Callable[[Schema], object], set[str]]] = {
    "completed": (lambda schema: migrate(schema, STATEMENT), set()),
    "kept": (lambda schema: migrate(schema, STATEMENT, Options(skip_drop=True)), {"_t_old"}),
    "refused": (lambda schema: migrate(schema, "ALTER TABLE t DROP COLUMN nothing, FORCE"), set()),
    "does not fit": (
        lambda schema: migrate(schema, "ALTER TABLE t MODIFY v TINYINT NOT NULL"),
        {"_t_new", "_t_chkpnt"},
    ),
    "forbidden": (forbidden, {"_t_new", "_t_chkpnt"}),
    "observer": (with_a_broken_observer, {"_t_new", "_t_chkpnt"}),
    "instant": (lambda schema: migrate(schema, "ALTER TABLE t ADD COLUMN x INT"), set()),
}


@pytest.mark.parametrize("end", ENDS)
def test_an_end_leaves_nothing_but_what_it_keeps(schema: Schema, end: str) -> None:
    table(schema)
    run, kept = ENDS[end]
    run(schema)
    assert not [thread.name for thread in threading.enumerate() if "spirit" in thread.name]
    assert tables_of(schema) - {"t"} == kept
    for what, query in {
        "session": "SELECT 1 FROM performance_schema.user_variables_by_thread "
        "WHERE VARIABLE_NAME = 'spirit_run'",
        "lock": "SELECT 1 FROM performance_schema.metadata_locks "
        "WHERE OBJECT_TYPE = 'USER LEVEL LOCK' AND OBJECT_NAME LIKE 'spirit:%'",
        "stream": "SELECT 1 FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'",
    }.items():
        wait_until(lambda q=query: not schema.execute(q), f"no {what} of the run")  # type: ignore[misc]
