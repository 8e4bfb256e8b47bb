"""The published schema of an event agrees with what is read."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from fulfillment_assets.events.docs import event_json_schema, event_schema_text
from fulfillment_assets.events.messages import CORRELATION_ID, EVENT_TIME, SCHEMA_VERSION
from fulfillment_assets.settings import PROJECT_ROOT
from tests.events.messages import accepted, message, reasons
from tests.orders.test_json_reader import typed_order


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = (PROJECT_ROOT / "docs" / "event.schema.json").read_text(encoding="utf-8")
    assert committed == event_schema_text(), "run: python -m fulfillment_assets.documentation"


def test_it_is_a_json_schema_that_names_key_and_headers() -> None:
    schema = event_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema["x-kafka"]["headers"]) == {SCHEMA_VERSION, EVENT_TIME, CORRELATION_ID}
    assert schema["x-kafka"]["headers"][SCHEMA_VERSION]["const"] == "1"


def is_valid(order: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(event_json_schema()).is_valid(order))


@pytest.mark.parametrize(
    "change", [{}, {"note": [1]}, {"ship_date": None}, {"discount_offered": 0}]
)
def test_what_it_allows_is_accepted(change: dict[str, Any]) -> None:
    order = typed_order(**change)
    assert is_valid(order)
    accepted(message(json.dumps(order).encode()))


@pytest.mark.parametrize(
    "change",
    [{"gender": "?"}, {"customer_rating": 9}, {"weight_in_gms": 0}, {"order_id": "x" * 65}],
)
def test_what_is_refused_it_does_not_allow(change: dict[str, Any]) -> None:
    order = typed_order(**change)
    assert not is_valid(order)
    assert reasons(message(json.dumps(order).encode()))


def test_it_requires_what_is_required() -> None:
    for name in event_json_schema()["required"]:
        order = typed_order()
        del order[name]
        assert not is_valid(order)
        assert f"{name} is missing" in reasons(message(json.dumps(order).encode()))
