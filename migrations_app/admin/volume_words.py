"""What each step of the volume means, in a sentence."""

from __future__ import annotations

import dataclasses

from migrations_app import words
from migrations_app.engine.options import DEFAULT_VOLUME, MAX_VOLUME, MIN_VOLUME, volume_setting
from migrations_app.engine.others import SHARED_CHUNK_SECS


@dataclasses.dataclass(frozen=True, slots=True)
class VolumeStep:
    """One position of the slider and its meaning."""

    number: int
    meaning: str


def volume_meaning(volume: int) -> str:
    """A volume as what the server will notice of it."""
    setting = volume_setting(volume)
    if volume == MAX_VOLUME:
        threads = "As many copier threads as the server has cores (8 to 32)"
    else:
        threads = f"{setting.threads} copier thread{'' if setting.threads == 1 else 's'}"
        if setting.max_threads > setting.threads:
            threads += f" (at most {setting.max_threads} where the run adapts them)"
    kinds = {MIN_VOLUME: "The gentlest: ", DEFAULT_VOLUME: "The default: ", MAX_VOLUME: "All out: "}
    kind = kinds.get(volume, "")
    chunks = f"chunks of about {words.duration(setting.target_chunk_time_secs)}"
    if setting.target_chunk_time_secs > SHARED_CHUNK_SECS:
        chunks += f" ({words.duration(SHARED_CHUNK_SECS)} while others write to the server)"
    text = (
        f"{threads}, {chunks};"
        f" cut-over waits up to {setting.lock_wait_timeout_secs} s for its lock."
    )
    return kind + (text[0].lower() + text[1:] if kind else text)


def volume_steps() -> list[VolumeStep]:
    """Every step of the slider, lowest first."""
    return [VolumeStep(n, volume_meaning(n)) for n in range(MIN_VOLUME, MAX_VOLUME + 1)]
