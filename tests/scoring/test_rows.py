"""Scored orders as rows: event times, reasons, contexts, and one way to score."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fulfillment_assets.delay_model.reasons import MOST, NO_FEATURE, Reasons
from fulfillment_assets.delay_model.scorer import DelayScorer
from fulfillment_assets.delay_model.wording import worded
from fulfillment_assets.deviations.severity import Thresholds
from fulfillment_assets.orders.contract import BY_NAME, FEATURES
from fulfillment_assets.orders.schema import ORDER_SCHEMA
from fulfillment_assets.scoring.rows import (
    Arrival,
    ScoredOrders,
    event_times,
    prediction_rows,
    reasons_json,
    score_orders,
    staged_rows,
    verdict_rows,
    worded_reasons_json,
)
from tests.orders.examples import Row, order_row, validated
from tests.scoring.workplace import LATE, OPEN

RECEIVED = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
ARRIVAL = Arrival("batch", RECEIVED, uuid.UUID(int=7))
NO_DATES = dict.fromkeys(("order_date", "promised_delivery_date", "ship_date", "delivery_date"), "")

ORDERS = [
    order_row(order_id="calm"),
    order_row(order_id="late", **OPEN, **LATE),
    order_row(order_id='quoted "ø" \\', **NO_DATES, carrier_name="注文, Ltd"),
    order_row(order_id="flown", **LATE, warehouse_block="E", mode_of_shipment="Flight"),
    order_row(order_id="odd", colour="green", payment_status="in kind"),
]


def scored(rows: list[Row], scorer: DelayScorer, thresholds: Thresholds) -> ScoredOrders:
    return score_orders(validated(*rows).orders, scorer, thresholds, ARRIVAL)


def event_time(**dates: str) -> dt.datetime:
    orders = validated(order_row(**NO_DATES | dates)).orders
    (moment,) = event_times(orders, RECEIVED).to_pylist()
    assert isinstance(moment, dt.datetime)
    return moment


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        ({}, RECEIVED),
        ({"order_date": "2026-03-01"}, dt.datetime(2026, 3, 1, tzinfo=dt.UTC)),
        (
            {"order_date": "2026-03-01", "ship_date": "2026-03-02T14:00:00Z"},
            dt.datetime(2026, 3, 2, 14, tzinfo=dt.UTC),
        ),
        (
            {"order_date": "2026-03-01", "ship_date": "2026-03-02", "delivery_date": "2026-03-05"},
            dt.datetime(2026, 3, 5, tzinfo=dt.UTC),
        ),
        ({"delivery_date": "2026-03-05"}, RECEIVED),
        (
            {"order_date": "2026-03-01", "delivery_date": "2026-03-11"},
            dt.datetime(2026, 3, 1, tzinfo=dt.UTC),
        ),
        ({"order_date": "2026-03-11", "ship_date": "2026-03-12"}, RECEIVED),
        ({"promised_delivery_date": "2026-03-09"}, RECEIVED),
        ({"order_date": "2026-03-10T12:00:00Z"}, RECEIVED),
    ],
    ids=[
        "no dates: when it was received",
        "ordered",
        "shipped after ordered",
        "delivered after shipped",
        "without an order date: when it was received",
        "a delivery in the future has not happened",
        "everything in the future: when it was received",
        "a promise is no event",
        "this very moment has happened",
    ],
)
def test_an_event_is_the_last_dated_step_that_has_happened(
    dates: dict[str, str], expected: dt.datetime
) -> None:
    assert event_time(**dates) == expected


def test_a_batch_without_orders_gives_no_rows(scorer: DelayScorer) -> None:
    empty = score_orders(ORDER_SCHEMA.empty_table(), scorer, Thresholds(), ARRIVAL)
    assert prediction_rows(empty, ARRIVAL).num_rows == 0
    assert staged_rows(empty).num_rows == 0


def test_a_prediction_has_the_features_as_they_were_scored(scorer: DelayScorer) -> None:
    batch = scored(ORDERS, scorer, Thresholds())
    for order, row in zip(
        batch.orders.to_pylist(), prediction_rows(batch, ARRIVAL).to_pylist(), strict=True
    ):
        features = json.loads(row["features_json"])
        assert features == {name: order[name] for name in FEATURES}
        assert row["delay_probability"] == scorer.score_one(features).probability


def test_reasons_are_those_of_the_model_the_greatest_first(scorer: DelayScorer) -> None:
    batch = scored(ORDERS, scorer, Thresholds())
    for order, row in zip(batch.orders.to_pylist(), verdict_rows(batch).to_pylist(), strict=True):
        expected = scorer.score_one(order).reasons
        assert [tuple(reason.values()) for reason in json.loads(row["reasons"])] == [
            (reason.feature, reason.contribution) for reason in expected
        ]


def test_a_single_order_gets_the_same_values_as_inside_a_batch(scorer: DelayScorer) -> None:
    batch = scored(ORDERS, scorer, Thresholds())
    for number, row in enumerate(ORDERS):
        alone = scored([row], scorer, Thresholds())
        for make in (lambda one: prediction_rows(one, ARRIVAL), verdict_rows, staged_rows):
            (single,) = without_ids(make(alone))
            assert single == without_ids(make(batch))[number]


def without_ids(table: pa.Table) -> list[dict[str, Any]]:
    own = ("id", "prediction_id", "row_number")
    rows: list[dict[str, Any]] = table.drop_columns(
        [name for name in own if name in table.column_names]
    ).to_pylist()
    return rows


@pytest.mark.parametrize(
    ("change", "least", "has_context"),
    [
        (OPEN | LATE, "warning", True),
        (OPEN, "warning", False),
        (OPEN, "info", True),
        (LATE, "warning", False),
        (LATE | {"order_status": "cancelled"}, "warning", False),
        (LATE | {"order_status": ""}, "warning", True),
    ],
    ids=[
        "at risk",
        "not at risk",
        "not at risk, but even a note counts",
        "delivered",
        "cancelled",
        "status unknown",
    ],
)
def test_an_order_that_may_deviate_carries_its_context(
    change: dict[str, str], least: str, has_context: bool, scorer: DelayScorer
) -> None:
    row = order_row() | {"order_status": "delivered"} | change
    batch = scored([row], scorer, Thresholds(deviation_min_severity=least))
    (context,) = staged_rows(batch)["context"].to_pylist()
    assert (context is not None) == has_context


def test_the_context_tells_the_whole_order_and_its_prediction(scorer: DelayScorer) -> None:
    row = order_row(order_id='Æ"\\', **OPEN, **LATE)
    batch = scored([row], scorer, Thresholds())
    (text,) = staged_rows(batch)["context"].to_pylist()
    context = json.loads(text)
    assert set(context["order"]) == set(BY_NAME)
    assert context["order"]["order_id"] == 'Æ"\\'
    assert context["order"]["delivery_date"] is None
    assert dt.datetime.fromisoformat(context["order"]["order_date"]) == dt.datetime(
        2026, 3, 1, 9, 30, tzinfo=dt.UTC
    )
    assert context["order"]["discount_offered"] == 60
    assert context["severity"] == "critical"
    assert context["delay_probability"] == batch.probability[0] > 0.9
    assert context["model_version"] == scorer.version
    assert context["reasons"][0]["feature"] == "discount_offered"


def test_the_context_gives_each_reason_in_words(scorer: DelayScorer) -> None:
    rows = [
        order_row(order_id=str(number), **OPEN, discount_offered=discount, weight_in_gms=weight)
        for number, (discount, weight) in enumerate(product(("60", "12.5", "5"), ("1500", "4120")))
    ]
    batch = scored(rows, scorer, Thresholds(deviation_min_severity="info"))
    for order, row in zip(batch.orders.to_pylist(), staged_rows(batch).to_pylist(), strict=True):
        reasons = json.loads(row["context"])["reasons"]
        expected = worded(scorer.score_one(order).reasons, order, scorer.metadata)
        assert reasons == [reason._asdict() for reason in expected]


def test_an_order_may_have_fewer_reasons_than_there_is_room_for(scorer: DelayScorer) -> None:
    discount, none = FEATURES.index("discount_offered"), [NO_FEATURE] * MOST
    reasons = Reasons(
        np.array([none, [discount, *none[1:]]], np.int8), np.array([[0, 0, 0], [0.5, 0, 0]])
    )
    orders = validated(order_row(), order_row(discount_offered="58")).orders
    assert [json.loads(text) for text in reasons_json(reasons).to_pylist()] == [
        [],
        [{"feature": "discount_offered", "contribution": 0.5}],
    ]
    worded_reasons = worded_reasons_json(reasons, orders, scorer.metadata)
    assert [json.loads(text) for text in worded_reasons.to_pylist()] == [
        [],
        [
            {
                "feature": "discount_offered",
                "contribution": 0.5,
                "text": "discount 58 % is far above usual; this raises the risk",
            }
        ],
    ]
