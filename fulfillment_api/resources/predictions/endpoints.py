"""Predictions at once: scored, stored and counted like those of a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Body

from fulfillment_api.dependencies import TheServices
from fulfillment_api.resources.predictions.schemas import (
    EXAMPLE,
    ORDER_EXAMPLE,
    OrderList,
    PredictionItem,
    PredictionList,
)
from fulfillment_api.routing import example, resource
from fulfillment_api.services import Services
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.scoring.direct import score_now

router = resource("predict")


@router.post("/predict", responses=example(EXAMPLE))
def predict(
    services: TheServices, order: Annotated[EnrichedOrder, Body(examples=[ORDER_EXAMPLE])]
) -> PredictionItem:
    """The delay risk of one order; what follows from it is stored before the answer."""
    return _scored(services, [order])[0]


@router.post("/predict/orders", responses=example({"predictions": [EXAMPLE]}))
def predict_orders(
    services: TheServices,
    wanted: Annotated[OrderList, Body(examples=[{"orders": [ORDER_EXAMPLE]}])],
) -> PredictionList:
    """The delay risk of up to 1,000 orders, all or none of which are stored."""
    return PredictionList(predictions=_scored(services, wanted.orders))


def _scored(services: Services, orders: Sequence[EnrichedOrder]) -> list[PredictionItem]:
    found = score_now(services.database.engine, services.champion.scorer(), orders)
    return [PredictionItem.of(one) for one in found]
