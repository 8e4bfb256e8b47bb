"""The picture of the KPIs over time."""

from __future__ import annotations

import datetime as dt

import numpy as np
from matplotlib.patches import Rectangle

from fulfillment_assets.kpis.plots import over_time, png
from fulfillment_assets.kpis.series import Point

FIRST = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def point(day: int, orders: int, on_time: float | None, actual: float | None) -> Point:
    return Point(
        start=FIRST + dt.timedelta(days=day),
        orders=orders,
        mean_probability=None,
        probability_variance=None,
        on_time_rate=on_time,
        high_risk=0,
        gaps=0,
        severities={},
        known=None,
        actual_on_time_rate=actual,
        predicted_on_time_rate=None,
    )


def test_orders_are_bars_and_known_rates_are_lines() -> None:
    figure = over_time([point(0, 10, 0.7, 0.5), point(1, 0, None, None), point(2, 20, 0.6, None)])
    bars, lines = figure.axes
    heights = [bar.get_height() for bar in bars.patches if isinstance(bar, Rectangle)]
    assert heights == [10, 0, 20]
    drawn = [np.asarray(line.get_ydata()).tolist() for line in lines.lines]
    assert drawn == [[0.7, 0.6], [0.5]]


def test_days_without_orders_have_no_line() -> None:
    _, lines = over_time([point(0, 0, None, None)]).axes
    assert not lines.lines


def test_it_is_drawn_as_png() -> None:
    assert png(over_time([point(0, 1, 1.0, None)])).startswith(b"\x89PNG")
