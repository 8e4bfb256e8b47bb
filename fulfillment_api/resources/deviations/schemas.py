"""What the deviations' endpoints take and give."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Annotated, Any, Final, Literal, Self

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from fulfillment_api.fields import Since, Text, Until
from fulfillment_assets.deviations.reads import DeviationDetails
from fulfillment_assets.knowledge.rules import Block, Importance, Mode, Severity

Kind = Literal["delay_risk", "fulfillment_gap", "segment_risk", "on_time_rate"]
Status = Literal[
    "pending", "agent_triggered", "awaiting_approval", "resolved", "escalated", "failed"
]


class Deviation(BaseModel):
    """A deviation of an order or of a segment, in short."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    order_id: str | None = Field(description="Null for a segment's.")
    segment_key: str | None = Field(
        description="warehouse/mode/importance, with * for any; null for an order's."
    )
    kind: Kind
    severity: Severity
    reason: str = Field(description="In words.")
    status: Status
    created_at: dt.datetime
    updated_at: dt.datetime


class DeviationDetail(Deviation):
    """A deviation with all that is known of it."""

    prediction_id: uuid.UUID | None
    batch_job_id: uuid.UUID | None
    ended_at: dt.datetime | None = Field(
        description="When the breach of a segment was over; null before, and for orders."
    )
    context: dict[str, Any] = Field(description="What it was found from, as its event tells it.")

    @classmethod
    def of(cls, found: DeviationDetails) -> Self:
        """The details, flat."""
        return cls(
            **Deviation.model_validate(found.deviation).model_dump(),
            prediction_id=found.prediction_id,
            batch_job_id=found.batch_job_id,
            ended_at=found.ended_at,
            context=found.context,
        )


class Filters(BaseModel):
    """Which deviations are wanted; what is empty or None does not restrict."""

    model_config = ConfigDict(frozen=True)

    severity: tuple[Severity, ...] = ()
    kind: tuple[Kind, ...] = ()
    status: tuple[Status, ...] = ()
    order_id: str | None = None
    warehouse: Block | None = None
    mode: Mode | None = None
    importance: Importance | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    batch_id: uuid.UUID | None = None


async def _filters(
    severity: Annotated[list[Severity], Query(max_length=3, description="Only these.")] = [],  # noqa: B006
    kind: Annotated[list[Kind], Query(max_length=4, description="Only these.")] = [],  # noqa: B006
    status: Annotated[list[Status], Query(max_length=6, description="Only these.")] = [],  # noqa: B006
    order_id: Annotated[Text | None, Query(description="Only those of an order.")] = None,
    warehouse: Annotated[Block | None, Query(description="Only of this block.")] = None,
    mode: Annotated[Mode | None, Query(description="Only of this mode of shipment.")] = None,
    importance: Annotated[Importance | None, Query(description="Only of this.")] = None,
    since: Since = None,
    until: Until = None,
) -> Filters:
    return Filters(
        severity=tuple(severity),
        kind=tuple(kind),
        status=tuple(status),
        order_id=order_id,
        warehouse=warehouse,
        mode=mode,
        importance=importance,
        since=since,
        until=until,
    )


Filtered = Annotated[Filters, Depends(_filters)]
"""The filters of the query."""

EXAMPLE: Final = {
    "id": "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b10",
    "order_id": "ORD-000017",
    "segment_key": None,
    "kind": "delay_risk",
    "severity": "critical",
    "reason": "delay probability 0.93 is above 0.7",
    "status": "pending",
    "created_at": "2026-03-10T09:30:00Z",
    "updated_at": "2026-03-10T09:30:00Z",
}
DETAIL_EXAMPLE: Final = EXAMPLE | {
    "prediction_id": "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b11",
    "batch_job_id": None,
    "ended_at": None,
    "context": {"delay_probability": 0.93, "order": {"order_id": "ORD-000017"}},
}
