"""Files of orders. Each list of a batch is also to be had as CSV, whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, Protocol, TypeVar
from uuid import UUID

from fastapi import Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy.engine import Connection

from fulfillment_api.csv import ROWS_AT_ONCE, WantsCsv, csv_response, every, page_or_csv
from fulfillment_api.database import Database
from fulfillment_api.dependencies import TheDatabase
from fulfillment_api.fields import BatchId
from fulfillment_api.pagination import Page, Paged, Paging, Slice
from fulfillment_api.resources.agents.schemas import SUMMARY_EXAMPLE, ResponseSummary
from fulfillment_api.resources.batches.repository import (
    existing_job,
    read_batch_deviations,
    read_batch_responses,
    read_batches,
    read_predictions,
    read_rejected,
)
from fulfillment_api.resources.batches.schemas import (
    EXAMPLE,
    PREDICTION_EXAMPLE,
    REJECTION_EXAMPLE,
    STATUS_EXAMPLE,
    Batch,
    BatchPrediction,
    BatchRejection,
    BatchState,
    BatchStatus,
)
from fulfillment_api.resources.deviations.schemas import EXAMPLE as DEVIATION_EXAMPLE
from fulfillment_api.resources.deviations.schemas import Deviation
from fulfillment_api.routing import example, page_example, resource
from fulfillment_assets.scoring.batch_jobs import BatchJob

T = TypeVar("T", bound=BaseModel)
K = TypeVar("K")

router = resource("batch")


@router.get("/batch", responses=example(page_example(EXAMPLE)))
def list_batches(
    database: TheDatabase,
    paging: Paged,
    status: Annotated[BatchState | None, Query(description="Only of this status.")] = None,
) -> Page[Batch]:
    """The files that were handed in, the newest first."""
    after = paging.after("batch", UUID)
    with database.read() as connection:
        found = read_batches(connection, status, after=after, limit=paging.limit)
    return paging.page("batch", found)


@router.get("/batch/{batch_id}/status", responses=example(STATUS_EXAMPLE))
def show_batch_status(database: TheDatabase, batch_id: BatchId) -> BatchStatus:
    """How far a file is, and what became of it."""
    with database.read() as connection:
        return BatchStatus.of(existing_job(connection, batch_id))


class Read(Protocol[T, K]):
    """Reads a slice of a list of a job."""

    def __call__(
        self, connection: Connection, job: BatchJob, *, after: K | None, limit: int
    ) -> Slice[T, K]:
        """The items after a key."""


@dataclass(frozen=True, slots=True)
class Listing(Generic[T, K]):
    """A list of a batch job.

    Attributes:
        name: by which its cursors and files are known.
        model: of its items.
        key: makes the key of its text.
    """

    name: str
    model: type[T]
    key: Callable[[str], K]
    read: Read[T, K]

    def answer(
        self, database: Database, batch_id: UUID, paging: Paging, as_csv: bool
    ) -> Page[T] | StreamingResponse:
        """A page, or the whole list as CSV."""
        after = paging.after(self.name, self.key)
        with database.read() as connection:
            job = existing_job(connection, batch_id)
            if not as_csv:
                found = self.read(connection, job, after=after, limit=paging.limit)
                return paging.page(self.name, found)

        def some(after: K | None) -> Slice[T, K]:
            with database.read() as connection:
                return self.read(connection, job, after=after, limit=ROWS_AT_ONCE)

        return csv_response(f"{batch_id}-{self.name}.csv", self.model, every(some))


_PREDICTIONS: Final = Listing("predictions", BatchPrediction, int, read_predictions)
_DEVIATIONS: Final = Listing("deviations", Deviation, UUID, read_batch_deviations)
_RESPONSES: Final = Listing("agent-responses", ResponseSummary, UUID, read_batch_responses)
_REJECTED: Final = Listing("rejected", BatchRejection, int, read_rejected)


@router.get(
    "/batch/{batch_id}/predictions",
    response_model=Page[BatchPrediction],
    responses=page_or_csv(PREDICTION_EXAMPLE),
)
def list_batch_predictions(
    database: TheDatabase, batch_id: BatchId, paging: Paged, as_csv: WantsCsv
) -> Any:
    """What the model said of each row, in the order of the file."""
    return _PREDICTIONS.answer(database, batch_id, paging, as_csv)


@router.get(
    "/batch/{batch_id}/deviations",
    response_model=Page[Deviation],
    responses=page_or_csv(DEVIATION_EXAMPLE),
)
def list_batch_deviations(
    database: TheDatabase, batch_id: BatchId, paging: Paged, as_csv: WantsCsv
) -> Any:
    """The deviations that the file opened or updated last, the newest first."""
    return _DEVIATIONS.answer(database, batch_id, paging, as_csv)


@router.get(
    "/batch/{batch_id}/agent-responses",
    response_model=Page[ResponseSummary],
    responses=page_or_csv(SUMMARY_EXAMPLE),
)
def list_batch_agent_responses(
    database: TheDatabase, batch_id: BatchId, paging: Paged, as_csv: WantsCsv
) -> Any:
    """What the agents decided about the file's deviations, the newest first."""
    return _RESPONSES.answer(database, batch_id, paging, as_csv)


@router.get(
    "/batch/{batch_id}/rejected",
    response_model=Page[BatchRejection],
    responses=page_or_csv(REJECTION_EXAMPLE),
)
def list_batch_rejected(
    database: TheDatabase, batch_id: BatchId, paging: Paged, as_csv: WantsCsv
) -> Any:
    """The rows that could not be scored, and which rules they break, in the order of the file."""
    return _REJECTED.answer(database, batch_id, paging, as_csv)
