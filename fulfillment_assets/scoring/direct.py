"""Orders that are handed over in memory: scored and committed like a file's, at once."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.bands import SEVERITIES
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.wording import WordedReason, worded
from fulfillment_assets.deviations.severity import load_thresholds
from fulfillment_assets.orders.contract import FEATURES
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.orders.schema import ORDER_SCHEMA
from fulfillment_assets.scoring import staging
from fulfillment_assets.scoring.pipeline import apply_staged
from fulfillment_assets.scoring.rows import Arrival, score_orders
from fulfillment_assets.store.partitions import ensure_partition


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one order; `reasons` are the greatest first."""

    id: uuid.UUID
    order_id: str
    delay_probability: float
    severity: str
    reasons: tuple[WordedReason, ...]
    model_version: str


def score_now(
    engine: Engine, scorer: DelayScorer, orders: Sequence[EnrichedOrder]
) -> list[Prediction]:
    """Score orders and commit what follows, in one transaction; predictions in their order.

    Every call makes new predictions: there is no key by which a repetition would be known.
    """
    arrival = Arrival("api", dt.datetime.now(dt.UTC))
    table = pa.Table.from_pylist(
        [order.record() | {"row_number": number} for number, order in enumerate(orders, start=1)],
        schema=ORDER_SCHEMA,
    )
    with engine.begin() as connection:
        ensure_partition(connection, arrival.received_at.date())
    with engine.begin() as connection:
        thresholds = load_thresholds(connection)
        scored = score_orders(table, scorer, thresholds, arrival)
        staging.open_staging(connection)
        staging.stage(connection, staging.encode_batch(scored, arrival), arrival.received_at.date())
        apply_staged(connection, thresholds, arrival.received_at)
    return [
        Prediction(
            id=uuid.UUID(scored.prediction_id[row].as_py()),
            order_id=order.order_id,
            delay_probability=float(scored.probability[row]),
            severity=SEVERITIES[scored.severity[row]],
            reasons=worded(scored.reasons.of(row), features, scored.model),
            model_version=scored.model.version,
        )
        for row, (order, features) in enumerate(
            zip(orders, table.select(FEATURES).to_pylist(), strict=True)
        )
    ]
