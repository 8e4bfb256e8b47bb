"""The Dagster daemon, with a sensor loop that turns every second instead of every five.

Dagster has no setting for it: its loop time is a constant of a private module, which a test holds
against the installed version. `dagster-daemon run` does as well, and makes the stream slower.
"""

from __future__ import annotations

from typing import Final

from dagster._daemon import sensor
from dagster._daemon.cli import main

LOOP_SECONDS: Final = 1

if __name__ == "__main__":
    sensor.MIN_INTERVAL_LOOP_TIME = LOOP_SECONDS
    main()
