"""What a caller may choose about a run, and what a volume means."""

from __future__ import annotations

import dataclasses
import enum

MIN_VOLUME = 1
DEFAULT_VOLUME = 3
MAX_VOLUME = 11
# Twice what the loudest volume has at most; each is a thread here and a session on the server.
MOST_THREADS = 64


class DeferIndexes(enum.StrEnum):
    """Whether secondary indexes are built after the copy instead of during it."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeSetting:
    """What one step of the volume stands for. Every field grows with the volume.

    threads: copier threads to begin with; max_threads: how many the autoscaler may make of them
    (the least is one); target_chunk_time_secs: how long one chunk should take (less while others
    write, see others);
    lock_wait_timeout_secs: how long cut-over may wait for its metadata lock.
    """

    threads: int
    max_threads: int
    target_chunk_time_secs: float
    lock_wait_timeout_secs: int


def volume_setting(volume: int, server_cores: int = 8) -> VolumeSetting:
    """Translate a volume (1..11) into a setting.

    server_cores: cores of the database server, as far as known; only volume 11 uses it,
    within 8..32. Raises ValueError outside 1..11.
    """
    if not MIN_VOLUME <= volume <= MAX_VOLUME:
        raise ValueError(f"The volume must be between {MIN_VOLUME} and {MAX_VOLUME}, not {volume}.")
    threads = (1, 1, 2, 2, 3, 4, 5, 6, 7, 8, max(8, min(32, server_cores)))
    most = (1, 2, 8, 8, 12, 12, 16, 16, 24, 24, 32)
    chunk_time_secs = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0)
    lock_wait_secs = (10, 20, 30, 30, 35, 40, 45, 50, 50, 55, 60)
    step = volume - 1
    return VolumeSetting(threads[step], most[step], chunk_time_secs[step], lock_wait_secs[step])


@dataclasses.dataclass(frozen=True, slots=True)
class Options:
    """Choices for one run. ``None`` in an override means "as the volume says".

    strict: refuse, instead of starting afresh, when a checkpoint exists but cannot be used.
    defer_cutover: wait for an order (or for the sentinel table to be dropped) before cut-over.
    checkpoint_max_age_secs: a checkpoint older than this is not resumed from.
    checkpoint_interval_secs: time between two checkpoints.
    replica_dsns, replica_max_lag_secs: replicas whose lag pauses the copy, and the limit.
    max_load: ``{"Threads_running": 50}``; a status variable above its limit pauses the copy.
    skip_drop: keep the old table after cut-over.
    run_token: whose run this is, in letters, digits, dots and hyphens. A run ends what an earlier
        run of the same owner left on the server, even when that still holds the table's lock.
    repair_differences: let the checksum repair what differs without a reason. Off, such a
        difference fails the run; tests use that to prove that the copy alone is right.
    attempt_direct: let the server make the change itself where it can do so at once.
    autoscale: let the number of copier threads, and the time of a chunk, follow what the server
        says, within the volume's bounds; not where ``threads``, or ``target_chunk_time_secs``, is
        given.
    max_buffered_keys: changed keys held in memory (about 200 bytes each) before the binary log is
        read more slowly.
    reconnect_secs: how long to wait for a server that went away during the run.
    fresh: drop an existing checkpoint and shadow table first, whatever they hold.
    """

    volume: int = DEFAULT_VOLUME
    threads: int | None = None
    target_chunk_time_secs: float | None = None
    lock_wait_timeout_secs: int | None = None
    strict: bool = False
    defer_cutover: bool = False
    checkpoint_max_age_secs: float = 7 * 24 * 3600
    checkpoint_interval_secs: float = 50.0
    # Holds passwords: never shown.
    replica_dsns: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    replica_max_lag_secs: float = 120.0
    max_load: tuple[tuple[str, int], ...] = ()
    defer_indexes: DeferIndexes = DeferIndexes.AUTO
    skip_drop: bool = False
    run_token: str = ""
    repair_differences: bool = True
    fresh: bool = False
    attempt_direct: bool = True
    autoscale: bool = True
    max_buffered_keys: int = 1_000_000
    reconnect_secs: float = 60.0

    @property
    def chunk_time_follows(self) -> bool:
        """Whether chunks are shorter than the volume says while others write to the server."""
        return self.autoscale and self.target_chunk_time_secs is None

    def setting(self, server_cores: int = 8) -> VolumeSetting:
        """The volume's setting with this run's overrides laid over it."""
        base = volume_setting(self.volume, server_cores)
        return VolumeSetting(
            threads=self.threads or base.threads,
            max_threads=self.threads or (base.max_threads if self.autoscale else base.threads),
            target_chunk_time_secs=self.target_chunk_time_secs or base.target_chunk_time_secs,
            lock_wait_timeout_secs=self.lock_wait_timeout_secs or base.lock_wait_timeout_secs,
        )
