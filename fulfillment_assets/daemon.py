"""The Dagster daemon, whose loops over sensors and queued runs turn faster than by its settings.

The sensors' loop time is a constant of a private module, and the queue's a whole number of seconds.
A test holds both against the installed version. `dagster-daemon run` does as well, and makes the
stream slower.
"""

from __future__ import annotations

from typing import Final

from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._daemon import sensor
from dagster._daemon.cli import main

LOOP_SECONDS: Final = 0.25


def hurry() -> None:
    """Let both loops of this process turn every `LOOP_SECONDS`."""
    sensor.MIN_INTERVAL_LOOP_TIME = LOOP_SECONDS  # type: ignore[assignment]
    QueuedRunCoordinator.dequeue_interval_seconds = property(  # type: ignore[assignment,method-assign]
        lambda coordinator: LOOP_SECONDS
    )


if __name__ == "__main__":
    hurry()
    main()
