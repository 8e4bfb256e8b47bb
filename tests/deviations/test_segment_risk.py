"""A segment that is riskier than it usually is is found, and told from others."""

from __future__ import annotations

import datetime as dt

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.deviations.severity import SegmentThresholds
from tests.deviations.examples import rows
from tests.deviations.traffic import (
    HOUR,
    LATE,
    LEAVES,
    MINUTE,
    NOON,
    SHIFTED,
    add,
    only_context,
    risk,
    usual_week,
    watch,
)


def test_usual_traffic_raises_no_alarm(week: Engine) -> None:
    add(week, NOON)
    assert watch(week, LATE) == []


@pytest.mark.parametrize(
    "key", ["F/Road/*", "F/*/*", "*/Road/*", "*/*/high", "F/Road/low", "*/*/*"]
)
def test_the_segment_that_is_riskier_is_named_and_no_other(week: Engine, key: str) -> None:
    add(week, NOON, 200, {key: 0.75})
    assert watch(week, LATE) == [risk(key=key)]


def test_a_deviation_says_what_was_found(week: Engine) -> None:
    add(week, NOON, 200, {SHIFTED: 0.75})
    watch(week, LATE)
    [row] = rows(week, "SELECT reason, order_id, prediction_id, ended_at FROM deviations")
    assert row == {
        "reason": "Orders of warehouse F, mode Road are riskier than usual: mean delay probability "
        "0.75 over 400 orders of 2026-03-10 12:00 UTC, usually 0.60",
        "order_id": None,
        "prediction_id": None,
        "ended_at": None,
    }
    context = only_context(week)
    assert context.pop("log10_e_value") > 6
    hour = "2026-03-10T12:00:00Z"
    assert context == {
        "segment": {
            "warehouse_block": "F",
            "mode_of_shipment": "Road",
            "product_importance": None,
        },
        "observed": pytest.approx(0.75),
        "baseline": pytest.approx(0.6),
        "excess": pytest.approx(0.15),
        "late_share": pytest.approx(0.3),
        "baseline_late_share": pytest.approx(0.3),
        "orders": 400,
        "baseline_orders": 168 * 100,
        "first_hour": hour,
        "latest_hour": hour,
        "worst": {
            "hour": hour,
            "observed": pytest.approx(0.75),
            "excess": pytest.approx(0.15),
            "orders": 400,
        },
        "explains": context["explains"],
        "riskiest_orders": [],
    }
    assert set(context["explains"]) >= {"F/Road/low", "F/Road/high"}


def test_overwhelming_evidence_still_tells_the_segment(week: Engine) -> None:
    add(week, NOON, 50_000, {SHIFTED: 0.9})
    assert watch(week, LATE) == [risk()]
    assert only_context(week)["log10_e_value"] > 1_000


@pytest.mark.parametrize(("late_share", "found"), [(0.3, []), (1.0, [risk()])])
def test_a_rise_of_the_late_share_is_evidence_as_well(
    week: Engine, late_share: float, found: list[tuple[str, str, str, str]]
) -> None:
    of_f = tuple(leaf for leaf in LEAVES if leaf.startswith("F/Road/"))
    others = tuple(leaf for leaf in LEAVES if leaf not in of_f)
    add(week, NOON, 30, leaves=others)
    add(week, NOON, 30, {SHIFTED: 0.71}, leaves=of_f, late_share=late_share)
    assert watch(week, LATE) == found


def test_two_segments_that_do_not_explain_one_another_are_both_named(week: Engine) -> None:
    add(week, NOON, 200, {"A/Ship/low": 0.8, "F/Road/high": 0.8})
    assert {found[1] for found in watch(week, LATE)} == {"A/Ship/low", "F/Road/high"}


def test_a_smaller_rise_is_a_warning(week: Engine) -> None:
    add(week, NOON, 400, {SHIFTED: 0.68})
    assert watch(week, LATE) == [risk("warning")]


@pytest.mark.parametrize(
    ("thresholds", "orders", "mean"),
    [
        (SegmentThresholds(), 400, 0.64),
        (SegmentThresholds(min_excess=0.2), 400, 0.75),
        (SegmentThresholds(min_orders=1_000), 200, 0.75),
        (SegmentThresholds(false_alarms_per_day=1e-6), 40, 0.75),
        (SegmentThresholds(), 10, 0.75),
    ],
    ids=["small rise", "least rise", "fewest orders", "false alarms", "few orders"],
)
def test_what_is_not_worth_an_alarm_raises_none(
    week: Engine, thresholds: SegmentThresholds, orders: int, mean: float
) -> None:
    add(week, NOON, orders, {SHIFTED: mean})
    assert watch(week, LATE, thresholds) == []


def test_a_segment_that_is_safer_than_usual_raises_no_alarm(week: Engine) -> None:
    add(week, NOON, 400, {SHIFTED: 0.3})
    assert watch(week, LATE) == []


@pytest.mark.parametrize("hours", [0, 10, 23])
def test_without_a_day_of_history_nothing_is_judged(engine: Engine, hours: int) -> None:
    usual_week(engine, hours=hours)
    add(engine, NOON, 200, {SHIFTED: 0.9})
    assert watch(engine, LATE) == []


def test_history_that_comes_within_the_hour_is_judged_by(engine: Engine) -> None:
    add(engine, NOON, 200, {SHIFTED: 0.75})
    assert watch(engine, NOON + MINUTE) == []
    usual_week(engine)
    assert watch(engine, LATE) == [risk()]


def test_only_the_hours_of_the_baseline_count_as_usual(week: Engine) -> None:
    usual_week(week, NOON - 168 * HOUR, hours=24)
    with week.begin() as connection:  # another world, longer ago
        connection.execute(
            sa.text("UPDATE kpi_rollups SET probability_sum = orders * 0.75 WHERE bucket < :then"),
            {"then": NOON - 168 * HOUR},
        )
    add(week, NOON, 200, {SHIFTED: 0.75})
    assert watch(week, LATE) == [risk()]
    assert only_context(week)["baseline"] == pytest.approx(0.6)


@pytest.mark.parametrize(("back", "judged"), [(0, True), (1, True), (2, True), (3, False)])
def test_only_hours_near_now_are_judged(week: Engine, back: int, judged: bool) -> None:
    add(week, NOON, 200, {SHIFTED: 0.9})
    assert watch(week, LATE + back * HOUR) == ([risk()] if judged else [])


def test_hours_that_vary_more_than_chance_need_more_evidence(engine: Engine) -> None:
    for back in range(168, 0, -1):
        add(engine, NOON - back * HOUR, means={SHIFTED: 0.6 + 0.15 * (-1) ** back})
    add(engine, NOON, 50, {SHIFTED: 0.77})
    assert watch(engine, LATE) == []
    dispersion = rows(
        engine, "SELECT dispersion FROM segment_baselines WHERE segment_key = :key", key=SHIFTED
    )
    assert dispersion[0]["dispersion"] > 10


def test_of_segments_with_the_same_orders_the_one_of_the_fewest_words_is_named(
    week: Engine,
) -> None:
    add(week, NOON, 100, {SHIFTED: 0.8}, leaves=LEAVES[4:])
    assert watch(week, LATE) == [risk(key="*/Road/*")]


def test_baselines_of_long_ago_are_forgotten(week: Engine) -> None:
    with week.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO segment_baselines VALUES (:then, '*/*/*', 24, 1, 0.5, 0.1, 1, 0, 1)"
            ),
            {"then": NOON - dt.timedelta(days=8)},
        )
    add(week, NOON)
    watch(week, LATE)
    [row] = rows(week, "SELECT min(hour) AS first FROM segment_baselines")
    assert row["first"] >= NOON - 2 * HOUR
