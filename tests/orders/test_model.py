"""The model of one order: the same rules as a batch, for JSON."""

from __future__ import annotations

import datetime as dt
import json
import typing
from types import NoneType
from typing import Any

import pytest
from pydantic import ValidationError

from fulfillment_assets.orders.contract import FIELDS, Kind
from fulfillment_assets.orders.docs import json_schema_text
from fulfillment_assets.orders.model import EnrichedOrder, order_json_schema
from tests.orders.examples import order_row

PYTHON_TYPES = {
    Kind.TEXT: str,
    Kind.CATEGORY: str,
    Kind.INTEGER: int,
    Kind.NUMBER: float,
    Kind.TIMESTAMP: dt.datetime,
}


def read(**changes: Any) -> EnrichedOrder:
    return EnrichedOrder.model_validate(order_row() | changes)


def broken(data: object) -> dict[str, str]:
    with pytest.raises(ValidationError) as caught:
        EnrichedOrder.model_validate(data)
    return {".".join(map(str, error["loc"])): error["msg"] for error in caught.value.errors()}


def test_the_declared_fields_are_those_of_the_contract() -> None:
    hints = typing.get_type_hints(EnrichedOrder)
    declared = [
        (name, set(typing.get_args(hints[name])) or {hints[name]}, info.is_required())
        for name, info in EnrichedOrder.model_fields.items()
    ]
    assert declared == [
        (
            field.name,
            {PYTHON_TYPES[field.kind]} | (set() if field.required else {NoneType}),
            field.required,
        )
        for field in FIELDS
    ]


def test_a_timestamp_comes_after_those_that_it_is_compared_with() -> None:
    names = [field.name for field in FIELDS]
    for field in FIELDS:
        if field.not_before is not None:
            assert names.index(field.not_before) < names.index(field.name)


def test_json_types_are_read_as_the_contract_stores_them() -> None:
    order = EnrichedOrder.model_validate_json(
        json.dumps(
            order_row()
            | {
                "order_id": 17,
                "customer_care_calls": 3.0,
                "customer_rating": "4",
                "cost_of_product": 219,
                "weight_in_gms": "4120.5",
                "gender": "f",
                "ship_date": None,
            }
        )
    )
    record = order.record()
    assert record["order_id"] == "17"
    assert record["customer_care_calls"] == 3
    assert isinstance(record["customer_care_calls"], int)
    assert record["customer_rating"] == 4
    assert isinstance(record["cost_of_product"], float)
    assert record["weight_in_gms"] == 4120.5
    assert record["gender"] == "F"
    assert record["ship_date"] is None
    assert record["order_date"] == dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC)
    assert list(record) == [*(field.name for field in FIELDS), "extra"]


def test_python_dates_are_read_as_their_iso_text() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    order = read(
        order_date=dt.date(2026, 1, 31), ship_date=dt.datetime(2026, 2, 1, 1, 30, tzinfo=zone)
    )
    assert order.order_date == dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
    assert order.ship_date == dt.datetime(2026, 1, 31, 23, 30, tzinfo=dt.UTC)


def test_the_kaggle_headers_are_accepted_and_the_label_is_dropped() -> None:
    order = EnrichedOrder.model_validate(
        {
            "ID": 1,
            "Warehouse_block": "D",
            "Mode_of_Shipment": "Flight",
            "Customer_care_calls": 4,
            "Customer_rating": 2,
            "Cost_of_the_Product": 177,
            "Prior_purchases": 3,
            "Product_importance": "low",
            "Gender": "F",
            "Discount_offered": 44,
            "Weight_in_gms": 1233,
            "Reached.on.Time_Y.N": 1,
        }
    )
    assert (order.order_id, order.cost_of_product, order.extra) == ("1", 177.0, None)


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("customer_care_calls", True, "must be a whole number, without thousands separators"),
        ("customer_care_calls", 3.5, "must be a whole number, without thousands separators"),
        ("customer_care_calls", [3], "must be a whole number, without thousands separators"),
        pytest.param("customer_care_calls", 10**5000, "must be between 0 and 50", id="huge"),
        (
            "cost_of_product",
            False,
            "must be a plain number such as 219.5, without thousands separators",
        ),
        ("cost_of_product", float("nan"), "is missing"),
        (
            "cost_of_product",
            float("inf"),
            "must be a plain number such as 219.5, without thousands separators",
        ),
        ("discount_offered", 150, "must be between 0 and 100"),
        ("gender", 1, "must be one of F, M"),
        ("gender", None, "is missing"),
        ("order_id", 1.5, "must be printable characters only"),
        ("order_id", True, "must be printable characters only"),
        ("order_id", {"id": 1}, "must be printable characters only"),
        pytest.param("order_id", 10**5000, "must be at most 64 characters", id="huge id"),
        ("order_id", "\ud800", "must be printable characters only"),
        (
            "order_date",
            1772357400,
            "must be an ISO 8601 date or date-time, such as 2026-03-01T09:30:00Z",
        ),
        ("delivery_date", "2026-03-02", "must not be before ship_date"),
    ],
)
def test_a_wrong_value_is_refused_with_the_rule_of_the_contract(
    field: str, value: object, rule: str
) -> None:
    assert broken(order_row() | {field: value}) == {field: rule}


def test_nan_in_json_text_is_missing() -> None:
    text = json.dumps(order_row() | {"discount_offered": float("nan")})
    with pytest.raises(ValidationError, match="is missing"):
        EnrichedOrder.model_validate_json(text)


def test_every_missing_field_is_named() -> None:
    assert broken({}) == {field.name: "is missing" for field in FIELDS if field.required}


def test_a_field_given_twice_is_refused() -> None:
    data = order_row() | {"Warehouse": "A"}
    assert broken(data) == {
        "": 'the columns "warehouse_block" and "Warehouse" both mean warehouse_block'
    }


@pytest.mark.parametrize("data", [[], "order", 3, None])
def test_what_is_no_object_is_refused(data: object) -> None:
    assert list(broken(data)) == [""]


def test_broken_descriptive_values_and_unknown_keys_are_kept_in_the_extra() -> None:
    order = read(
        payment_status="owed",
        carrier_name=7.5,
        Gift=True,
        note="für \0 \ud800 dich",
        nested={"a": [1, None]},
        empty="  ",
        nothing=None,
    )
    assert (order.payment_status, order.carrier_name) == (None, None)
    assert json.loads(order.extra or "") == {
        "carrier_name": "7.5",
        "payment_status": "owed",
        "Gift": "true",
        "note": "für \ufffd \ufffd dich",
        "nested": '{"a": [1, null]}',
    }


def test_a_value_nested_beyond_reason_is_not_kept() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert read(deep=deep).extra == '{"deep":"(nested too deeply to be kept)"}'


def test_an_order_cannot_be_changed_once_validated() -> None:
    with pytest.raises(ValidationError):
        read().order_id = "other"  # type: ignore[misc]


class TestJsonSchema:
    """The published schema."""

    def test_it_is_what_pydantic_and_so_openapi_show(self) -> None:
        published = order_json_schema()
        del published["$schema"]
        assert EnrichedOrder.model_json_schema() == published

    def test_it_carries_the_rules_of_the_contract(self) -> None:
        schema = order_json_schema()
        assert schema["required"] == [field.name for field in FIELDS if field.required]
        assert schema["properties"]["discount_offered"] == {
            "type": "number",
            "description": "Discount on the order, in percent.",
            "examples": [5.0],
            "minimum": 0,
            "maximum": 100,
        }
        assert schema["properties"]["cost_of_product"]["exclusiveMinimum"] == 0
        assert schema["properties"]["payment_status"]["enum"] == [
            "paid",
            "pending",
            "refunded",
            None,
        ]
        assert schema["properties"]["ship_date"]["format"] == "date-time"

    def test_the_text_is_the_schema(self) -> None:
        assert json.loads(json_schema_text()) == order_json_schema()
