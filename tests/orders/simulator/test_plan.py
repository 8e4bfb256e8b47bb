from __future__ import annotations

import datetime
import math
from typing import Any

import pytest

from fulfillment_assets.orders.simulator import SimulationPlan, simulate
from fulfillment_assets.orders.simulator.recipe import LOWEST_LATE_SHARE

SOUND: dict[str, Any] = {"count": 10, "seed": 1, "start": datetime.date(2026, 3, 1)}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("count", 0),
        ("count", -5),
        ("count", 1_000_000_000),
        ("seed", -1),
        ("seed", 2**64),
        ("days", 0),
        ("days", 3_651),
        ("start", datetime.date(1969, 12, 31)),
        ("start", datetime.date(9999, 12, 31)),
        ("late_share", 0.3),
        ("late_share", 1.01),
        ("late_share", math.nan),
        ("fault_share", -0.1),
        ("fault_share", 1.1),
        ("fault_share", math.nan),
    ],
)
def test_an_option_out_of_range_is_refused_by_its_name(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"^{option} must be .* not {value}"):
        SimulationPlan(**SOUND | {option: value})


def test_a_late_share_out_of_reach_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match=r"even the orders that are not certain to be late"):
        SimulationPlan(**SOUND, late_share=0.1)


@pytest.mark.parametrize("late_share", [None, LOWEST_LATE_SHARE, 0.5, 1])
def test_a_late_share_within_reach_is_taken(late_share: float | None) -> None:
    assert SimulationPlan(**SOUND, late_share=late_share).late_share == late_share


def test_the_largest_seed_and_the_last_start_can_be_simulated() -> None:
    plan = SimulationPlan(count=1, seed=2**64 - 1, start=datetime.date(9900, 1, 1), days=3_650)
    (chunk,) = simulate(plan)
    assert chunk.orders["order_id"].to_pylist() == ["ORD-FFFFFFFFFFFFFFFF-000000001"]
    assert 9900 <= chunk.truth["delivery_date"][0].as_py().year <= 9910
