"""A day's orders against those that the champion was trained on."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.delay_model.drift import (
    MINIMUM_ORDERS,
    feature_bins,
    population_stability_index,
)
from fulfillment_assets.delay_model.metadata import ModelMetadata
from fulfillment_assets.delay_model.profile import NumberProfile
from fulfillment_assets.monitoring.drift import DriftReport, latest_drift, measure_drift
from fulfillment_assets.orders.simulator import SimulationPlan, write_csv
from tests.monitoring.examples import DAY, PROCESSING, at, hear
from tests.scoring.workplace import Workplace

DAYS = 20


def receive(
    workplace: Workplace, day: dt.date, count: int, *, seed: int, late_share: float | None = None
) -> None:
    """Score simulated orders as received on a day."""
    plan = SimulationPlan(count, seed, start=dt.date(2026, 2, 1), late_share=late_share)
    path = write_csv(plan, workplace.outside / f"{day}-{seed}.csv").out_path
    workplace.score(path, received=dt.datetime.combine(day, dt.time(12), dt.UTC))


def measured(workplace: Workplace, day: dt.date = DAY) -> DriftReport:
    return measure_drift(workplace.engine, day, workplace.scorer.metadata)


def latest(engine: Engine, *, judged: bool = False) -> DriftReport | None:
    with engine.connect() as connection:
        return latest_drift(connection, judged=judged)


def test_no_drift_stays_green_on_20_of_20_days_and_another_mix_turns_the_next_red(
    workplace: Workplace,
) -> None:
    for number in range(DAYS):
        day = DAY + dt.timedelta(days=number)
        receive(workplace, day, 500, seed=number)
        report = measured(workplace, day)
        assert (report.status, report.orders) == ("ok", 500), report.message
    shifted = DAY + dt.timedelta(days=DAYS)
    receive(workplace, shifted, 500, seed=DAYS, late_share=0.9)
    report = measured(workplace, shifted)
    assert report.status == "fail"
    drifted = {feature.feature for feature in report.features if feature.verdict == "fail"}
    assert {"discount_offered", "weight_in_gms"} <= drifted
    assert drifted.isdisjoint({"gender", "customer_rating", "mode_of_shipment", "warehouse_block"})
    assert report.message.startswith("500 orders of 2026-03-30 have drifted. weight_in_gms: PSI ")
    assert " is above 0.25: " in report.message
    statuses = workplace.rows(
        "SELECT day, count(*) AS features, bool_or(status = 'fail') AS failed "
        "FROM data_drift GROUP BY day ORDER BY day"
    )
    assert [row["features"] for row in statuses] == [10] * (DAYS + 1)
    assert [row["failed"] for row in statuses] == [False] * DAYS + [True]


def test_the_bins_are_counted_as_the_profile_says(workplace: Workplace) -> None:
    receive(workplace, DAY, 400, seed=5)
    rows = workplace.rows("SELECT features_json FROM predictions")
    metadata = workplace.scorer.metadata
    for found in measured(workplace).features:
        values = [row["features_json"][found.feature] for row in rows]
        bins = feature_bins(metadata.profile)[found.feature]
        if found.feature in metadata.profile.numbers:
            edges = metadata.profile.numbers[found.feature].edges
            positions = np.searchsorted(edges, values, side="right")
        else:
            positions = np.array([bins.names.index(value) for value in values])
        counts = np.bincount(positions, minlength=len(bins.names))
        psi = population_stability_index(np.array(bins.shares), counts / 400)
        assert found.psi == pytest.approx(psi, abs=1e-9), found.feature
        assert found.orders == 400


def test_a_value_on_an_edge_lies_above_it(workplace: Workplace) -> None:
    discounts = [19.999, 20, 42.999, 43, 0, 100]
    changes = [{"order_id": f"O{d}", "discount_offered": str(d)} for d in discounts]
    hear(workplace, at(10), *changes)
    profile = workplace.scorer.metadata.profile
    cut = NumberProfile(quantiles=(), edges=(20.0, 43.0), shares=(0.9998, 0.0001, 0.0001))
    whole = NumberProfile(quantiles=(), edges=(), shares=(1.0,))
    numbers = profile.numbers | {"discount_offered": cut, "weight_in_gms": whole}
    metadata = workplace.scorer.metadata.model_copy(
        update={"profile": profile.model_copy(update={"numbers": numbers})}
    )
    found = {f.feature: f for f in measure_drift(workplace.engine, DAY, metadata).features}
    third = 1 / 3
    moves = [(third - e) * np.log(third / e) for e in (0.9998, 0.0001, 0.0001)]
    assert found["discount_offered"].psi == pytest.approx(sum(moves))
    assert found["weight_in_gms"].psi == 0


def test_an_order_counts_once_by_its_latest_prediction_of_the_day(workplace: Workplace) -> None:
    flown = {"mode_of_shipment": "Flight", "order_status": "shipped"}
    orders = [PROCESSING | {"order_id": f"O{n}"} for n in range(MINIMUM_ORDERS)]
    hear(workplace, at(9), *(order | {"mode_of_shipment": "Road"} for order in orders))
    hear(workplace, at(10, 8), *orders, *(order | flown for order in orders))
    hear(workplace, at(10, 9), *(o | {"order_date": "2026-02-01T09:30:00Z"} for o in orders))
    report = measured(workplace)
    [mode] = [f for f in report.features if f.feature == "mode_of_shipment"]
    assert report.orders == mode.orders == MINIMUM_ORDERS
    shares = feature_bins(workplace.scorer.metadata.profile)["mode_of_shipment"].shares
    all_fly = population_stability_index(np.array(shares), np.array([0, 1, 0]))
    assert mode.psi == pytest.approx(all_fly)


def test_too_few_orders_are_neither_green_nor_red(workplace: Workplace) -> None:
    receive(workplace, DAY, MINIMUM_ORDERS - 1, seed=1, late_share=0.9)
    report = measured(workplace)
    assert report.status == "too_few"
    assert report.message == ("299 orders of 2026-03-10 are too few to tell drift from chance.")
    assert {feature.verdict for feature in report.features} == {"too_few"}


def test_a_day_without_orders_has_no_rows(engine: Engine, committed: ModelMetadata) -> None:
    report = measure_drift(engine, DAY, committed)
    assert (report.status, report.orders, report.features) == ("too_few", 0, ())
    assert report.message == "No order was received on 2026-03-10."
    assert latest(engine) is None


def test_what_was_measured_is_what_is_read_and_measuring_again_replaces_it(
    workplace: Workplace,
) -> None:
    receive(workplace, DAY, 400, seed=1)
    first = measured(workplace)
    assert latest(workplace.engine) == first
    receive(workplace, DAY, 1_200, seed=2, late_share=0.9)
    second = measured(workplace)
    assert (second.orders, second.status) == (1_600, "fail")
    assert latest(workplace.engine) == second
    assert workplace.value("SELECT count(*) FROM data_drift") == 10


def test_a_day_that_has_just_begun_can_be_passed_over(workplace: Workplace) -> None:
    receive(workplace, DAY, 400, seed=1)
    receive(workplace, DAY + dt.timedelta(days=1), 20, seed=2)
    whole, begun = measured(workplace), measured(workplace, DAY + dt.timedelta(days=1))
    assert latest(workplace.engine) == begun
    assert latest(workplace.engine, judged=True) == whole


def test_processes_that_measure_at_once_leave_one_result(workplace: Workplace) -> None:
    receive(workplace, DAY, 400, seed=1)
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: measured(workplace), range(8)))
    assert len({report.features for report in reports}) == 1
    assert workplace.value("SELECT count(*) FROM data_drift") == 10


@pytest.fixture
def committed(workplace: Workplace) -> ModelMetadata:
    return workplace.scorer.metadata
