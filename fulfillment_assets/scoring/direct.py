"""Orders that are handed over in memory: scored and committed like a file's, at once."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.wording import WordedReason
from fulfillment_assets.deviations import rules
from fulfillment_assets.deviations.severity import Thresholds, load_thresholds
from fulfillment_assets.observability.correlation import current_correlation_id
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.scoring import staging
from fulfillment_assets.scoring.pipeline import apply_staged_orders
from fulfillment_assets.scoring.single_rows import NewOrder, ScoredOrder, add_each, score_each
from fulfillment_assets.store.partitions import ensure_partition
from fulfillment_assets.store.prepared import one_message


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

    Every call makes new predictions: there is no key by which a repetition would be known. An
    order counts once all the same, by its id.
    """
    received_at = dt.datetime.now(dt.UTC)
    make_ready(engine, received_at.date())
    with engine.begin() as connection:
        staging.open_staging(connection)
        thresholds = load_thresholds(connection)
        correlation_id = current_correlation_id()
        arrived = [NewOrder(order, correlation_id) for order in orders]
        found = write_orders(connection, scorer, arrived, thresholds, received_at)
        rules.watch_changed_segments(connection, thresholds)
    return found


def only_score(
    scorer: DelayScorer, orders: Sequence[EnrichedOrder], thresholds: Thresholds
) -> list[Prediction]:
    """Score orders, and store nothing; the predictions' ids are no row's."""
    arrived = [NewOrder(order) for order in orders]
    scored = score_each(arrived, scorer, thresholds, dt.datetime.now(dt.UTC))
    return [_prediction(one) for one in scored]


def make_ready(engine: Engine, day: dt.date) -> None:
    """Make sure that predictions can be written on a UTC day."""
    with engine.begin() as connection:
        ensure_partition(connection, day)


def write_orders(
    connection: Connection,
    scorer: DelayScorer,
    orders: Sequence[NewOrder],
    thresholds: Thresholds,
    received_at: dt.datetime,
) -> list[Prediction]:
    """Score orders and write what follows, but for the deviations of segments, all or nothing.

    Args:
        connection: in a transaction, or in autocommit mode; it has its staging tables.
        scorer: the model.
        orders: some; of two states of one order with one event time the later wins.
        thresholds: those in force.
        received_at: dates the predictions; its day is ready.
    """
    scored = score_each(orders, scorer, thresholds, received_at)
    with one_message(connection) as message:
        add_each(message, scored, received_at.date())
        apply_staged_orders(connection, thresholds, received_at)
    return [_prediction(one) for one in scored]


def _prediction(scored: ScoredOrder) -> Prediction:
    return Prediction(
        id=uuid.UUID(scored.prediction_id),
        order_id=str(scored.values["order_id"]),
        delay_probability=scored.probability,
        severity=scored.severity,
        reasons=scored.reasons,
        model_version=scored.model_version,
    )
