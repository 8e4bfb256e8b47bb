"""How long the platform takes from nothing to all healthy, and down again.

Cold: the data directory is empty, so PostgreSQL and both schemas are made. Warm: they are there.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fulfillment_assets.local.platform import running_platform
from fulfillment_assets.settings import Settings


@dataclass(frozen=True, slots=True)
class StartupTimes:
    """Seconds from the start of the first service to the health of the last."""

    cold_seconds: float
    warm_seconds: float
    stop_seconds: float


def run() -> StartupTimes:
    """Start and stop the whole platform twice in a temporary data directory."""
    with tempfile.TemporaryDirectory(prefix="fulfillment-bench-") as folder:
        settings = Settings().model_copy(update={"data_dir": Path(folder), "inbox_dir": None})
        cold, _ = _start_and_stop(settings)
        warm, stop = _start_and_stop(settings)
    return StartupTimes(round(cold, 2), round(warm, 2), round(stop, 2))


def _start_and_stop(settings: Settings) -> tuple[float, float]:
    begun = time.perf_counter()
    with running_platform(settings):
        healthy = time.perf_counter()
    return healthy - begun, time.perf_counter() - healthy
