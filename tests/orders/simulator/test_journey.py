"""Dates, carriers, statuses and payments hang together."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from fulfillment_assets.orders.simulator import SimulationPlan
from fulfillment_assets.orders.simulator.journey import CARRIERS

Columns = dict[str, npt.NDArray[Any]]

DAY = 86_400
START = int(datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC).timestamp())
END = START + 30 * DAY


def test_orders_are_placed_all_over_the_period_and_not_outside(sample: Columns) -> None:
    placed = sample["order_date"]
    assert ((placed >= START) & (placed < END)).all()
    by_day = np.bincount((placed - START) // DAY, minlength=30)
    assert by_day.min() > 200_000 / 30 * 0.8
    assert by_day.max() < 200_000 / 30 * 1.25


def test_more_orders_are_placed_in_the_evening_than_at_night(sample: Columns) -> None:
    by_hour = np.bincount(sample["order_date"] % DAY // 3_600, minlength=24)
    assert by_hour[20] > 10 * by_hour[4] > 0


def test_an_order_is_late_if_and_only_if_it_is_truly_delivered_after_its_promise(
    sample: Columns,
) -> None:
    promised = sample["promised_delivery_date"]
    np.testing.assert_array_equal(sample["is_late"], sample["true_delivery"] > promised)


def test_dates_follow_each_other(sample: Columns) -> None:
    placed, promised, shipped, delivered = (
        sample[name]
        for name in ("order_date", "promised_delivery_date", "ship_date", "delivery_date")
    )
    has_shipped, has_delivered = shipped > 0, delivered > 0
    assert (promised > placed).all()
    assert (shipped > placed)[has_shipped].all()
    assert (shipped < promised)[has_shipped].all()
    assert (delivered > shipped)[has_delivered].all()
    assert has_shipped[has_delivered].all()
    assert (sample["true_delivery"] > placed).all()


def test_nothing_is_known_that_lies_after_the_end_of_the_period(sample: Columns) -> None:
    assert sample["ship_date"].max() <= END
    delivered = sample["delivery_date"]
    assert delivered.max() <= END
    known = delivered > 0
    np.testing.assert_array_equal(delivered[known], sample["true_delivery"][known])
    missing = ~known & (sample["order_status"] != "cancelled")
    assert (sample["true_delivery"][missing] > END).all()


def test_the_status_says_what_the_dates_say(sample: Columns) -> None:
    status = sample["order_status"]
    shipped, delivered = sample["ship_date"].astype(bool), sample["delivery_date"].astype(bool)
    overdue = sample["promised_delivery_date"] <= END
    active = status != "cancelled"
    np.testing.assert_array_equal(status == "delivered", delivered)
    np.testing.assert_array_equal(status == "processing", active & ~shipped)
    np.testing.assert_array_equal(status == "delayed", active & shipped & ~delivered & overdue)
    np.testing.assert_array_equal(status == "shipped", active & shipped & ~delivered & ~overdue)


def test_every_status_occurs_and_few_orders_are_cancelled(sample: Columns) -> None:
    counts = Counter(sample["order_status"].tolist())
    assert set(counts) == {"processing", "shipped", "delivered", "delayed", "cancelled"}
    assert counts["cancelled"] / 200_000 == pytest.approx(0.02, abs=0.004)
    assert counts.most_common(1)[0][0] == "delivered"


def test_a_cancelled_order_is_refunded_or_never_paid_and_never_delivered(sample: Columns) -> None:
    cancelled = sample["order_status"] == "cancelled"
    assert set(sample["payment_status"][cancelled].tolist()) == {"refunded", "pending"}
    assert not sample["delivery_date"][cancelled].any()
    assert 0 < sample["ship_date"][cancelled].astype(bool).mean() < 1


def test_only_orders_that_went_wrong_or_came_back_are_refunded(sample: Columns) -> None:
    refunded = sample["payment_status"] == "refunded"
    assert set(sample["order_status"][refunded].tolist()) == {"delivered", "delayed", "cancelled"}
    assert (sample["payment_status"] == "paid").mean() > 0.9


def test_the_promise_depends_on_the_mode(sample: Columns) -> None:
    lead = (sample["promised_delivery_date"] - sample["order_date"]) / DAY
    mean = {mode: lead[sample["mode_of_shipment"] == mode].mean() for mode in CARRIERS}
    assert mean["Flight"] < mean["Road"] < mean["Ship"]


@pytest.mark.parametrize("mode", CARRIERS)
def test_each_mode_has_its_own_carriers(sample: Columns, mode: str) -> None:
    carriers = set(sample["carrier_name"][sample["mode_of_shipment"] == mode].tolist())
    assert carriers == set(CARRIERS[mode])


def test_how_long_handling_takes_does_not_betray_the_outcome(sample: Columns) -> None:
    known = sample["ship_date"].astype(bool)
    handling = (sample["ship_date"] - sample["order_date"])[known]
    late = sample["is_late"][known]
    assert abs(handling[late].mean() - handling[~late].mean()) < 0.01 * handling.mean()


def test_customers_return_and_keep_their_gender(sample: Columns) -> None:
    pairs = pa.table({"customer": sample["customer_id"], "gender": sample["gender"]})
    customers = pairs.group_by("customer").aggregate([("gender", "count_distinct")])
    assert set(customers["gender_count_distinct"].to_pylist()) == {1}
    assert 20_000 < customers.num_rows < 150_000


def test_a_period_of_one_day_works(columns_of: Callable[[SimulationPlan], Columns]) -> None:
    plan = SimulationPlan(1_000, 5, datetime.date(2026, 3, 1), days=1)
    status = Counter(columns_of(plan)["order_status"].tolist())
    assert set(status) <= {"processing", "shipped", "cancelled"}
    assert status["processing"] > 500
