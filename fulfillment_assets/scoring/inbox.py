"""What the drop-folder sensor decides: which files to take, and which jobs need a run.

The database says which jobs are open, Dagster says which runs are alive; a job that is open
and has none gets one. Nothing else is remembered, so losing the sensor's cursor, or a run that
died before its first line, loses no file.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy.engine import Engine

from fulfillment_assets.scoring import batch_jobs
from fulfillment_assets.scoring.batch_jobs import BatchJob
from fulfillment_assets.scoring.drop_folder import claim, make_folders, settled_files
from fulfillment_assets.scoring.events import tell_claimed
from fulfillment_assets.scoring.pipeline import finish
from fulfillment_assets.settings import Settings

logger = logging.getLogger(__name__)

MAX_RUNS: Final = 5
"""Runs after which a job whose runs keep dying is given up as failed."""

VANISHED: Final = "the file disappeared before it could be scored; drop it again"
_VANISHED_AFTER: Final = dt.timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs that a job has had.

    Attributes:
        alive: whether one of them is not finished.
        count: how many there were.
        in_vain: how many there were since the job last came to an end.
        cancelled: whether somebody cancelled the last of these.
    """

    alive: bool
    count: int
    in_vain: int
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class RunNeeded:
    """A job that needs a run; `attempt` makes the request's key new each time."""

    job: BatchJob
    attempt: int

    @property
    def key(self) -> str:
        """Key of the run request: a job is never requested twice for the same attempt."""
        return f"{self.job.id}:{self.attempt}"


def take_in(engine: Engine, settings: Settings) -> None:
    """Claim every file of the inbox that has stopped growing."""
    make_folders(settings)
    for path in settled_files(settings.inbox, settings.inbox_settle_seconds):
        try:
            claimed = claim(engine, settings, path)
        except OSError as error:  # it must not keep the others waiting
            logger.warning("%a cannot be taken out of the inbox: %s", path.name, error.strerror)
            continue
        if claimed.to_score:
            tell_claimed(claimed.job, to_score=True)
        else:
            logger.warning(
                "%s holds the same content as batch job %s (%s, %s) and is not scored again",
                path.name,
                claimed.job.id,
                claimed.job.filename,
                claimed.job.status,
            )


def runs_needed(
    engine: Engine, settings: Settings, runs_of: Callable[[BatchJob], Runs]
) -> list[RunNeeded]:
    """Jobs that are open and have no live run; tidies up after those that need none."""
    with engine.connect() as connection:
        jobs = batch_jobs.unfinished_jobs(connection)
    needed = []
    for job in jobs:
        runs = runs_of(job)
        if runs.alive:
            continue
        reason = _hopeless(job, runs)
        if reason is not None:
            with engine.begin() as connection:
                batch_jobs.fail(connection, job.id, reason)
        if reason is not None or job.finished:
            finish(engine, settings, job.id)
        elif job.path is not None and job.path.exists():
            needed.append(RunNeeded(job, attempt=runs.count + 1))
    return needed


def _hopeless(job: BatchJob, runs: Runs) -> str | None:
    """Why an open job will never be scored, if so."""
    if job.finished:
        return None
    if runs.cancelled:
        return "its run was cancelled; drop the file again to score it"
    if runs.in_vain >= MAX_RUNS:
        return (
            f"given up after {runs.in_vain} runs that died; the runs with the tag "
            f"fulfillment/batch_job={job.id} in Dagster say why"
        )
    age = dt.datetime.now(dt.UTC) - job.created_at
    if age > _VANISHED_AFTER and (job.path is None or not job.path.exists()):
        return VANISHED
    return None
