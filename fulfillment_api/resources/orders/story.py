"""The story of an order: predictions with their reasons in words, and all events in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_api.model_cards import ModelCards
from fulfillment_api.resources.agents.schemas import Effect
from fulfillment_api.resources.deviations.schemas import Deviation
from fulfillment_api.resources.orders.repository import (
    actions_of,
    deviations_of,
    find_order,
    predictions_of,
)
from fulfillment_api.resources.orders.schemas import (
    Event,
    Order,
    OrderPrediction,
    OrderStory,
    Reason,
)
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.wording import in_words

_DATES: Final = (
    ("ordered", "order_date", "ordered"),
    ("shipped", "ship_date", "left the warehouse"),
    ("delivered", "delivery_date", "delivered"),
    ("promised", "promised_delivery_date", "delivery was promised for this moment"),
)


def read_story(connection: Connection, cards: ModelCards, order_id: str) -> OrderStory | None:
    """Everything that is known of an order; None if nothing was heard of it."""
    order = find_order(connection, order_id)
    if order is None:
        return None
    rows = predictions_of(connection, order_id)
    predictions = [_prediction(row, cards.of(connection, row.model_version)) for row in rows]
    deviations, actions = deviations_of(connection, order_id), actions_of(connection, order_id)
    events = [
        *_dates(order),
        *_predicted(predictions),
        *_deviated(deviations),
        *_acted(actions),
    ]
    return OrderStory(
        order=order,
        reasons=predictions[0].reasons if predictions else [],
        predictions=predictions,
        deviations=deviations,
        actions=actions,
        timeline=sorted(events, key=lambda event: event.at),
    )


def _prediction(row: sa.Row[Any], card: ModelMetadata | None) -> OrderPrediction:
    values = {name: row._mapping[name] for name in OrderPrediction.model_fields}
    reasons = _reasons(row.reasons, row.features_json, card)
    return OrderPrediction.model_validate(values | {"reasons": reasons})


def _reasons(
    reasons: Sequence[Mapping[str, Any]], features: Mapping[str, Any], card: ModelMetadata | None
) -> list[Reason]:
    return [
        Reason(
            feature=reason["feature"],
            contribution=reason["contribution"],
            text=_words(reason["feature"], features, card),
        )
        for reason in reasons
    ]


def _words(feature: str, features: Mapping[str, Any], card: ModelMetadata | None) -> str:
    value = features[feature]
    return f"{feature} {value}" if card is None else in_words(feature, value, card)


def _dates(order: Order) -> Iterator[Event]:
    for what, name, text in _DATES:
        if (at := getattr(order, name)) is not None:
            yield Event.model_validate({"at": at, "what": what, "text": text, "id": None})


def _predicted(predictions: Sequence[OrderPrediction]) -> Iterator[Event]:
    for one in predictions:
        text = f"delay probability {one.delay_probability:.3f} ({one.severity})"
        yield Event(at=one.created_at, what="predicted", text=text, id=one.id)


def _deviated(deviations: Sequence[Deviation]) -> Iterator[Event]:
    for one in deviations:
        text = f"{one.kind}, {one.severity}: {one.reason} (now {one.status})"
        yield Event(at=one.created_at, what="deviation", text=text, id=one.id)


def _acted(actions: Sequence[Effect]) -> Iterator[Event]:
    for one in actions:
        who = one.agent_type or "agent"
        yield Event(at=one.created_at, what="agent_action", text=f"{who}: {one.tool}", id=one.id)
