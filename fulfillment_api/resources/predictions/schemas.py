"""What the predictions' endpoints take and give."""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, Field

from fulfillment_api.resources.orders.schemas import Reason
from fulfillment_assets.orders.model import EnrichedOrder, order_json_schema
from fulfillment_assets.scoring.direct import Prediction

MOST_ORDERS: Final = 1_000


class PredictionItem(BaseModel):
    """What the model says of an order."""

    id: uuid.UUID = Field(description="Of the stored prediction.")
    order_id: str
    delay_probability: float = Field(description="Probability that the order is late.")
    severity: Literal["critical", "warning", "info", "none"]
    reasons: list[Reason] = Field(description="The greatest first; three at most.")
    model_version: str

    @classmethod
    def of(cls, found: Prediction) -> Self:
        """A prediction."""
        return cls(
            id=found.id,
            order_id=found.order_id,
            delay_probability=found.delay_probability,
            severity=found.severity,
            reasons=[Reason(**reason._asdict()) for reason in found.reasons],
            model_version=found.model_version,
        )


class OrderList(BaseModel):
    """Orders to be scored together."""

    orders: Annotated[list[EnrichedOrder], Field(min_length=1, max_length=MOST_ORDERS)]


class PredictionList(BaseModel):
    """A prediction for each order, in their order."""

    predictions: list[PredictionItem]


def _example_order() -> dict[str, Any]:
    properties = order_json_schema()["properties"]
    return {name: rules["examples"][0] for name, rules in properties.items()}


ORDER_EXAMPLE: Final = _example_order()
EXAMPLE: Final = {
    "id": "0195d0a0-7a3c-7cc4-8a1e-3f6f8f3f9b60",
    "order_id": "ORD-000017",
    "delay_probability": 0.931,
    "severity": "critical",
    "reasons": [
        {
            "feature": "discount_offered",
            "contribution": 2.31,
            "text": "discount 58 % is far above usual; this raises the risk",
        }
    ],
    "model_version": "lgbm-a598de0a3c2d",
}
