"""Orders written one at a time: the rows are those of a batch."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.deviations.severity import Thresholds
from fulfillment_assets.orders.contract import FIELDS
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.orders.schema import ORDER_SCHEMA
from fulfillment_assets.orders.simulator import SimulationPlan, simulate
from fulfillment_assets.scoring import staging
from fulfillment_assets.scoring.rows import Arrival, event_times, score_known
from fulfillment_assets.scoring.single_rows import NewOrder, ScoredOrder, add_each, score_each
from fulfillment_assets.scoring.staging import encode_batch
from fulfillment_assets.store.partitions import ensure_partition
from fulfillment_assets.store.prepared import one_message
from tests.orders.examples import order_row
from tests.scoring.workplace import FIRST_DAY, LATE, OPEN, Workplace

RECEIVED = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
UNDATED = dict.fromkeys(("order_date", "promised_delivery_date", "ship_date", "delivery_date"), "")
CORRELATION = 'upload "7"'

ODD = [
    {"order_id": 'quoted "ø", \\ and ,', "carrier_name": "注文, Ltd", **OPEN, **LATE},
    {"order_id": "undated", **UNDATED, **LATE},
    {"order_id": "of tomorrow", "order_date": "2026-03-11", **UNDATED | OPEN | LATE},
    {"order_id": "extra", "colour": 'gr"een', "payment_status": "in kind", **OPEN, **LATE},
    {"order_id": "cancelled", **UNDATED, **LATE, "order_status": "cancelled"},
    {"order_id": "without status", **UNDATED, **LATE, "order_status": ""},
    *(
        {"order_id": f"costs {cost}", "cost_of_product": cost, "discount_offered": discount}
        for cost, discount in [
            ("219.0", "0"),
            ("0.001", "0.1"),
            ("1e-07", "99.999999"),
            ("10000000", "100"),
            ("123456.789", "33.333333333333336"),
            ("0.30000000000000004", "1e-3"),
        ]
    ),
]


@pytest.fixture(scope="module")
def orders() -> list[EnrichedOrder]:
    (chunk,) = simulate(SimulationPlan(400, seed=5, start=FIRST_DAY, days=14))
    simulated = chunk.orders.select([field.name for field in FIELDS]).to_pylist()
    odd = [order_row(**change) for change in ODD]
    return [EnrichedOrder.model_validate(row) for row in (*simulated, *odd)]


Rows = tuple[list[Any], list[Any]]


def one_by_one(
    connection: Connection, orders: Sequence[EnrichedOrder], scorer: DelayScorer, known: str | None
) -> tuple[list[ScoredOrder], Rows]:
    """The orders, scored and written row by row, and what PostgreSQL has of them."""
    scored = score_each([NewOrder(one, known) for one in orders], scorer, Thresholds(), RECEIVED)
    staging.open_staging(connection)
    with one_message(connection) as message:
        add_each(message, scored, RECEIVED.date())
    return scored, stored(connection)


def together(
    connection: Connection,
    orders: Sequence[EnrichedOrder],
    scorer: DelayScorer,
    known: str | None,
    ids: Sequence[str],
) -> Rows:
    """The same as a batch, column by column."""
    rows = [order.record() | {"row_number": n} for n, order in enumerate(orders, start=1)]
    table = pa.Table.from_pylist(rows, schema=ORDER_SCHEMA)
    scored = score_known(
        table,
        scorer,
        Thresholds(),
        prediction_id=pa.array(ids),
        event_time=event_times(table, RECEIVED),
        correlation_id=None if known is None else pa.array([known] * len(orders)),
    )
    arrival = Arrival("api", RECEIVED, correlation_id=known)
    staging.open_staging(connection)
    staging.stage(connection, encode_batch(scored, arrival), RECEIVED.date())
    return stored(connection)


def stored(connection: Connection) -> Rows:
    """The predictions and the staged orders; then all is undone."""
    predictions = connection.execute(
        sa.text("SELECT to_jsonb(p) - 'correlation_id' FROM predictions p ORDER BY row_number")
    )
    staged = connection.execute(
        sa.text(
            f"SELECT {', '.join(field.name for field in FIELDS)}, prediction_id, event_time, "
            "delay_probability, severity, context::jsonb::text FROM staged_orders "
            "ORDER BY prediction_id"
        )
    )
    found = list(predictions.scalars()), list(staged)
    connection.rollback()
    return found


@pytest.mark.parametrize("correlation_id", [None, CORRELATION])
def test_the_rows_are_those_of_a_batch(
    orders: list[EnrichedOrder], workplace: Workplace, correlation_id: str | None
) -> None:
    with workplace.engine.begin() as connection:
        ensure_partition(connection, RECEIVED.date())
    with workplace.engine.connect() as connection:
        scored, rows = one_by_one(connection, orders, workplace.scorer, correlation_id)
        ids = [one.prediction_id for one in scored]
        assert rows == together(connection, orders, workplace.scorer, correlation_id, ids)
    predictions, staged = rows
    assert len(predictions) == len(staged) == len(orders)
    contexts = [row[-1] for row in staged if row[-1] is not None]
    assert 50 < len(contexts) < len(orders)
    assert all(("correlation_id" in text) == (correlation_id is not None) for text in contexts)
