"""The drop-folder sensor: a file in the inbox becomes a run."""

from typing import TYPE_CHECKING

import dagster as dg

from fulfillment_assets.defs.constants import BATCH_JOB_TAG
from fulfillment_assets.defs.resources import Platform
from fulfillment_assets.defs.scoring.jobs import run_config, run_tags, score_batch

if TYPE_CHECKING:
    from fulfillment_assets.scoring.batch_jobs import BatchJob
    from fulfillment_assets.scoring.inbox import RunNeeded, Runs


@dg.sensor(
    job=score_batch,
    minimum_interval_seconds=2,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Takes every file of the inbox that has stopped growing, and asks for one run a file. "
        "Known content is recognised by its hash and not scored again."
    ),
)
def drop_folder_sensor(
    context: dg.SensorEvaluationContext, platform: Platform
) -> list[dg.RunRequest] | dg.SkipReason:
    """Claim what has arrived, then request a run for each job that has none alive."""
    from fulfillment_assets.scoring.inbox import runs_needed, take_in

    take_in(platform.engine, platform.settings)
    needed = runs_needed(
        platform.engine, platform.settings, lambda job: _runs_of(context.instance, job)
    )
    if not needed:
        return dg.SkipReason(f"nothing new in {platform.settings.inbox}")
    return [_request(entry) for entry in needed]


def _request(needed: "RunNeeded") -> dg.RunRequest:
    job = needed.job
    return dg.RunRequest(
        run_key=needed.key,
        partition_key=job.day.isoformat(),
        run_config=run_config(job),
        tags=run_tags(job),
    )


def _runs_of(instance: dg.DagsterInstance, job: "BatchJob") -> "Runs":
    from fulfillment_assets.scoring.inbox import Runs

    records = instance.get_run_records(dg.RunsFilter(tags={BATCH_JOB_TAG: str(job.id)}))
    since = job.completed_at or job.created_at
    in_vain = [record for record in records if record.create_timestamp >= since]  # newest first
    return Runs(
        alive=any(not record.dagster_run.is_finished for record in records),
        count=len(records),
        in_vain=len(in_vain),
        cancelled=bool(in_vain) and in_vain[0].dagster_run.status is dg.DagsterRunStatus.CANCELED,
    )
