"""What a round chooses, from its seed alone, before anything is started."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from playground.torture.alters import random_statement
from playground.torture.faults import Fault, random_faults
from playground.torture.tables import Shape, random_shape

CONDITIONS = {
    "": 60,
    "binlog_transaction_compression=ON": 20,
    "binlog_row_image=NOBLOB": 10,
    "binlog_row_image=MINIMAL": 10,
}


@dataclasses.dataclass(frozen=True)
class Plan:
    """One round. gtid: on which server; live: the writer goes on through the swap; condition: a
    global setting of the server; rate, threads: of the writer; options: of each attempt in turn,
    the last ones for all that follow."""

    seed: int
    gtid: bool
    live: bool
    shape: Shape
    statement: str
    condition: str
    rate: int
    threads: int
    options: tuple[dict[str, Any], ...]
    faults: tuple[Fault, ...]

    def lines(self) -> list[str]:
        """The choices, for people; equal for equal seeds."""
        shape = self.shape
        return [
            f"seed {self.seed}, {'with' if self.gtid else 'without'} GTIDs,"
            f" {'writes through the swap' if self.live else 'swap deferred'},"
            f" {shape.rows} rows, {self.rate} writes/s on {self.threads} connections"
            + (f", {self.condition}" if self.condition else ""),
            shape.create_sql(),
            self.statement,
            *(f"options of attempt {n}: {options}" for n, options in enumerate(self.options, 1)),
            *(f"fault: {fault}" for fault in self.faults),
        ]


def choose(seed: int) -> Plan:
    """The round of a seed."""
    source = random.Random(f"torture/{seed}")
    live = source.random() < 0.5
    shape = random_shape(source, f"torture/{seed}")
    condition = source.choices(list(CONDITIONS), list(CONDITIONS.values()))[0]
    if "row_image" in condition and not shape.primary:
        # Without a primary key a small row image may not hold the key that is used.
        condition = ""
    faults = tuple(random_faults(source))
    return Plan(
        seed=seed,
        gtid=source.random() < 0.5,
        live=live,
        shape=shape,
        statement=random_statement(source, shape, live=live),
        condition=condition,
        rate=round(100 * 8 ** source.random()),
        threads=source.choice((1, 4, 8)),
        options=_options(source, len(faults) + 1, live=live),
        faults=faults,
    )


def _options(source: random.Random, count: int, *, live: bool) -> tuple[dict[str, Any], ...]:
    deferred = source.choice(("on", "off", "auto"))
    return tuple(
        {
            "volume": source.randint(1, 11),
            "target_chunk_time_secs": source.choice((None, 0.02, 0.1)),
            "lock_wait_timeout_secs": source.randint(3, 6),
            "checkpoint_interval_secs": float(source.randint(1, 5)),
            "defer_indexes": deferred,
            "strict": source.random() < 0.15,
            "defer_cutover": not live,
        }
        for _ in range(count)
    )
