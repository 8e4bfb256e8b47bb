from __future__ import annotations

import datetime
import itertools

import numpy as np
import pyarrow as pa
import pytest

from fulfillment_assets.orders.contract import BY_NAME, FEATURES, FIELDS, Kind
from fulfillment_assets.orders.schema import ORDER_SCHEMA
from fulfillment_assets.orders.simulator import SimulationPlan, simulate, training_frame

START = datetime.date(2026, 3, 1)

# Order 70,000 of seed 42, placed in March 2026.
GOLDEN_TIMES = [
    "2026-03-18T11:23:50+00:00",
    "2026-03-24T18:00:00+00:00",
    "2026-03-18T13:56:10+00:00",
    "2026-03-25T18:43:34+00:00",
]
GOLDEN_ROW = {
    "order_id": "ORD-002A-000070000",
    "customer_id": "CUST-071619",
    "warehouse_block": "F",
    "mode_of_shipment": "Road",
    "carrier_name": "Milestone Haulage",
    "customer_care_calls": 3,
    "customer_rating": 1,
    "prior_purchases": 5,
    "gender": "M",
    "product_importance": "low",
    "cost_of_product": 212,
    "discount_offered": 49,
    "weight_in_gms": 3474,
    "payment_status": "paid",
    "order_status": "delivered",
}


def simulated(plan: SimulationPlan, chunk_rows: int = 100_000) -> tuple[pa.Table, pa.Table]:
    chunks = list(simulate(plan, chunk_rows=chunk_rows))
    return (
        pa.concat_tables([chunk.orders for chunk in chunks]),
        pa.concat_tables([chunk.truth for chunk in chunks]),
    )


def orders_of(plan: SimulationPlan) -> pa.Table:
    return simulated(plan)[0]


def truth_of(plan: SimulationPlan) -> pa.Table:
    return simulated(plan)[1]


@pytest.mark.parametrize("fault_share", [0.0, 0.05])
@pytest.mark.parametrize("chunk_rows", [777, 65_536, 200_000])
def test_the_orders_do_not_depend_on_the_chunks(chunk_rows: int, fault_share: float) -> None:
    plan = SimulationPlan(70_001, 5, START, fault_share=fault_share)
    orders, truth = simulated(plan)
    orders_again, truth_again = simulated(plan, chunk_rows)
    assert orders_again.equals(orders)
    assert truth_again.equals(truth)


def test_chunks_have_the_asked_number_of_rows() -> None:
    chunks = list(simulate(SimulationPlan(70_000, 5, START), chunk_rows=20_000))
    assert [chunk.orders.num_rows for chunk in chunks] == [20_000, 20_000, 20_000, 10_000]
    assert [chunk.truth.num_rows for chunk in chunks] == [20_000, 20_000, 20_000, 10_000]


def test_a_chunk_of_no_rows_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="chunk_rows must be at least 1, not 0"):
        simulate(SimulationPlan(1, 1, START), chunk_rows=0)


def test_the_orders_of_a_smaller_count_come_first_in_a_larger_one() -> None:
    small, large = (SimulationPlan(n, 5, START, fault_share=0.1) for n in (1_000, 70_000))
    for of_small, of_large in zip(simulated(small), simulated(large), strict=True):
        assert of_large.slice(0, 1_000).equals(of_small)


def test_the_fields_are_those_of_the_contract_in_its_order() -> None:
    orders = orders_of(SimulationPlan(10, 5, START))
    assert orders.column_names == [field.name for field in FIELDS]
    kinds = {
        Kind.TEXT: pa.string(),
        Kind.CATEGORY: pa.string(),
        Kind.INTEGER: pa.int64(),
        Kind.NUMBER: pa.int64(),
        Kind.TIMESTAMP: pa.timestamp("s", tz="UTC"),
    }
    assert orders.schema.types == [kinds[field.kind] for field in FIELDS]


def test_the_truth_does_not_stand_among_the_orders() -> None:
    orders, truth = simulated(SimulationPlan(10, 5, START))
    assert truth.column_names == ["order_id", "is_late", "delivery_date", "fault"]
    assert not {"is_late", "fault"} & set(orders.column_names)


def test_order_ids_are_unique_ascending_and_equal_in_the_truth() -> None:
    orders, truth = simulated(SimulationPlan(70_000, 5, START))
    ids = orders["order_id"]
    assert all(first < second for first, second in itertools.pairwise(ids.to_pylist()))
    assert ids.equals(truth["order_id"])
    assert ids[0].as_py() == "ORD-0005-000000001"
    assert ids[69_999].as_py() == "ORD-0005-000070000"


def test_different_seeds_share_no_order_id_and_no_row() -> None:
    first, second = (orders_of(SimulationPlan(1_000, seed, START)) for seed in (5, 6))
    assert not set(first["order_id"].to_pylist()) & set(second["order_id"].to_pylist())
    assert first["weight_in_gms"].to_pylist() != second["weight_in_gms"].to_pylist()


def test_blocks_of_one_seed_differ() -> None:
    weights = orders_of(SimulationPlan(131_072, 5, START))["weight_in_gms"].to_numpy()
    assert np.mean(weights[:65_536] == weights[65_536:]) < 0.01


def test_one_seed_means_one_order_for_good() -> None:
    row = orders_of(SimulationPlan(70_000, 42, START)).slice(69_999).to_pylist()[0]
    times = [row.pop(field.name) for field in FIELDS if field.kind is Kind.TIMESTAMP]
    assert [time and time.isoformat() for time in times] == GOLDEN_TIMES
    assert row == GOLDEN_ROW


def test_training_orders_are_those_of_the_plan_with_the_same_seed() -> None:
    features, labels = training_frame(70_000, 5)
    orders, truth = simulated(SimulationPlan(70_000, 5, START))
    for name in FEATURES:
        assert orders[name].cast(features[name].type).equals(features[name])
    assert labels.dtype == np.int8
    np.testing.assert_array_equal(labels, truth["is_late"].to_numpy())


def test_training_features_have_the_contract_s_order_and_values() -> None:
    features, labels = training_frame(5_000, 5)
    assert features.column_names == list(FEATURES)
    assert (features.num_rows, labels.shape) == (5_000, (5_000,))
    for field in (BY_NAME[name] for name in FEATURES):
        assert features.schema.field(field.name).type == ORDER_SCHEMA.field(field.name).type
        if field.kind is Kind.CATEGORY:
            assert set(features[field.name].to_pylist()) <= set(field.choices)


def test_training_orders_are_checked_like_a_plan() -> None:
    with pytest.raises(ValueError, match="count must be between"):
        training_frame(0, 1)
