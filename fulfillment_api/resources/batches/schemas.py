"""What the batches' endpoints give."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from fulfillment_assets.orders.validation import RejectedRow
from fulfillment_assets.scoring.batch_jobs import BatchJob

BatchState = Literal["pending", "processing", "completed", "failed"]

_MOST_UNTIL_COMPLETED: Final = 0.99


class Batch(BaseModel):
    """A file that was handed in."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    filename: str
    status: BatchState
    size_bytes: int
    row_count: int = Field(description="Rows in it; 0 until it is completed.")
    accepted_count: int
    rejected_count: int
    model_version: str | None
    error_message: str | None
    correlation_id: str = Field(
        description="In the log and in what followed from the file: the id of the upload's request."
    )
    created_at: dt.datetime
    started_at: dt.datetime | None
    completed_at: dt.datetime | None = Field(description="When it was completed, or failed.")


class BatchStatus(Batch):
    """How far a file is."""

    progress: float | None = Field(
        description="Share of the file whose rows are scored, as of a second ago: below 1 until "
        "it is completed, when all its rows appear together; null while it is not known."
    )
    rows_done: int = Field(description="Rows that are scored so far, rejected ones included.")
    seconds: float = Field(description="How long its last run took; 0 until it has ended.")

    @classmethod
    def of(cls, job: BatchJob) -> Self:
        """The status of a job."""
        batch = Batch.model_validate(job).model_dump()
        return cls(**batch, progress=_progress(job), rows_done=job.rows_done, seconds=job.seconds)


def _progress(job: BatchJob) -> float | None:
    """All is read before all is written, so what is not completed is not wholly done."""
    if job.status in ("pending", "completed"):
        return float(job.status == "completed")
    if job.status == "failed" or not job.bytes_done:
        return None
    return round(min(job.bytes_done / job.size_bytes, _MOST_UNTIL_COMPLETED), 4)


class BatchPrediction(BaseModel):
    """What the model said of one row."""

    model_config = ConfigDict(from_attributes=True)

    row_number: int
    id: uuid.UUID
    order_id: str
    delay_probability: float
    severity: Literal["critical", "warning", "info", "none"]
    reasons: list[dict[str, Any]] = Field(description="Features and what they add, greatest first.")
    model_version: str
    created_at: dt.datetime


class BrokenRule(BaseModel):
    """One rule that a row breaks."""

    field: str
    value: str | None
    rule: str


class BatchRejection(BaseModel):
    """A row that could not be scored."""

    row_number: int = Field(description="From 1; the header is not counted.")
    reason: str
    errors: list[BrokenRule]
    raw: dict[str, str | None] = Field(description="The row's cells as they came, by header.")

    @classmethod
    def of(cls, row: RejectedRow) -> Self:
        """A rejected row."""
        errors = [BrokenRule(field=e.field, value=e.value, rule=e.rule) for e in row.errors]
        return cls(row_number=row.row_number, reason=row.reasons, errors=errors, raw=row.raw)


EXAMPLE: Final = {
    "id": "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b40",
    "filename": "orders.csv",
    "status": "completed",
    "size_bytes": 412_000,
    "row_count": 2_000,
    "accepted_count": 1_986,
    "rejected_count": 14,
    "model_version": "lgbm-a598de0a3c2d",
    "error_message": None,
    "correlation_id": "4f1c2a9be0d34c5f8a7b6c5d4e3f2a1b",
    "created_at": "2026-03-10T09:30:00Z",
    "started_at": "2026-03-10T09:30:02Z",
    "completed_at": "2026-03-10T09:30:03Z",
}
STATUS_EXAMPLE: Final = EXAMPLE | {"progress": 1.0, "rows_done": 2_000, "seconds": 0.6}
PREDICTION_EXAMPLE: Final = {
    "row_number": 17,
    "id": "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b41",
    "order_id": "ORD-000017",
    "delay_probability": 0.93,
    "severity": "critical",
    "reasons": [{"feature": "discount_offered", "contribution": 1.4}],
    "model_version": "lgbm-a598de0a3c2d",
    "created_at": "2026-03-10T09:30:02Z",
}
REJECTION_EXAMPLE: Final = {
    "row_number": 18,
    "reason": "customer_rating: must be from 1 to 5",
    "errors": [{"field": "customer_rating", "value": "9", "rule": "must be from 1 to 5"}],
    "raw": {"order_id": "ORD-000018", "customer_rating": "9"},
}
