"""The simulated traffic of segments, and what the benchmark makes of the rules' deviations."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pytest
from sqlalchemy.engine import Engine

from benchmarks.segment_traffic import SHIFTED, Traffic
from benchmarks.segments import MIDNIGHT, Bench, false_alarm_days, power
from fulfillment_assets.deviations.segments import DIMENSIONS

HOURS = [MIDNIGHT - dt.timedelta(hours=back) for back in (2, 1)]


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return Traffic(20_000)


@pytest.fixture
def bench(engine: Engine, traffic: Traffic) -> Iterator[Bench]:
    yield Bench(engine, traffic, looks_per_hour=2, look_seconds=[])


def mean(table: dict[str, list[float]], places: list[int]) -> float:
    orders = sum(table["orders"][place] for place in places)
    return sum(table["probability_sum"][place] for place in places) / orders


def test_an_hour_has_its_orders_in_the_simulators_mix(traffic: Traffic) -> None:
    rows = traffic.rows(np.random.default_rng(1), HOURS, 50_000).to_pydict()
    assert set(rows["bucket"]) == set(HOURS)
    orders = np.array(rows["orders"])
    assert orders.sum() == pytest.approx(100_000, rel=0.02)
    ship = np.array(rows["mode_of_shipment"]) == "Ship"
    assert orders[ship].sum() / orders.sum() == pytest.approx(0.678, abs=0.02)
    assert mean(rows, list(range(len(orders)))) == pytest.approx(0.597, abs=0.02)
    graded = sum(np.array(rows[name]).sum() for name in ("critical", "warning", "info"))
    assert graded <= orders.sum()


def test_a_shift_raises_its_segment_alone(traffic: Traffic) -> None:
    usual, shifted = (
        traffic.rows(np.random.default_rng(1), HOURS, 50_000, shift=shift).to_pydict()
        for shift in (0.0, 0.15)
    )
    assert usual["orders"] == shifted["orders"]
    names = list(zip(*(usual[name] for name in DIMENSIONS), strict=True))
    within = [n for n, (block, mode, _) in enumerate(names) if (block, mode) == ("F", "Road")]
    without = [n for n in range(len(names)) if n not in within]
    assert 0.1 < mean(shifted, within) - mean(usual, within) <= 0.15
    assert mean(shifted, without) == mean(usual, without)
    assert traffic.shifted_share == pytest.approx(0.053, abs=0.01)
    assert SHIFTED.key == "F/Road/*"


def test_a_planted_shift_is_found_where_there_is_traffic_for_it(bench: Bench) -> None:
    found = power(bench, 2, 20_000)
    assert (found.seeds, found.found, found.right_first) == (2, 2, 2)
    assert power(bench, 1, 200).found == 0


def test_a_stationary_day_is_judged_at_every_look(bench: Bench) -> None:
    assert false_alarm_days(bench, 1, 1_000) == 0
    assert len(bench.look_seconds) == 48
