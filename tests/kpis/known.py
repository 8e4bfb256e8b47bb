"""Outcomes that are known, counted as the platform counts them."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.kpis import outcomes
from tests.kpis.examples import NOW, Event

_numbers: Final = itertools.count()

_INSERT: Final = f"""
WITH learnt AS (
    INSERT INTO outcomes (order_id, is_late, decided_by, known_at, foreseen, prediction_id,
        prediction_created_at, delay_probability, severity, model_version, warehouse_block,
        mode_of_shipment, customer_care_calls, customer_rating, prior_purchases, gender,
        product_importance, cost_of_product, discount_offered, weight_in_gms)
    VALUES (:order_id, :late, 'delivery_date', :known_at, true, uuidv7(), :known_at, :probability,
        :severity, 'm', :block, :mode, 1, 1, 1, 'F', :importance, 1, 1, 1)
    RETURNING *
)
{outcomes.moved(f"SELECT 1 AS weight, {', '.join(outcomes.STATE)} FROM learnt")}
"""


def know(
    connection: Connection,
    *,
    late: bool,
    probability: float = 0.6,
    known_at: dt.datetime = NOW,
    block: str = "A",
    mode: str = "Ship",
    importance: str = "low",
) -> None:
    """Learn the outcome of another order."""
    connection.execute(
        sa.text(_INSERT),
        {
            "order_id": f"K{next(_numbers)}",
            "late": late,
            "known_at": known_at,
            "probability": probability,
            "severity": Event("", probability).severity,
            "block": block,
            "mode": mode,
            "importance": importance,
        },
    )
