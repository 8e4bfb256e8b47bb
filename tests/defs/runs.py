"""Runs executed in this process, and what they reported."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg

from fulfillment_assets.definitions import defs
from fulfillment_assets.defs.resources import RESOURCES
from fulfillment_assets.defs.scoring.jobs import run_config, run_tags
from fulfillment_assets.scoring.batch_jobs import BatchJob

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}

Run = dg.ExecuteInProcessResult


def score(instance: dg.DagsterInstance, job: BatchJob) -> Run:
    """The run that the sensor would request for a job."""
    return execute(
        instance,
        "score_batch",
        partition_key=job.day.isoformat(),
        run_config=run_config(job),
        tags=run_tags(job),
    )


def execute(
    instance: dg.DagsterInstance,
    job: str,
    *,
    partition_key: str | None = None,
    run_config: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
) -> Run:
    """Execute a job of the code location; a failure is a result."""
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance,
        partition_key=partition_key,
        run_config={**(run_config or {}), **QUIET},
        tags=dict(tags or {}),
        raise_on_error=False,
    )


def metadata(run: Run, asset: str) -> dict[str, Any]:
    """The metadata of the one materialisation of an asset, as plain values."""
    (event,) = (one for one in materialisations(run) if one.asset_key == dg.AssetKey(asset))
    return {name: value.value for name, value in event.metadata.items()}


def materialisations(run: Run) -> list[dg.AssetMaterialization]:
    """Everything that a run materialised."""
    return [
        event.materialization
        for event in run.all_events
        if event.event_type is dg.DagsterEventType.ASSET_MATERIALIZATION
    ]


def checks(run: Run) -> dict[str, bool]:
    """The verdict of every check that a run executed."""
    return {found.check_name: found.passed for found in run.get_asset_check_evaluations()}


def failures(run: Run) -> list[Any]:
    """What the failed steps of a run say."""
    return [event.step_failure_data for event in run.all_events if event.is_step_failure]


def records(table: Any) -> list[dict[str, Any]]:
    """The rows of a table among the metadata."""
    return [dict(record.data) for record in table.records]


def evaluated(name: str, now: dt.datetime) -> dg.RunRequest | str:
    """What a schedule says at a moment: the run that it requests, or why it does not."""
    with dg.build_schedule_context(
        scheduled_execution_time=now,
        resources=RESOURCES,
        repository_def=defs.get_repository_def(),
    ) as context:
        found = defs.resolve_schedule_def(name).evaluate_tick(context)
    return found.run_requests[0] if found.run_requests else str(found.skip_message)
