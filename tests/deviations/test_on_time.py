"""A segment whose expected on-time rate is below the target."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from scipy.stats import norm
from sqlalchemy.engine import Engine

from fulfillment_assets.deviations.on_time import Z, upper_bound
from fulfillment_assets.deviations.severity import SegmentThresholds
from tests.deviations.examples import events, rows
from tests.deviations.traffic import (
    HOUR,
    LEAVES,
    NOON,
    add,
    only_context,
    segment_deviations,
    watch,
)

OF_A = tuple(leaf for leaf in LEAVES if leaf.startswith("A/"))
OF_F = tuple(leaf for leaf in LEAVES if leaf.startswith("F/"))


def rate(
    key: str, severity: str = "critical", status: str = "pending"
) -> tuple[str, str, str, str]:
    return ("on_time_rate", key, severity, status)


def late_at_f(engine: Engine, late_share: float = 0.8, orders: int = 100) -> None:
    """An hour in which warehouse F is late and warehouse A makes up for it."""
    add(engine, NOON, orders, leaves=OF_F, late_share=late_share)
    add(engine, NOON, 10 * orders, leaves=OF_A, late_share=0.0)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (60, 100), (500, 1000)])
def test_the_upper_bound_solves_wilsons_equation(successes: int, trials: int) -> None:
    rate, bound = successes / trials, upper_bound(successes, trials)
    assert rate < bound <= 1
    assert bound - rate == pytest.approx(Z * (bound * (1 - bound) / trials) ** 0.5)
    assert norm.cdf(Z) == pytest.approx(0.999, abs=1e-5)


def test_rates_at_the_target_raise_no_alarm(engine: Engine) -> None:
    add(engine, NOON, 1_000, late_share=0.4)
    assert watch(engine, NOON) == []


def test_a_segment_below_the_target_is_named(engine: Engine) -> None:
    late_at_f(engine)
    assert watch(engine, NOON) == [rate("F/*/*")]
    context = only_context(engine)
    assert context.pop("upper_bound") == pytest.approx(upper_bound(80, 400))
    hour = "2026-03-10T12:00:00Z"
    assert context == {
        "segment": {
            "warehouse_block": "F",
            "mode_of_shipment": None,
            "product_importance": None,
        },
        "observed": pytest.approx(0.2),
        "target": 0.6,
        "shortfall": pytest.approx(0.4),
        "orders": 400,
        "window_hours": 24,
        "first_hour": hour,
        "latest_hour": hour,
        "worst": {
            "hour": hour,
            "observed": pytest.approx(0.2),
            "shortfall": pytest.approx(0.4),
            "orders": 400,
        },
        "riskiest_orders": [],
    }
    [row] = rows(engine, "SELECT reason FROM deviations")
    assert row["reason"] == (
        "Of orders of warehouse F 20% are expected on time over the last 24 hours (400 orders); "
        "the target is 60%"
    )


def test_the_whole_and_every_single_value_are_held_against_the_target(engine: Engine) -> None:
    add(engine, NOON, 200, late_share=0.9)
    singles = ["*/*/*", "*/*/high", "*/*/low", "*/Road/*", "*/Ship/*", "A/*/*", "F/*/*"]
    assert watch(engine, NOON) == [rate(key) for key in singles]


def test_a_small_shortfall_is_a_warning(engine: Engine) -> None:
    late_at_f(engine, late_share=0.5, orders=400)
    assert watch(engine, NOON) == [rate("F/*/*", "warning")]


@pytest.mark.parametrize(
    ("thresholds", "late_share", "orders"),
    [
        (SegmentThresholds(on_time_target=0.1), 0.8, 100),
        (SegmentThresholds(min_orders=1_000), 0.8, 100),
        (SegmentThresholds(), 0.5, 10),
    ],
    ids=["target", "fewest orders", "too few to be sure"],
)
def test_what_is_not_below_the_target_for_sure_raises_no_alarm(
    engine: Engine, thresholds: SegmentThresholds, late_share: float, orders: int
) -> None:
    late_at_f(engine, late_share, orders)
    assert watch(engine, NOON, thresholds) == []


@pytest.mark.parametrize(("back", "judged"), [(0, True), (23, True), (24, False)])
def test_only_the_hours_of_the_window_are_judged(engine: Engine, back: int, judged: bool) -> None:
    late_at_f(engine)
    assert bool(watch(engine, NOON + back * HOUR)) is judged


def test_hours_that_are_still_to_come_are_not_judged(engine: Engine) -> None:
    late_at_f(engine)
    assert watch(engine, NOON - HOUR) == []


def test_a_breach_is_updated_while_it_lasts_and_announced_once(engine: Engine) -> None:
    late_at_f(engine)
    watch(engine, NOON)
    add(engine, NOON + HOUR, 300, leaves=OF_F, late_share=0.6)
    assert watch(engine, NOON + HOUR) == [rate("F/*/*")]
    context = only_context(engine)
    assert context["observed"] == pytest.approx(0.35)
    assert context["worst"]["observed"] == pytest.approx(0.2)
    assert context["first_hour"] == "2026-03-10T12:00:00Z"
    assert context["latest_hour"] == "2026-03-10T13:00:00Z"
    assert [event["key"] for event in events(engine)] == ["F/*/*"]


@pytest.mark.parametrize(
    ("orders", "status"), [(100, "pending"), (200, "pending"), (300, "resolved")]
)
def test_it_clears_when_the_rate_is_back_at_the_target(
    engine: Engine, orders: int, status: str
) -> None:
    late_at_f(engine)
    watch(engine, NOON)
    add(engine, NOON + HOUR, orders, leaves=OF_F, late_share=0.25)
    late = 320 + orders
    observed = 1 - late / (400 + 4 * orders)
    assert (observed >= 0.6) is (status == "resolved")
    assert watch(engine, NOON + HOUR) == [rate("F/*/*", status=status)]


def test_it_clears_when_the_window_has_no_orders(engine: Engine) -> None:
    late_at_f(engine)
    watch(engine, NOON)
    assert watch(engine, NOON + 24 * HOUR) == [rate("F/*/*", status="resolved")]
    [row] = rows(engine, "SELECT reason FROM deviations")
    assert row["reason"].endswith("; cleared: no orders in the window")


def test_a_breach_that_somebody_settled_is_not_opened_again_while_it_lasts(engine: Engine) -> None:
    late_at_f(engine)
    watch(engine, NOON)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE deviations SET status = 'resolved'"))
    assert watch(engine, NOON + HOUR) == [rate("F/*/*", status="resolved")]
    watch(engine, NOON + 24 * HOUR)
    add(engine, NOON + 30 * HOUR, 100, leaves=OF_F, late_share=0.8)
    watch(engine, NOON + 30 * HOUR)
    statuses = [status for _, key, _, status in segment_deviations(engine) if key == "F/*/*"]
    assert statuses == ["resolved", "pending"]
