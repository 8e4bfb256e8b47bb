"""How far a file is, told to other processes while its rows are still invisible to them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from fulfillment_assets.scoring import progress
from fulfillment_assets.scoring.batch_jobs import BatchJob

logger = logging.getLogger(__name__)

NOTED_EVERY: Final = 1.0
"""Seconds between two notes: a batch does not become slower by them."""

_NOTE: Final = """
SET LOCAL synchronous_commit TO off;
UPDATE batch_jobs SET rows_done = :rows, bytes_done = :bytes WHERE id = (
    SELECT id FROM batch_jobs WHERE id = :id AND run_id = :run_id AND status = 'processing'
    FOR NO KEY UPDATE SKIP LOCKED
)
"""
"""Waits for no lock and no disk: what cannot be noted now is noted the next time."""


class JobProgress:
    """Notes the progress of one run of a job, each time in a transaction of its own.

    A run that was overtaken by another one notes nothing.

    Args:
        engine: of the platform's database; a connection is borrowed for each note.
        job: as it was started.
        clock: seconds; monotonic.
    """

    def __init__(
        self, engine: Engine, job: BatchJob, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._job = job
        self._clock = clock
        self._next = clock() + NOTED_EVERY

    def tell(self, rows: int, bytes_read: int) -> None:
        """Tell that so many rows are done, for which so many bytes of the file were read."""
        progress.report(rows)
        if self._clock() < self._next:
            return
        try:
            self._note(rows, bytes_read)
        except SQLAlchemyError as error:  # the batch matters more than its progress
            logger.warning("the progress of batch job %s cannot be noted: %s", self._job.id, error)
        self._next = self._clock() + NOTED_EVERY

    def _note(self, rows: int, bytes_read: int) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                sa.text(_NOTE),
                {
                    "id": self._job.id,
                    "run_id": self._job.run_id,
                    "rows": rows,
                    "bytes": bytes_read,
                },
            )
