"""JSON objects are judged as the model judges each of them, in whatever company."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from fulfillment_assets.orders.contract import BY_NAME, FIELDS, Field, Kind
from fulfillment_assets.orders.json_reader import JsonObject, parse_object, validate_objects
from fulfillment_assets.orders.model import EnrichedOrder
from fulfillment_assets.orders.rules import RuleBroken
from fulfillment_assets.orders.schema import ORDER_SCHEMA
from fulfillment_assets.orders.validation import OrderBatch
from tests.orders.examples import order_row
from tests.orders.test_same_verdict import SPELLINGS

MANY = 40
"""So many objects with the same keys are judged as columns."""

# What JSON may hold where a text or a number is expected.
ODD: Sequence[object] = (
    None,
    True,
    False,
    0,
    -0.0,
    3,
    3.0,
    3.5,
    1e300,
    float("inf"),
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    10**400,
    10**4000,
    [],
    [1, "a"],
    {},
    {"a": {"b": None}},
    "\ud800",
    "a\0b",
    "\x1f",
    "é",
)


def typed_order(**changes: object) -> dict[str, object]:
    """A sound order as a producer would send it: numbers as numbers."""
    order: dict[str, object] = dict(order_row())
    for field in FIELDS:
        if field.kind is Kind.INTEGER:
            order[field.name] = int(field.example)
        elif field.kind is Kind.NUMBER:
            order[field.name] = float(field.example)
    return order | changes


def validated(objects: Sequence[JsonObject]) -> OrderBatch:
    """The objects after validation, numbered from 1."""
    return validate_objects(objects, np.arange(1, len(objects) + 1))


def verdicts(batch: OrderBatch) -> list[object]:
    """The verdict on each object: its canonical values, or its broken rules by field."""
    found: dict[int, object] = {
        row.row_number: {error.field: error.rule for error in row.errors} for row in batch.rejected
    }
    for values in batch.orders.to_pylist():
        found[values.pop("row_number")] = values
    return [found[number] for number in sorted(found)]


def by_model(order: JsonObject) -> dict[str, Any]:
    try:
        return EnrichedOrder.model_validate(order).record()
    except ValidationError as failure:
        errors = failure.errors()
        if not errors[0]["loc"]:
            return {"value": f"is ambiguous: {errors[0]['msg']}"}
        return {str(error["loc"][0]): error["msg"] for error in errors}


def _value(field: Field) -> st.SearchStrategy[object]:
    plain = st.sampled_from(SPELLINGS) | st.sampled_from(ODD) | st.just(typed_order()[field.name])
    numbers = st.integers(-5, 110) | st.floats(0, 110) | st.integers()
    return plain | numbers if field.kind in (Kind.INTEGER, Kind.NUMBER) else plain


@st.composite
def _orders(draw: st.DrawFn) -> dict[str, object]:
    order = typed_order()
    for field in draw(st.lists(st.sampled_from(FIELDS), max_size=4, unique=True)):
        order[field.name] = draw(_value(field))
    for name in draw(st.lists(st.sampled_from(list(BY_NAME)), max_size=2)):
        order.pop(name, None)
    if draw(st.booleans()):
        order[draw(st.sampled_from(("note", "Gift wrap", "Status", " weight.in-gms")))] = draw(
            st.text(max_size=8) | st.sampled_from(ODD)
        )
    return order


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_orders(), min_size=1, max_size=6), st.booleans())
def test_objects_are_judged_as_the_model_judges_them(
    orders: list[dict[str, object]], in_company: bool
) -> None:
    copies = MANY if in_company else 1
    batch = validated([order for order in orders for _ in range(copies)])
    assert verdicts(batch) == [by_model(order) for order in orders for _ in range(copies)]


@pytest.mark.parametrize("name", list(BY_NAME))
def test_every_value_in_every_field_is_judged_as_the_model_does(name: str) -> None:
    orders = [typed_order(**{name: value}) for value in (*SPELLINGS, *ODD)]
    assert len(orders) > MANY
    assert verdicts(validated(orders)) == [by_model(order) for order in orders]


def test_every_value_under_an_unknown_key_is_kept_as_the_model_keeps_it() -> None:
    orders = [typed_order(note=value) for value in (*SPELLINGS, *ODD)]
    assert verdicts(validated(orders)) == [by_model(order) for order in orders]


def test_texts_and_numbers_mean_the_same() -> None:
    typed, text = validated([typed_order()] * MANY), validated([order_row()] * MANY)
    assert typed.orders.equals(text.orders)
    assert typed.orders.schema == ORDER_SCHEMA


@pytest.mark.parametrize("copies", [1, MANY])
def test_keys_may_be_any_accepted_header(copies: int) -> None:
    order = typed_order()
    order["Cost.of.the-Product"] = order.pop("cost_of_product")
    order["Reached.on.Time_Y.N"] = 1
    batch = validated([order] * copies)
    assert batch.orders["cost_of_product"].to_pylist() == [219.0] * copies
    assert batch.orders["extra"].null_count == copies, "an outcome is no part of an order"


@pytest.mark.parametrize("copies", [1, MANY])
def test_two_keys_that_mean_one_field_reject_the_order(copies: int) -> None:
    batch = validated([typed_order() | {"Weight.in.gms": 5}] * copies)
    assert batch.orders.num_rows == 0
    assert {row.reasons for row in batch.rejected} == {
        "value is ambiguous: "
        'the columns "weight_in_gms" and "Weight.in.gms" both mean weight_in_gms'
    }


def test_orders_of_every_kind_come_out_by_their_numbers() -> None:
    shapes: list[dict[str, object]] = [
        typed_order(),
        typed_order(note="x"),
        typed_order(gender="?"),
        typed_order(order_id=7),
        typed_order(cost_of_product=True),
        {},
    ]
    orders = [shapes[number % 5] for number in range(5 * MANY)] + [shapes[5]]
    batch = validated(orders)
    accepted = batch.orders["row_number"].to_pylist()
    rejected = [row.row_number for row in batch.rejected]
    assert accepted == sorted(accepted)
    assert rejected == sorted(rejected)
    assert sorted(accepted + rejected) == list(range(1, len(orders) + 1))
    assert batch.received == len(orders)
    assert len(rejected) == 2 * MANY + 1


@pytest.mark.parametrize("copies", [1, MANY])
def test_a_rejected_order_is_kept_as_it_came(copies: int) -> None:
    order = typed_order(gender="?", note=[1], customer_rating=9, carrier_name=None)
    row = validated([order] * copies).rejected[0]
    assert row.raw["gender"] == "?"
    assert row.raw["note"] == "[1]"
    assert row.raw["carrier_name"] is None
    assert row.raw["cost_of_product"] == "219.0"
    assert list(row.raw) == list(order)
    assert row.message == (
        'row 1: customer_rating "9": must be between 1 and 5; gender "?": must be one of F, M'
    )


def test_ten_thousand_objects_of_ten_thousand_shapes_are_read_in_seconds() -> None:
    orders = [typed_order(**{f"key {number}": number}) for number in range(10_000)]
    batch = validated(orders)
    assert batch.orders.num_rows == len(orders)
    assert json.loads(batch.orders["extra"][9_999].as_py()) == {"key 9999": "9999"}


def test_an_object_with_very_many_keys_is_read() -> None:
    order = typed_order(**{f"key {number}": "x" for number in range(5_000)})
    batch = validated([order] * MANY)
    assert batch.orders.num_rows == MANY
    assert len(json.loads(batch.orders["extra"][0].as_py())) == 5_000


def test_nothing_gives_nothing() -> None:
    batch = validated([])
    assert (batch.orders.num_rows, batch.rejected, batch.received) == (0, (), 0)
    assert batch.orders.schema == ORDER_SCHEMA


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"", "must be a JSON object: Expecting value at character 1"),
        (b"  ", "must be a JSON object: Expecting value at character 3"),
        (b"{", "must be a JSON object: Expecting property name enclosed in double quotes at"),
        (b'{"a": 1} {"b": 2}', "must be a JSON object: Extra data at character 10"),
        (b'{"a": "\0"}', "must be a JSON object: Invalid control character at at character 8"),
        (b'{"a": 01}', "must be a JSON object: Expecting ',' delimiter at character 8"),
        (b"{'a': 1}", "must be a JSON object: Expecting property name"),
        (b'\xef\xbb\xbf{"a": 1}', "must be a JSON object: "),
        (b'{"a": NaN}', "must be a JSON object: NaN is not a number in JSON"),
        (b'{"a": -Infinity}', "must be a JSON object: -Infinity is not a number in JSON"),
        (b'{"a": "\xff"}', "must be valid UTF-8 text"),
        ('{"a": 1}'.encode("utf-16"), "must be valid UTF-8 text"),
        (b'{"a": 1, "b": 2, "a": 1}', 'must be a JSON object that has each key once; "a" repeats'),
        (b'{"a": {"b": 1, "b": 2}}', 'has each key once; "b" repeats'),
        (b"[" * 100_000, "must be a JSON object that is not nested too deeply"),
        (b'{"a":' * 100_000, "must be a JSON object that is not nested too deeply"),
        (b'{"a": ' + b"1" * 5_000 + b"}", "must be a JSON object without endless numbers"),
        (b"null", "must be a JSON object, not null"),
        (b"[]", "must be a JSON object, not an array"),
        (b'"a"', "must be a JSON object, not a string"),
        (b"1", "must be a JSON object, not a number"),
        (b"1.5", "must be a JSON object, not a number"),
        (b"true", "must be a JSON object, not a boolean"),
    ],
)
def test_what_is_not_one_json_object_breaks_a_rule_that_says_so(text: bytes, rule: str) -> None:
    with pytest.raises(RuleBroken) as broken:
        parse_object(text)
    assert rule in str(broken.value)


def test_a_key_that_repeats_among_very_many_is_found_at_once() -> None:
    members = ",".join(f'"{number}":0' for number in range(80_000))
    started = time.perf_counter()
    with pytest.raises(RuleBroken, match='"79999" repeats'):
        parse_object(f'{{{members},"79999":1}}'.encode())
    assert time.perf_counter() - started < 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a": "\\u0000"}', "\0"),
        (b'{"a": 1e999}', float("inf")),
        (b'\n{"a"\t: "x" }\r\n', "x"),
        (b'{"a": ' + b'{"b":' * 200 + b"1" + b"}" * 201, ...),
    ],
)
def test_odd_but_lawful_json_is_read(text: bytes, value: object) -> None:
    found = parse_object(text)
    assert list(found) == ["a"]
    assert value is ... or found["a"] == value
