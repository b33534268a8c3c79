"""The online schema change itself: copies live tables into a new shape and swaps them in.

The contract: ``Migration(dsn, statement, options, observer).run(stop)`` makes the change, verified,
or refuses before anything is touched, or stops or fails with all progress kept in a checkpoint
table beside the migrated one. Nothing it starts survives it. It knows a MySQL server, a
statement, options and an observer; it knows no web framework and nothing of the application.

A reader's map, in the order of a run:

- ``migration`` (caller's thread), ``reconnect``, ``phases`` (the thread that makes the change);
- ``statement``, ``preflight``, ``server``, ``table``, ``mapping``, ``keys``, ``tablekey``: what is
  asked for and what is there;
- ``begin``, ``resume``, ``checkpoint``, ``direct``, ``shadow``: how a run begins;
- ``copyrun``: the phases of a copying run; ``tablerun``: one table's part in them, built of
  ``chunker``, ``copier``, ``shadowwriter``, ``applier``, ``throttle``;
- ``binlog``, ``feed``, ``deltas``, ``visibility``: changes that arrive meanwhile, and the rules
  that keep them;
- ``checksum``, ``rowcompare``, ``casting``: the proof;
- ``cutover``, ``blockers``, ``sentinel``, ``fence``, ``tidy``: the swap, and who may make it.

Before a run: ``lint`` (rules about a statement), ``plan`` (what a run would do) and ``saved`` (what
an earlier one left) only look; ``scratch`` has the server try a statement out on an empty copy,
``inspection`` opens their sessions.
"""

from migrations_app.engine.cleanup import clean_up
from migrations_app.engine.dsn import Dsn, TlsMode
from migrations_app.engine.errors import EngineError, RefusedError, TransientError
from migrations_app.engine.migration import Migration
from migrations_app.engine.observer import (
    EXIT_CODES,
    UNCOUNTED_PHASES,
    CheckpointRow,
    Event,
    Level,
    Method,
    Observer,
    Outcome,
    OutcomeKind,
    Phase,
    Progress,
    SilentObserver,
)
from migrations_app.engine.options import (
    DEFAULT_VOLUME,
    MAX_VOLUME,
    MIN_VOLUME,
    MOST_THREADS,
    DeferIndexes,
    Options,
    VolumeSetting,
    volume_setting,
)
from migrations_app.engine.preflight import TargetReport, inspect_table, inspect_target
from migrations_app.engine.reconnect import StopSignal
from migrations_app.engine.statement import Change, Statement, parse_change, parse_statement

__all__ = [
    "DEFAULT_VOLUME",
    "EXIT_CODES",
    "MAX_VOLUME",
    "MIN_VOLUME",
    "MOST_THREADS",
    "UNCOUNTED_PHASES",
    "Change",
    "CheckpointRow",
    "DeferIndexes",
    "Dsn",
    "EngineError",
    "Event",
    "Level",
    "Method",
    "Migration",
    "Observer",
    "Options",
    "Outcome",
    "OutcomeKind",
    "Phase",
    "Progress",
    "RefusedError",
    "SilentObserver",
    "Statement",
    "StopSignal",
    "TargetReport",
    "TlsMode",
    "TransientError",
    "VolumeSetting",
    "clean_up",
    "inspect_table",
    "inspect_target",
    "parse_change",
    "parse_statement",
    "volume_setting",
]
