"""Run the scoring job for one file in this process, as the sensor would elsewhere."""

from typing import TYPE_CHECKING, Final

import dagster as dg

from fulfillment_assets.definitions import defs
from fulfillment_assets.defs.scoring.jobs import SCORING_JOB, run_config, run_tags

if TYPE_CHECKING:
    from fulfillment_assets.scoring.batch_jobs import BatchJob

_QUIET: Final = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def run_scoring_job(job: "BatchJob") -> dg.ExecuteInProcessResult:
    """Execute the run of a claimed job here; its outcome stands in `batch_jobs`.

    The run is recorded in the platform's Dagster instance, so the UI shows it. Needs the
    variables of `local.platform.environment`.
    """
    with dg.DagsterInstance.get() as instance:
        return defs.resolve_job_def(SCORING_JOB).execute_in_process(
            instance=instance,
            partition_key=job.day.isoformat(),
            run_config=run_config(job) | _QUIET,
            tags=run_tags(job),
            raise_on_error=False,
        )


def failure_of(run: dg.ExecuteInProcessResult) -> str | None:
    """Why a run failed, in the words of its error; None if it did not fail."""
    failed = [event for event in run.all_events if event.is_step_failure]
    if not failed:
        return None if run.success else "its run failed before the first step"
    error = failed[0].step_failure_data.error
    if error is None:
        return "its run failed"
    raised = error.cause or error  # Dagster wraps what was raised
    return raised.message.split(f"{raised.cls_name}: ", 1)[-1].strip()
