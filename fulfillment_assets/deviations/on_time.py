"""The rule `on_time_rate`: fewer orders are expected on time than should be.

It holds the whole, and each warehouse, mode and importance, against the target over the hours that
end with the running one; older orders do not count. A segment is in breach when even the upper
confidence bound of its rate lies below the target, and until the rate is back at it.
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from fulfillment_assets.deviations.breaches import (
    Found,
    Known,
    end,
    names,
    recent,
    record,
    riskiest_orders,
)
from fulfillment_assets.deviations.event import OnTimeContext, OnTimeMoment
from fulfillment_assets.deviations.segments import DIMENSIONS, KEY_SQL, Segment
from fulfillment_assets.deviations.severity import SegmentThresholds

KIND: Final = "on_time_rate"

Z: Final = 3.0902
"""Quantile of the normal distribution: the bound is above the true rate in 99.9 % of looks."""

_RATES: Final = f"""
SELECT {KEY_SQL} AS segment_key, sum(orders::float8)::bigint AS orders,
       sum(on_time::float8)::bigint AS on_time
FROM kpi_rollups WHERE bucket > :after AND bucket <= :hour
GROUP BY GROUPING SETS ((), {", ".join(f"({name})" for name in DIMENSIONS)})
HAVING sum(orders) > 0
ORDER BY segment_key
"""


def upper_bound(successes: int, trials: int) -> float:
    """Upper confidence bound of a rate at `Z`: Wilson's score interval (Wilson 1927)."""
    rate, square = successes / trials, Z * Z
    centre = rate + square / (2 * trials)
    spread = Z * math.sqrt(rate * (1 - rate) / trials + square / (4 * trials * trials))
    return (centre + spread) / (1 + square / trials)


def watch(
    connection: Connection,
    thresholds: SegmentThresholds,
    now: dt.datetime,
    batch_job_id: uuid.UUID | None,
) -> None:
    """Hold the rates of the window that ends at `now` against the target."""
    hour = now.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
    after = hour - dt.timedelta(hours=thresholds.on_time_hours)
    live = {one.segment_key: one for one in recent(connection, KIND, now) if one.is_live}
    rows = connection.execute(sa.text(_RATES), {"after": after, "hour": hour}).all()
    for row in rows:
        if row.orders < thresholds.min_orders:
            continue
        known = live.get(row.segment_key)
        bound = upper_bound(row.on_time, row.orders)
        if bound < thresholds.on_time_target:
            found = _found(connection, row, bound, known, thresholds, hour)
            record(connection, found, known, batch_job_id)
        elif known and known.lasts and row.on_time / row.orders >= thresholds.on_time_target:
            rate = f"{row.on_time / row.orders:.0%} of {row.orders:,} orders are expected on time"
            end(connection, known, now, rate)
    for key in live.keys() - {row.segment_key for row in rows}:
        if live[key].lasts:
            end(connection, live[key], now, "no orders in the window")


def _found(
    connection: Connection,
    row: Row[Any],
    bound: float,
    known: Known | None,
    thresholds: SegmentThresholds,
    hour: dt.datetime,
) -> Found:
    segment = Segment.of(row.segment_key)
    rate, target = row.on_time / row.orders, thresholds.on_time_target
    since = hour - dt.timedelta(hours=thresholds.on_time_hours - 1)
    worst = OnTimeMoment(hour=hour, observed=rate, shortfall=target - rate, orders=row.orders)
    first = hour
    if known is not None and known.lasts:
        before = OnTimeContext.model_validate(known.context)
        first = before.first_hour
        worst = max(worst, before.worst, key=lambda moment: moment.shortfall)
    context = OnTimeContext(
        segment=names(segment),
        observed=rate,
        target=target,
        shortfall=target - rate,
        upper_bound=bound,
        orders=row.orders,
        window_hours=thresholds.on_time_hours,
        first_hour=first,
        latest_hour=hour,
        worst=worst,
        riskiest_orders=riskiest_orders(connection, segment, since, known),
    )
    return Found(
        kind=KIND,
        segment=segment,
        critical=bound <= target - thresholds.critical_excess,
        reason=(
            f"Of {segment.words} {rate:.0%} are expected on time over the last "
            f"{thresholds.on_time_hours} hours ({row.orders:,} orders); the target is {target:.0%}"
        ),
        context=context,
    )
