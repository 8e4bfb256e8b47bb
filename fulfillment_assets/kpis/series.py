"""KPIs over time, a point for every hour or day, for charts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy.engine import Connection

from fulfillment_assets.kpis.cells import KNOWN, Cell, Sums, Wanted, read_cells
from fulfillment_assets.kpis.reads import Measures, measures_of, outcomes_of
from fulfillment_assets.kpis.rollups import MEASURES
from fulfillment_assets.kpis.segments import segment_filter
from fulfillment_assets.kpis.windows import DAY, HOUR, Window, window_until
from fulfillment_assets.store.partitions import start_of

Grain = Literal["hour", "day"]

MOST_POINTS: Final = 10_000
"""More than that is no chart."""

_NOTHING: Final = Sums(*(0 for _ in (*MEASURES, *KNOWN)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Measures):
    """The KPIs of one hour or day; see `Kpis` for the rates of what came true.

    Attributes:
        start: when it begins, in UTC.
        known: orders whose outcome became known on the day; null for an hour, of which nobody
            knows.
        actual_on_time_rate: share of them that were on time.
        predicted_on_time_rate: share of them that had been expected on time.
    """

    start: dt.datetime
    known: int | None
    actual_on_time_rate: float | None
    predicted_on_time_rate: float | None


def read_series(
    connection: Connection,
    grain: Grain = "hour",
    *,
    window: dt.timedelta | None = None,
    until: dt.datetime | None = None,
    where: Mapping[str, str] | None = None,
) -> list[Point]:
    """The KPIs of every hour or day (UTC) of a window, those without orders too.

    Args:
        connection: any connection.
        grain: "hour" or "day". Of the first and the last day only the window's part counts.
        window: as for `read_kpis`.
        until: as for `read_kpis`.
        where: as for `read_kpis`.

    Raises:
        ValueError: as `read_kpis`; or the grain is unknown, or the window has too many points.
    """
    if grain not in ("hour", "day"):
        raise ValueError(f"a series is by hour or by day, not by {grain!r}")
    span = window_until(connection, window, until)
    points = _hours_in(span) if grain == "hour" else (span.after_last_day - span.first_day).days
    if points > MOST_POINTS:
        raise ValueError(
            f"{points:,} points are more than a series may have ({MOST_POINTS:,}): "
            "choose a shorter window or another grain"
        )
    days = grain == "day"
    wanted = Wanted(span, where=segment_filter(where or {}), days=days, hours=0 if days else points)
    cells = list(read_cells(connection, wanted))
    return days_of(cells, span) if days else hours_of(cells, span, points)


def days_of(cells: Iterable[Cell], span: Window) -> list[Point]:
    """A point for each day of which the window has a part."""
    days = (span.after_last_day - span.first_day).days
    return _points(cells, start_of(span.first_day), DAY, days)


def hours_of(cells: Iterable[Cell], span: Window, hours: int) -> list[Point]:
    """A point for each of the last hours of the window."""
    return _points(cells, span.end - hours * HOUR, HOUR, hours)


def _hours_in(span: Window) -> int:
    return int((span.end - span.start) / HOUR)


def _points(
    cells: Iterable[Cell], first: dt.datetime, step: dt.timedelta, count: int
) -> list[Point]:
    found = {cell.start: cell.sums for cell in cells}
    starts = (first + number * step for number in range(count))
    return [_point(start, found.get(start, _NOTHING), step) for start in starts]


def _point(start: dt.datetime, sums: Sums, step: dt.timedelta) -> Point:
    outcomes = outcomes_of(sums)
    return Point(
        start=start,
        **measures_of(sums),
        known=sums.known if step == DAY else None,
        actual_on_time_rate=outcomes["actual_on_time_rate"],
        predicted_on_time_rate=outcomes["predicted_on_time_rate"],
    )
