"""What a process that is forked for a Dagster run does, and how a run tells which it is."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Final

import dagster as dg
from dagster._cli.api import _execute_run_command_body
from dagster._core.instance import InstanceRef
from dagster._serdes import deserialize_value
from dagster._utils.interrupts import capture_interrupts

from fulfillment_assets.forkserver.identity import ProcessIdentity

WORKER_TAG: Final = "fulfillment/worker"
NICE_TAG: Final = "fulfillment/nice"
"""How readily a run leaves the processors to others, 0 to 19: work that can wait says so."""


def execute_run(argument: str) -> None:
    """Execute a run in this process, from its first event to its last.

    Args:
        argument: id of the run, the reference of its Dagster instance, and its niceness, as JSON.
    """
    run_id, reference, niceness = json.loads(argument)
    os.nice(niceness)
    reference = deserialize_value(reference, InstanceRef)
    with capture_interrupts(), dg.DagsterInstance.from_ref(reference) as instance:
        worker = {"run_id": run_id, **asdict(ProcessIdentity.this())}
        instance.add_run_tags(run_id, {WORKER_TAG: json.dumps(worker)})
        _execute_run_command_body(run_id, instance, lambda event: None, False)


def worker_of(run: dg.DagsterRun) -> ProcessIdentity | None:
    """The process that executes a run, or did; None if it has not begun, or the launcher is stock.

    A retried run inherits the tags of the first, but not its process.
    """
    worker = json.loads(run.tags.get(WORKER_TAG, "{}"))
    if worker.pop("run_id", None) != run.run_id:
        return None
    return ProcessIdentity(**worker)
