"""Old runs are deleted, with their events and logs: by itself Dagster keeps them for ever."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final

import dagster as dg
from pydantic import Field

from fulfillment_assets.defs.constants import DATABASE_RETRY
from fulfillment_assets.defs.streaming.jobs import RELAY_JOB, STREAM_JOB

STREAM_JOBS: Final = (STREAM_JOB, RELAY_JOB)
"""Jobs with thousands of runs a day, of some 30 kB each."""

_SUCCESS: Final = [dg.DagsterRunStatus.SUCCESS]
_FAILURE: Final = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PARTITION_TAG: Final = "dagster/partition"
_DAY: Final = dt.timedelta(days=1)
_BATCH: Final = 500


class RunRetention(dg.Config):
    """For how many days finished runs are kept."""

    stream_success_days: float = Field(1, ge=0, description="Successful runs of the stream.")
    stream_failure_days: float = Field(7, ge=0, description="Other runs of the stream.")
    days: float = Field(90, ge=0, description="Runs of every job.")


@dg.op(retry_policy=DATABASE_RETRY)
def delete_old_runs(context: dg.OpExecutionContext, config: RunRetention) -> None:
    """Delete runs past retention.

    By a run's events Dagster knows what was made. So the last successful run of a day of the
    stream stays as long as other runs do, and that of a job, and of its partition, for ever.
    """
    instance = context.instance
    last_of_day = _Last(instance, _day)
    last_of_partition = _Last(instance, _partition)
    rules = [
        *((job, _SUCCESS, config.stream_success_days, last_of_day) for job in STREAM_JOBS),
        *((job, _FAILURE, config.stream_failure_days, last_of_day) for job in STREAM_JOBS),
        (None, [*_SUCCESS, *_FAILURE], config.days, last_of_partition),
    ]
    now = dt.datetime.now(dt.UTC)
    for job, statuses, days, stays in rules:
        before = now - dt.timedelta(days=days)
        old = dg.RunsFilter(job_name=job, statuses=statuses, updated_before=before)
        count = _delete(instance, old, stays)
        context.log.info(f"{job or 'all jobs'}: {count} runs from before {before:%F %R} deleted")


def _delete(
    instance: dg.DagsterInstance, old: dg.RunsFilter, stays: Callable[[dg.RunRecord], bool]
) -> int:
    """Delete old runs, oldest first, a batch at a time; returns how many."""
    count, cursor = 0, None
    while records := instance.get_run_records(old, _BATCH, cursor=cursor, ascending=True):
        for record in records:
            run_id = record.dagster_run.run_id
            if stays(record):
                cursor = run_id
            else:
                instance.compute_log_manager.delete_logs(prefix=[run_id])
                instance.delete_run(run_id)
                count += 1
    return count


class _Last:
    """Whether a run is the last successful one of its job in some respect.

    Args:
        instance: where the runs are.
        respect: the filter that finds the runs that are like a given one.
    """

    def __init__(
        self,
        instance: dg.DagsterInstance,
        respect: Callable[[dg.RunRecord], Mapping[str, Any]],
    ) -> None:
        self._instance = instance
        self._respect = respect
        self._found: dict[str, str] = {}

    def __call__(self, record: dg.RunRecord) -> bool:
        run = record.dagster_run
        if not run.is_success:
            return False
        alike = {"job_name": run.job_name, **self._respect(record)}
        key = repr(alike)
        if key not in self._found:
            filters = dg.RunsFilter(statuses=_SUCCESS, **alike)
            self._found[key] = self._instance.get_runs(filters, limit=1)[0].run_id
        return self._found[key] == run.run_id


def _day(record: dg.RunRecord) -> dict[str, Any]:
    """Runs that ended on the same day, UTC."""
    midnight = record.update_timestamp.replace(hour=0, minute=0, second=0, microsecond=0)
    just_before = midnight - dt.timedelta(microseconds=1)
    return {"updated_after": just_before, "updated_before": midnight + _DAY}


def _partition(record: dg.RunRecord) -> dict[str, Any]:
    """Runs of the same partition, or of a job as a whole."""
    partition = record.dagster_run.tags.get(_PARTITION_TAG)
    return {} if partition is None else {"tags": {_PARTITION_TAG: partition}}
