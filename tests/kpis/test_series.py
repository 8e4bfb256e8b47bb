"""KPIs over time: a point for every hour or day."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sqlalchemy.engine import Engine

from fulfillment_assets.kpis.series import MOST_POINTS, Point, read_series
from tests.kpis.examples import DAY, HOUR, NOW, Event, commit
from tests.kpis.known import know

MIDNIGHT = NOW.replace(hour=0, minute=0)


def series(engine: Engine, grain: Any, window: dt.timedelta, **options: Any) -> list[Point]:
    with engine.connect() as connection:
        return read_series(connection, grain, window=window, **({"until": NOW} | options))


def test_hours_without_orders_are_told_without_rates(engine: Engine) -> None:
    commit(engine, Event("O1", 0.9, at=NOW - 2 * HOUR), Event("O2", 0.1, at=NOW))
    points = series(engine, "hour", 3 * HOUR)
    assert [point.start for point in points] == [
        NOW.replace(minute=0) - number * HOUR for number in (3, 2, 1, 0)
    ]
    assert [point.orders for point in points] == [0, 1, 0, 1]
    assert [point.mean_probability for point in points] == [None, 0.9, None, 0.1]
    assert [point.severities["critical"] for point in points] == [0, 1, 0, 0]


def test_of_the_first_and_the_last_day_the_windows_part_counts(engine: Engine) -> None:
    moments = [MIDNIGHT + number * HOUR for number in range(-48, 16)]
    commit(engine, *(Event(str(moment), at=moment) for moment in moments), received_at=NOW + DAY)
    points = series(engine, "day", 36 * HOUR)
    assert [(point.start, point.orders) for point in points] == [
        (MIDNIGHT - DAY, 24),
        (MIDNIGHT, 13),
    ]
    assert [point.orders for point in series(engine, "day", 20 * HOUR)] == [8, 13]
    assert [point.orders for point in series(engine, "day", 40 * HOUR)] == [4, 24, 13]


def test_days_are_told_even_if_nothing_happened(engine: Engine) -> None:
    points = series(engine, "day", 2 * DAY)
    assert [(point.start, point.orders, point.on_time_rate) for point in points] == [
        (MIDNIGHT - number * DAY, 0, None) for number in (2, 1, 0)
    ]


def test_a_day_tells_what_became_known_on_it_and_an_hour_does_not(engine: Engine) -> None:
    with engine.begin() as connection:
        know(connection, late=True, probability=0.4, known_at=MIDNIGHT - 2 * HOUR)
        know(connection, late=False, probability=0.9, known_at=MIDNIGHT - HOUR)
    yesterday, today = series(engine, "day", DAY)
    assert (yesterday.known, yesterday.actual_on_time_rate) == (2, 0.5)
    assert yesterday.predicted_on_time_rate == 0.5
    assert (today.known, today.actual_on_time_rate) == (0, None)
    assert {(p.known, p.actual_on_time_rate) for p in series(engine, "hour", DAY)} == {(None, None)}


def test_a_series_may_be_of_one_segment(engine: Engine) -> None:
    commit(engine, Event("O1"), Event("O2", warehouse_block="F"), Event("O3", warehouse_block="F"))
    for grain in ("hour", "day"):
        [point] = series(engine, grain, 0 * HOUR, where={"warehouse": "f"})
        assert point.orders == 2


def test_a_grain_that_is_none_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="by hour or by day, not by 'week'"):
        series(engine, "week", DAY)


def test_more_points_than_a_chart_has_are_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match=r"10,001 points .* choose a shorter window"):
        series(engine, "hour", MOST_POINTS * HOUR)
