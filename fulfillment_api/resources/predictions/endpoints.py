"""Predictions at once: scored, stored and counted like those of a file."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Final

from anyio.to_thread import run_sync
from fastapi import Body, Query, Request, Response

from fulfillment_api.answers import answer
from fulfillment_api.dependencies import TheServices
from fulfillment_api.errors import UnavailableError
from fulfillment_api.resources.predictions.schemas import (
    EXAMPLE,
    ORDER_EXAMPLE,
    OrderList,
    PredictionItem,
    PredictionList,
)
from fulfillment_api.routing import example, resource
from fulfillment_api.services import Services, services_of
from fulfillment_assets.deviations.severity import load_thresholds
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.scoring.direct import Prediction, only_score

_SECONDS: Final = 30.0
"""So long an order may wait for its commit."""

Stored = Annotated[
    bool, Query(description="`false` only scores: nothing is stored, counted or set off.")
]

router = resource("predict")


@router.post("/predict", response_model=PredictionItem, responses=example(EXAMPLE))
async def predict(
    request: Request,
    order: Annotated[EnrichedOrder, Body(examples=[ORDER_EXAMPLE])],
    store: Stored = True,
) -> Response:
    """The delay risk of one order; what follows from it is stored before the answer."""
    [found] = await _scored(services_of(request.app), [order], store)
    return answer(PredictionItem.of(found))


@router.post(
    "/predict/orders",
    response_model=PredictionList,
    responses=example({"predictions": [EXAMPLE]}),
)
async def predict_orders(
    services: TheServices,
    wanted: Annotated[OrderList, Body(examples=[{"orders": [ORDER_EXAMPLE]}])],
    store: Stored = True,
) -> Response:
    """The delay risk of up to 1,000 orders, all or none of which are stored."""
    found = await _scored(services, wanted.orders, store)
    return answer(PredictionList(predictions=[PredictionItem.of(one) for one in found]))


async def _scored(
    services: Services, orders: Sequence[EnrichedOrder], store: bool
) -> list[Prediction]:
    if not store:
        return await run_sync(_only_scored, services, orders)
    try:
        async with asyncio.timeout(_SECONDS):
            return await asyncio.wrap_future(services.scoring.submit(orders))
    except TimeoutError:
        raise UnavailableError(
            f"The database did not take the order within {_SECONDS:.0f} s. It may still do so; "
            "to send the order again does no harm: it counts once."
        ) from None


def _only_scored(services: Services, orders: Sequence[EnrichedOrder]) -> list[Prediction]:
    with services.database.read() as connection:
        thresholds = load_thresholds(connection)
    return only_score(services.champion.scorer(), orders, thresholds)
