"""What the orders' endpoints take and give."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from fulfillment_api.fields import Since, Text, Until
from fulfillment_api.resources.agents.schemas import Effect
from fulfillment_api.resources.deviations.schemas import Deviation
from fulfillment_assets.knowledge.rules import (
    Block,
    Importance,
    Mode,
    OrderStatus,
    PaymentStatus,
)

Risk = Literal["critical", "warning", "info", "none"]


class Order(BaseModel):
    """The latest known state of an order, with its latest prediction."""

    model_config = ConfigDict(from_attributes=True)

    order_id: str
    customer_id: str | None
    order_date: dt.datetime | None
    promised_delivery_date: dt.datetime | None
    ship_date: dt.datetime | None
    delivery_date: dt.datetime | None
    warehouse_block: Block
    mode_of_shipment: Mode
    carrier_name: str | None
    customer_care_calls: int
    customer_rating: int
    prior_purchases: int
    gender: str
    product_importance: Importance
    cost_of_product: float
    discount_offered: float
    weight_in_gms: float
    payment_status: PaymentStatus | None
    order_status: OrderStatus | None
    event_time: dt.datetime = Field(description="When this state became true.")
    delay_probability: float
    severity: Risk
    updated_at: dt.datetime


class Reason(BaseModel):
    """Why an order is at risk."""

    feature: str
    contribution: float = Field(description="What it adds to the log-odds of being late.")
    text: str = Field(description="In words.")


class OrderPrediction(BaseModel):
    """What the model said of the order when something was heard of it."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID
    created_at: dt.datetime = Field(description="When that was received.")
    event_time: dt.datetime
    source: Literal["batch", "streaming", "api"]
    batch_job_id: uuid.UUID | None
    order_status: OrderStatus | None
    delay_probability: float
    severity: Risk
    reasons: list[Reason]
    model_version: str


class Event(BaseModel):
    """One moment in the story of an order."""

    at: dt.datetime
    what: Literal[
        "ordered", "shipped", "delivered", "promised", "predicted", "deviation", "agent_action"
    ]
    text: str
    id: uuid.UUID | None = Field(description="Of the prediction, deviation or action.")


class OrderStory(BaseModel):
    """An order with everything that is known of it; of each list the newest 100."""

    order: Order
    reasons: list[Reason] = Field(description="Of the latest prediction.")
    predictions: list[OrderPrediction]
    deviations: list[Deviation]
    actions: list[Effect] = Field(description="What the agents' tools did about it.")
    timeline: list[Event] = Field(description="All of it in the order of time.")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which orders are wanted; what is empty or None does not restrict."""

    search: str | None
    customer_id: str | None
    risk: tuple[Risk, ...]
    status: tuple[OrderStatus, ...]
    warehouse: Block | None
    mode: Mode | None
    since: dt.datetime | None
    until: dt.datetime | None


async def _filters(
    search: Annotated[Text | None, Query(description="How the order's id begins.")] = None,
    customer_id: Annotated[Text | None, Query(description="Only of this customer.")] = None,
    risk: Annotated[list[Risk], Query(max_length=4, description="Only these severities.")] = [],  # noqa: B006
    status: Annotated[list[OrderStatus], Query(max_length=5, description="Only these.")] = [],  # noqa: B006
    warehouse: Annotated[Block | None, Query(description="Only of this block.")] = None,
    mode: Annotated[Mode | None, Query(description="Only of this mode of shipment.")] = None,
    since: Since = None,
    until: Until = None,
) -> Filters:
    return Filters(search, customer_id, tuple(risk), tuple(status), warehouse, mode, since, until)


Filtered = Annotated[Filters, Depends(_filters)]
"""The filters of the query; `since` and `until` are about the date of the order."""

EXAMPLE: Final[dict[str, Any]] = {
    "order_id": "ORD-000017",
    "customer_id": "CUST-0042",
    "order_date": "2026-03-01T09:30:00Z",
    "promised_delivery_date": "2026-03-06T18:00:00Z",
    "ship_date": None,
    "delivery_date": None,
    "warehouse_block": "B",
    "mode_of_shipment": "Ship",
    "carrier_name": "Northline",
    "customer_care_calls": 3,
    "customer_rating": 4,
    "prior_purchases": 3,
    "gender": "F",
    "product_importance": "medium",
    "cost_of_product": 219.0,
    "discount_offered": 58.0,
    "weight_in_gms": 1350.0,
    "payment_status": "paid",
    "order_status": "processing",
    "event_time": "2026-03-01T09:30:00Z",
    "delay_probability": 0.931,
    "severity": "critical",
    "updated_at": "2026-03-01T09:30:02Z",
}
STORY_EXAMPLE: Final = {
    "order": EXAMPLE,
    "reasons": [
        {
            "feature": "discount_offered",
            "contribution": 2.31,
            "text": "discount 58 % is far above usual; this raises the risk",
        }
    ],
    "predictions": [],
    "deviations": [],
    "actions": [],
    "timeline": [{"at": "2026-03-01T09:30:00Z", "what": "ordered", "text": "ordered", "id": None}],
}
