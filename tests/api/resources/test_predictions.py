"""Orders scored through the API, by the committed model."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from sqlalchemy.engine import Engine

from fulfillment_api.resources.predictions.schemas import ORDER_EXAMPLE
from tests.api.examples import problem

LATE: dict[str, Any] = ORDER_EXAMPLE | {
    "discount_offered": 60,
    "weight_in_gms": 1_500,
    "order_status": "processing",
    "delivery_date": None,
}


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(sa.text(f"SELECT count(*) FROM {table}")) or 0)


def test_one_order_is_scored_stored_and_counted(api: TestClient, engine: Engine) -> None:
    response = api.post("/predict", json=LATE)
    assert response.status_code == 200, response.text
    found = response.json()
    assert found["order_id"] == LATE["order_id"]
    assert (found["severity"], found["delay_probability"] > 0.9) == ("critical", True)
    assert found["reasons"][0]["text"].startswith("discount 60 % is far above usual")
    story = api.get(f"/orders/{LATE['order_id']}").json()
    assert [(p["id"], p["source"]) for p in story["predictions"]] == [(found["id"], "api")]
    assert [d["kind"] for d in story["deviations"]] == ["delay_risk"]
    assert api.get("/models").json()["champion"] == found["model_version"]


def test_many_orders_are_scored_in_their_order(api: TestClient, engine: Engine) -> None:
    orders = [LATE | {"order_id": f"O-{number}"} for number in range(1_000)]
    response = api.post("/predict/orders", json={"orders": orders})
    assert response.status_code == 200, response.text
    assert [p["order_id"] for p in response.json()["predictions"]] == [
        order["order_id"] for order in orders
    ]
    assert count(engine, "predictions") == 1_000


def test_one_broken_order_among_many_refuses_all(api: TestClient, engine: Engine) -> None:
    orders = [LATE, LATE | {"warehouse_block": "Z", "customer_rating": 9}]
    found = problem(api.post("/predict/orders", json={"orders": orders}), 422)
    assert {error["field"] for error in found["errors"]} == {
        "body.orders.1.warehouse_block",
        "body.orders.1.customer_rating",
    }
    assert count(engine, "predictions") == 0


@pytest.mark.parametrize("number", [0, 1_001])
def test_a_list_of_orders_has_one_to_a_thousand(api: TestClient, number: int) -> None:
    found = problem(api.post("/predict/orders", json={"orders": [LATE] * number}), 422)
    assert found["errors"][0]["field"] == "body.orders"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"order_id": ""}, "order_id"),
        ({"order_id": "a\0b"}, "order_id"),
        ({"order_id": "\ud800"}, "order_id"),
        ({"cost_of_product": 1e300}, "cost_of_product"),
        ({"cost_of_product": float("nan")}, "cost_of_product"),
        ({"customer_rating": 10**400}, "customer_rating"),
        ({"order_date": "0000-00-00"}, "order_date"),
        ({"gender": None}, "gender"),
        ({"gender": {"a": [1]}}, "gender"),
    ],
)
def test_a_value_that_breaks_a_rule_is_named(
    api: TestClient, change: dict[str, Any], field: str
) -> None:
    found = problem(
        api.post(
            "/predict",
            content=json.dumps(LATE | change),
            headers={"Content-Type": "application/json"},
        ),
        422,
    )
    assert [error["field"] for error in found["errors"]] == [f"body.{field}"]
