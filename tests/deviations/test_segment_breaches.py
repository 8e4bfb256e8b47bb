"""A segment's breach has one deviation, updated while it lasts, and resolved when it is over."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from tests.deviations.examples import events, rows
from tests.deviations.traffic import (
    HOUR,
    LATE,
    MINUTE,
    NOON,
    SHIFTED,
    add,
    only_context,
    risk,
    segment_deviations,
    watch,
)


def test_a_breach_that_lasts_has_one_deviation_with_its_latest_hour_and_its_worst(
    week: Engine,
) -> None:
    for number, mean in enumerate([0.72, 0.8, 0.74]):
        hour = NOON + number * HOUR
        for minute in (20, 40, 59):
            add(week, hour, 70, {SHIFTED: mean})
            assert len(watch(week, hour + minute * MINUTE)) == 1
    context = only_context(week)
    assert context["first_hour"] == "2026-03-10T12:00:00Z"
    assert context["latest_hour"] == "2026-03-10T14:00:00Z"
    assert context["worst"]["hour"] == "2026-03-10T13:00:00Z"
    assert context["worst"]["excess"] == pytest.approx(0.2)
    assert context["observed"] == pytest.approx(0.74)
    assert context["baseline"] == pytest.approx(0.6)


def test_a_severity_only_rises_while_the_breach_lasts_and_each_rise_is_announced(
    week: Engine,
) -> None:
    for number, mean in enumerate([0.68, 0.8, 0.68]):
        add(week, NOON + number * HOUR, 400, {SHIFTED: mean})
        watch(week, LATE + number * HOUR)
    assert segment_deviations(week) == [risk("critical")]
    found = events(week)
    assert [event["payload"]["severity"] for event in found] == ["warning", "critical"]
    assert {event["key"] for event in found} == {SHIFTED}


def breach(engine: Engine) -> None:
    """A breach at noon."""
    add(engine, NOON, 200, {SHIFTED: 0.75})
    assert watch(engine, LATE) == [risk()]


def test_it_clears_after_a_full_hour_within_half_the_excess(week: Engine) -> None:
    breach(week)
    add(week, NOON + HOUR, 30, {SHIFTED: 0.66})
    assert watch(week, LATE + HOUR) == [risk()]
    assert watch(week, NOON + 2 * HOUR + MINUTE) == [risk(status="resolved")]
    [row] = rows(week, "SELECT reason, ended_at FROM deviations")
    assert row["reason"].endswith("; cleared: mean delay probability 0.66 over 60 orders since")
    assert row["ended_at"] == NOON + 2 * HOUR
    assert len(events(week)) == 1


@pytest.mark.parametrize(("orders", "mean"), [(30, 0.69), (10, 0.6)])
def test_it_lasts_while_the_excess_is_half_or_the_orders_too_few(
    week: Engine, orders: int, mean: float
) -> None:
    breach(week)
    add(week, NOON + HOUR, orders, {SHIFTED: mean})
    assert watch(week, NOON + 2 * HOUR + MINUTE) == [risk()]


def test_few_orders_add_up_over_the_hours(week: Engine) -> None:
    breach(week)
    for hour in (1, 2):
        add(week, NOON + hour * HOUR, 10)
    assert watch(week, NOON + 3 * HOUR + MINUTE) == [risk(status="resolved")]


@pytest.mark.parametrize(("hours", "status"), [(24, "pending"), (25, "resolved")])
def test_it_clears_after_a_day_without_orders(week: Engine, hours: int, status: str) -> None:
    breach(week)
    assert watch(week, NOON + hours * HOUR) == [risk(status=status)]


def test_an_hour_that_was_cleared_does_not_open_again(week: Engine) -> None:
    breach(week)
    add(week, NOON + HOUR, 200)
    for minute in (1, 20, 59):  # noon is still near
        assert watch(week, NOON + 2 * HOUR + minute * MINUTE) == [risk(status="resolved")]


def test_a_new_breach_has_a_new_deviation(week: Engine) -> None:
    breach(week)
    add(week, NOON + HOUR, 200)
    watch(week, NOON + 2 * HOUR + MINUTE)
    add(week, NOON + 3 * HOUR, 200, {SHIFTED: 0.75})
    assert watch(week, LATE + 3 * HOUR) == [risk(status="resolved"), risk()]


@pytest.mark.parametrize("status", ["escalated", "resolved", "failed"])
def test_a_breach_that_somebody_settled_is_not_opened_again_while_it_lasts(
    week: Engine, status: str
) -> None:
    breach(week)
    settle(week, status)
    add(week, NOON + HOUR, 200, {SHIFTED: 0.8})
    assert watch(week, LATE + HOUR) == [risk(status=status)]
    assert only_context(week)["worst"]["excess"] == pytest.approx(0.2)


def test_a_breach_that_an_agent_works_on_stays_with_the_agent_when_it_clears(week: Engine) -> None:
    breach(week)
    settle(week, "agent_triggered")
    add(week, NOON + HOUR, 200)
    assert watch(week, NOON + 2 * HOUR + MINUTE) == [risk(status="agent_triggered")]
    add(week, NOON + 3 * HOUR, 200, {SHIFTED: 0.75})
    assert watch(week, LATE + 3 * HOUR) == [risk(status="agent_triggered")]
    [row] = rows(week, "SELECT ended_at FROM deviations")
    assert row["ended_at"] is None


def settle(engine: Engine, status: str) -> None:
    """Let an agent take the deviation, and leave it in a status."""
    with engine.begin() as connection:
        for step in dict.fromkeys(["agent_triggered", status]):
            connection.execute(sa.text("UPDATE deviations SET status = :s"), {"s": step})


def test_hours_in_breach_are_not_usual_ones(week: Engine) -> None:
    breach(week)
    for hour in range(1, 6):
        add(week, NOON + hour * HOUR, 200, {SHIFTED: 0.75})
        watch(week, LATE + hour * HOUR)
    means = rows(
        week,
        "SELECT mean, orders FROM segment_baselines WHERE segment_key = :key ORDER BY hour DESC",
        key=SHIFTED,
    )
    assert means[0]["mean"] == pytest.approx(0.6)
    assert means[0]["orders"] < means[-1]["orders"]


def test_what_is_new_beside_a_breach_that_lasts_is_named_as_well(week: Engine) -> None:
    breach(week)
    add(week, NOON + HOUR, 200, {SHIFTED: 0.75, "A/Ship/high": 0.8})
    assert [found[1] for found in watch(week, LATE + HOUR)] == [SHIFTED, "A/Ship/high"]


def test_a_new_breach_may_begin_in_the_hour_in_which_another_cleared(week: Engine) -> None:
    breach(week)
    add(week, NOON + HOUR, 200)
    watch(week, NOON + 2 * HOUR + MINUTE)
    add(week, NOON + 2 * HOUR, 200, {SHIFTED: 0.75})
    assert watch(week, LATE + 2 * HOUR) == [risk(status="resolved"), risk()]
