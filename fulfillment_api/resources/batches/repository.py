"""Reads of batch jobs and their rows, by keys that do not shift."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.errors import NotFoundError
from fulfillment_api.pagination import Slice, slice_of
from fulfillment_api.resources.agents.repository import ResponseFilters, read_responses
from fulfillment_api.resources.agents.schemas import ResponseSummary
from fulfillment_api.resources.batches.schemas import Batch, BatchPrediction, BatchRejection
from fulfillment_api.resources.deviations.repository import read_deviations
from fulfillment_api.resources.deviations.schemas import Deviation, Filters
from fulfillment_assets.orders.validation import FieldError, RejectedRow
from fulfillment_assets.scoring.batch_jobs import BatchJob, find_job
from fulfillment_assets.store.partitions import start_of

_BATCHES: Final = f"SELECT {', '.join(Batch.model_fields)} FROM batch_jobs"
_PREDICTIONS: Final = f"""
SELECT {", ".join(BatchPrediction.model_fields)} FROM predictions
WHERE batch_job_id = :job AND created_at >= :first AND created_at < :end AND row_number > :after
ORDER BY row_number LIMIT :limit
"""
_REJECTED: Final = """
SELECT row_number, raw, errors FROM rejected_records
WHERE batch_job_id = :job AND row_number > :after ORDER BY row_number LIMIT :limit
"""


def existing_job(connection: Connection, batch_id: uuid.UUID) -> BatchJob:
    """A job.

    Raises:
        NotFoundError: there is none.
    """
    try:
        return find_job(connection, batch_id)
    except LookupError:
        raise NotFoundError(f"There is no batch job {batch_id}; GET /batch lists them.") from None


def read_batches(
    connection: Connection, status: str | None, *, after: uuid.UUID | None, limit: int
) -> Slice[Batch, uuid.UUID]:
    """Batch jobs of a status, or all, the newest first."""
    values: dict[str, Any] = {"limit": limit + 1}
    conditions = ["true"]
    if status is not None:
        conditions.append("status = :status")
        values["status"] = status
    if after is not None:
        conditions.append("id < :after")
        values["after"] = after
    rows = connection.execute(
        sa.text(f"{_BATCHES} WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT :limit"),
        values,
    )
    return slice_of([Batch.model_validate(row) for row in rows], limit, lambda one: one.id)


def read_predictions(
    connection: Connection, job: BatchJob, *, after: int | None, limit: int
) -> Slice[BatchPrediction, int]:
    """The predictions of a job, by row."""
    rows = connection.execute(
        sa.text(_PREDICTIONS),
        {
            "job": job.id,
            "first": start_of(job.day),
            "end": start_of(job.day + dt.timedelta(days=1)),
            "after": after or 0,
            "limit": limit + 1,
        },
    )
    found = [BatchPrediction.model_validate(row) for row in rows]
    return slice_of(found, limit, lambda one: one.row_number)


def read_rejected(
    connection: Connection, job: BatchJob, *, after: int | None, limit: int
) -> Slice[BatchRejection, int]:
    """The rejected rows of a job, by row."""
    rows = connection.execute(
        sa.text(_REJECTED), {"job": job.id, "after": after or 0, "limit": limit + 1}
    )
    found = [
        BatchRejection.of(
            RejectedRow(row.row_number, row.raw, tuple(FieldError(**e) for e in row.errors))
        )
        for row in rows
    ]
    return slice_of(found, limit, lambda one: one.row_number)


def read_batch_deviations(
    connection: Connection, job: BatchJob, *, after: uuid.UUID | None, limit: int
) -> Slice[Deviation, uuid.UUID]:
    """The deviations that a job opened or updated last, the newest first."""
    return read_deviations(connection, Filters(batch_id=job.id), after=after, limit=limit)


def read_batch_responses(
    connection: Connection, job: BatchJob, *, after: uuid.UUID | None, limit: int
) -> Slice[ResponseSummary, uuid.UUID]:
    """What the agents decided about those deviations, the newest first."""
    return read_responses(connection, ResponseFilters(batch_id=job.id), after=after, limit=limit)
