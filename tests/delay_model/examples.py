"""Random valid orders for property tests."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from fulfillment_assets.orders.contract import BY_NAME, FEATURES, Field, Kind

Order = dict[str, str | int | float]

# Where the model's thresholds lie, so that random orders cross them.
_USUAL = {
    "customer_care_calls": (0, 10),
    "customer_rating": (1, 5),
    "prior_purchases": (0, 12),
    "cost_of_product": (90, 320),
    "discount_offered": (0, 70),
    "weight_in_gms": (900, 6100),
}


def _values(field: Field) -> st.SearchStrategy[Any]:
    if field.kind is Kind.CATEGORY:
        return st.sampled_from(field.choices)
    usual = st.integers(*_USUAL[field.name])
    if field.kind is Kind.INTEGER:
        return usual | st.integers(int(field.minimum or 0), int(field.maximum or 0))
    lowest = field.above if field.minimum is None else field.minimum
    return (
        usual.map(float)
        | usual.map(lambda value: value + 0.5)
        | st.floats(
            min_value=lowest, max_value=field.maximum, exclude_min=field.minimum is None, width=64
        )
    )


valid_orders: st.SearchStrategy[Order] = st.fixed_dictionaries(
    {name: _values(BY_NAME[name]) for name in FEATURES}
)
"""Any order that the contract accepts, most often like those of the training data."""

batches = st.lists(valid_orders, min_size=1, max_size=40)


def table(orders: list[Order]) -> pa.Table:
    """Orders as a batch, in the column types of validated orders."""
    types = {Kind.CATEGORY: pa.string(), Kind.INTEGER: pa.int64(), Kind.NUMBER: pa.float64()}
    return pa.table(
        {
            name: pa.array([order[name] for order in orders], types[BY_NAME[name].kind])
            for name in FEATURES
        }
    )


def order(**changes: str | int | float) -> Order:
    """One ordinary order, with some features changed."""
    return {name: _example(BY_NAME[name]) for name in FEATURES} | changes


def _example(field: Field) -> str | int | float:
    match field.kind:
        case Kind.CATEGORY:
            return field.example
        case Kind.INTEGER:
            return int(field.example)
        case _:
            return float(field.example)
