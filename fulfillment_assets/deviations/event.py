"""The deviation event, declared once: what the outbox holds and the JSON Schema in docs tells.

Events of orders have what was known of the order; events of segments the numbers of the breach.
The contexts of segments are built from these models; those of orders come out of scoring in SQL,
and tests hold them against the models.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from fulfillment_assets.orders.model import EnrichedOrder

SCHEMA_VERSION: Final = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Reason(_Part):
    """A feature that raised the order's risk, in plain words, with its share in log-odds."""

    text: str
    feature: str
    contribution: float


class OrderContext(_Part):
    """What was known of the order, and what the model said of it."""

    order: EnrichedOrder
    delay_probability: float = Field(ge=0, le=1)
    severity: Literal["info", "warning", "critical"]
    reasons: list[Reason]
    model_version: str
    correlation_id: str | None = None
    """Of the upload, request or message that brought the order: by it the logs are searched."""


class SegmentNames(_Part):
    """The segment: null stands for any value."""

    warehouse_block: str | None
    mode_of_shipment: str | None
    product_importance: str | None


class RiskyOrder(_Part):
    """An open order of the segment."""

    order_id: str
    delay_probability: float = Field(ge=0, le=1)


class RiskMoment(_Part):
    """The hour in which the excess was greatest."""

    hour: dt.datetime
    observed: float
    excess: float
    orders: int


class SegmentRiskContext(_Part):
    """A segment's mean delay probability above its own usual one."""

    segment: SegmentNames
    observed: float
    """Mean delay probability of the latest hour in breach."""
    baseline: float
    """The usual mean, from the hours before."""
    excess: float
    """Observed less baseline."""
    late_share: float
    """Share of the orders of the latest hour in breach that are not expected on time."""
    baseline_late_share: float
    """The usual share."""
    orders: int
    """Orders of the latest hour in breach."""
    log10_e_value: float
    """Evidence against chance, as a decimal logarithm: chance raises a segment's e-value to 10^x at
    any time of an hour with a probability of at most 10^-x."""
    baseline_orders: int
    """Orders from which the usual mean comes."""
    first_hour: dt.datetime
    """First hour in breach."""
    latest_hour: dt.datetime
    """Latest hour in breach."""
    worst: RiskMoment
    explains: list[str]
    """Keys of other segments that were in breach only because of this one."""
    riskiest_orders: list[RiskyOrder] = Field(max_length=10)
    """Open orders of the segment that came in meanwhile, the riskiest first."""


class OnTimeMoment(_Part):
    """When the rate was furthest below the target."""

    hour: dt.datetime
    observed: float
    shortfall: float
    orders: int


class OnTimeContext(_Part):
    """A segment's expected on-time rate below the target."""

    segment: SegmentNames
    observed: float
    """Share of the window's orders that are expected on time."""
    target: float
    """What the share should be."""
    shortfall: float
    """Target less observed."""
    upper_bound: float
    """Upper confidence bound of the share, below the target."""
    orders: int
    """Orders in the window."""
    window_hours: int
    """Length of the window, which ends with the latest hour."""
    first_hour: dt.datetime
    """Hour in which the breach was first seen."""
    latest_hour: dt.datetime
    """Hour in which the breach was last seen."""
    worst: OnTimeMoment
    riskiest_orders: list[RiskyOrder] = Field(max_length=10)
    """Open orders of the segment that came in meanwhile, the riskiest first."""


SegmentContext = SegmentRiskContext | OnTimeContext


class _Event(_Part):
    schema_version: Literal[1]
    event_id: uuid.UUID
    """Consumers drop an event whose id they know."""
    deviation_id: uuid.UUID
    """Several events may tell of one deviation: it is new, or its severity has changed."""
    severity: Literal["warning", "critical"]
    reason: str
    """What was found, in a sentence."""
    status: Literal[
        "pending", "agent_triggered", "awaiting_approval", "resolved", "escalated", "failed"
    ]
    created_at: dt.datetime
    updated_at: dt.datetime


class OrderEvent(_Event):
    """One order is at risk, or on its way and not expected on time."""

    kind: Literal["delay_risk", "fulfillment_gap"]
    order_id: str
    context: OrderContext


class SegmentRiskEvent(_Event):
    """A segment of orders is riskier than it usually is."""

    kind: Literal["segment_risk"]
    segment_key: str
    """warehouse_block/mode_of_shipment/product_importance, with * for any."""
    context: SegmentRiskContext


class OnTimeEvent(_Event):
    """A segment of orders has an expected on-time rate below the target."""

    kind: Literal["on_time_rate"]
    segment_key: str
    """warehouse_block/mode_of_shipment/product_importance, with * for any."""
    context: OnTimeContext


DeviationEvent = Annotated[OrderEvent | SegmentRiskEvent | OnTimeEvent, Field(discriminator="kind")]

EVENT: Final[TypeAdapter[OrderEvent | SegmentRiskEvent | OnTimeEvent]] = TypeAdapter(DeviationEvent)

_KAFKA: Final = {
    "key": {
        "type": "string",
        "description": "The order_id or the segment_key: it keeps the events of one order or "
        "segment in their order.",
    },
    "headers": {
        "event-id": {"type": "string", "format": "uuid", "description": "The event_id again."}
    },
}


def deviation_json_schema() -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of an event's value, with its key and headers beside it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "DeviationEvent",
        "description": "What a message of the topic deviation-events tells, in JSON. Events leave "
        "at least once; consumers drop an event_id that they know.",
        **EVENT.json_schema(),
        "x-kafka": _KAFKA,
    }


def deviation_schema_text() -> str:
    """Give the JSON Schema of a deviation event as the text of `docs/deviation.schema.json`."""
    return json.dumps(deviation_json_schema(), indent=2, ensure_ascii=False) + "\n"
