"""Orders handed over in memory: the same code, the same tables as a file's orders."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from fulfillment_assets.kpis import rollups
from fulfillment_assets.kpis.reads import read_kpis
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.scoring.direct import score_now
from tests.scoring.workplace import Workplace

SURELY_LATE: dict[str, str | int | float] = {
    "order_id": "A-1",
    "warehouse_block": "B",
    "mode_of_shipment": "Ship",
    "customer_care_calls": 3,
    "customer_rating": 2,
    "prior_purchases": 3,
    "gender": "F",
    "product_importance": "low",
    "cost_of_product": 180,
    "discount_offered": 58,
    "weight_in_gms": 1350,
    "order_status": "shipped",
}


def test_an_order_is_scored_explained_and_committed(workplace: Workplace) -> None:
    (prediction,) = score_now(
        workplace.engine, workplace.scorer, [EnrichedOrder.model_validate(SURELY_LATE)]
    )
    assert prediction.severity == "critical"
    first = prediction.reasons[0]
    assert first.feature == "discount_offered"
    assert first.text == "discount 58 % is far above usual; this raises the risk"
    with workplace.engine.connect() as connection:
        row = connection.execute(sa.text("SELECT * FROM predictions")).one()
        kinds = connection.scalars(sa.text("SELECT kind FROM deviations ORDER BY kind")).all()
        assert read_kpis(connection)[0].gaps == 1
    assert (row.id, row.source, row.order_id) == (prediction.id, "api", "A-1")
    assert row.delay_probability == prediction.delay_probability
    assert kinds == ["delay_risk", "fulfillment_gap"]


def test_its_probability_is_that_of_the_single_row_scorer_bit_for_bit(workplace: Workplace) -> None:
    order = EnrichedOrder.model_validate(SURELY_LATE)
    (prediction,) = score_now(workplace.engine, workplace.scorer, [order])
    alone = workplace.scorer.score_one(SURELY_LATE)
    assert prediction.delay_probability == alone.probability
    assert tuple(reason[:2] for reason in prediction.reasons) == alone.reasons


def test_a_later_state_of_the_order_replaces_the_former_and_counts_once(
    workplace: Workplace,
) -> None:
    score_now(workplace.engine, workplace.scorer, [EnrichedOrder.model_validate(SURELY_LATE)])
    an_hour_ago = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    delivered = SURELY_LATE | {"order_status": "delivered", "delivery_date": str(an_hour_ago)}
    score_now(workplace.engine, workplace.scorer, [EnrichedOrder.model_validate(delivered)])
    with workplace.engine.connect() as connection:
        statuses = connection.scalars(sa.text("SELECT status FROM deviations")).all()
        overall = read_kpis(connection)[0]
        differing = rollups.differences(connection)
    assert set(statuses) == {"resolved"}
    assert overall.orders == 1
    assert differing == 0
