"""Which runs of a job may still do something."""

from typing import Final

import dagster as dg

_UNFINISHED: Final = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def unfinished(job: str) -> dg.RunsFilter:
    """The runs of a job that wait, start, work or are being cancelled."""
    return dg.RunsFilter(job_name=job, statuses=_UNFINISHED)
