"""The daemon's faster loops rest on Dagster's inside: hold it to it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib.metadata import version

from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._daemon import controller, sensor

from fulfillment_assets import daemon


def test_the_constant_is_still_what_the_sensor_loop_sleeps_by() -> None:
    assert version("dagster") == "1.13.27", "an upgrade: look at the sensor loop again"
    assert sensor.MIN_INTERVAL_LOOP_TIME == 5
    loop = inspect.getsource(sensor.execute_sensor_iteration_loop)
    assert "MIN_INTERVAL_LOOP_TIME - loop_duration" in loop
    assert daemon.LOOP_SECONDS < 5


def test_the_queue_still_turns_by_its_coordinators_property() -> None:
    assert isinstance(QueuedRunCoordinator.dequeue_interval_seconds, property)
    assert "interval_seconds=instance.run_coordinator.dequeue_interval_seconds" in (
        inspect.getsource(controller.create_daemon_of_type)
    )


def test_both_loops_of_its_process_turn_faster() -> None:
    program = (
        "from fulfillment_assets import daemon; daemon.hurry()\n"
        "from dagster._core.run_coordinator import QueuedRunCoordinator\n"
        "from dagster._daemon import sensor\n"
        "print(sensor.MIN_INTERVAL_LOOP_TIME, QueuedRunCoordinator().dequeue_interval_seconds)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(daemon.LOOP_SECONDS)] * 2


def test_it_is_dagsters_own_daemon() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fulfillment_assets.daemon", "run", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Run any daemons configured on the DagsterInstance" in done.stdout
