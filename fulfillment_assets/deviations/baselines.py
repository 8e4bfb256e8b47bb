"""What a segment is usually like: its delay probabilities over the hours before the one judged.

Worked out once for each hour, by the first batch that has orders of it, from the hourly rollups.
Hours in which the segment itself was in breach do not count as usual.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.deviations.segments import DIMENSIONS, KEY_SQL
from fulfillment_assets.deviations.severity import SegmentThresholds

MIN_HOURS: Final = 24
"""Fewest hours with orders that tell what is usual: a day, so that every time of it is in."""

TIMES_MIN_ORDERS: Final = 10
"""A baseline has so many times the orders by which a segment is judged, so its own error is small
beside theirs."""

_KEPT_DAYS: Final = 7

ADEQUATE: Final = f"b.hours >= {MIN_HOURS} AND b.orders >= {TIMES_MIN_ORDERS} * :min_orders"
"""SQL: whether the baseline `b` is good enough to judge by; needs the parameter `min_orders`."""

# A baseline too thin to judge by is worked out again, until there is enough history.
_MISSING: Final = f"""
SELECT DISTINCT bucket FROM kpi_rollups k
WHERE bucket = ANY (:hours) AND orders > 0 AND NOT EXISTS (
    SELECT FROM segment_baselines b
    WHERE b.hour = k.bucket AND b.segment_key = '*/*/*' AND {ADEQUATE})
"""

# A dispersion is Pearson's chi-square of the hourly values over its degrees of freedom
# (McCullagh and Nelder, Generalized Linear Models, 1989, section 4.5).
_COMPUTE: Final = f"""
WITH hourly AS (
    SELECT bucket, {KEY_SQL} AS segment_key, sum(orders::float8) AS orders,
           sum(probability_sum::float8) AS total, sum(probability_square_sum::float8) AS squares,
           sum((orders - on_time)::float8) AS late
    FROM kpi_rollups
    WHERE bucket >= CAST(:hour AS timestamptz) - make_interval(hours => :hours)
      AND bucket < :hour
    GROUP BY bucket, CUBE ({", ".join(DIMENSIONS)})
    HAVING sum(orders) > 0
), breached AS MATERIALIZED (
    SELECT segment_key, (context ->> 'first_hour')::timestamptz AS first_hour,
           coalesce(ended_at, 'infinity') AS ended_at
    FROM deviations WHERE kind = 'segment_risk' AND segment_key IS NOT NULL
), usual AS MATERIALIZED (
    SELECT * FROM hourly h WHERE NOT EXISTS (
        SELECT FROM breached b WHERE b.segment_key = h.segment_key
          AND h.bucket >= b.first_hour AND h.bucket < b.ended_at)
), moments AS (
    SELECT segment_key, count(*) AS hours, sum(orders) AS orders,
           sum(total) / sum(orders) AS mean,
           greatest(0, (sum(squares) - sum(total) ^ 2 / sum(orders))
                       / greatest(sum(orders) - 1, 1)) AS variance,
           sum(late) / sum(orders) AS late_share
    FROM usual GROUP BY segment_key
)
INSERT INTO segment_baselines (hour, segment_key, hours, orders, mean, variance, dispersion,
    late_share, late_dispersion)
SELECT :hour, m.segment_key, m.hours, m.orders, m.mean, m.variance,
       greatest(1, coalesce(sum((u.total - u.orders * m.mean) ^ 2 / u.orders)
                            / nullif((m.hours - 1) * m.variance, 0), 1)),
       m.late_share,
       greatest(1, coalesce(sum((u.late - u.orders * m.late_share) ^ 2 / u.orders)
                            / nullif((m.hours - 1) * m.late_share * (1 - m.late_share), 0), 1))
FROM moments m JOIN usual u USING (segment_key)
GROUP BY m.segment_key, m.hours, m.orders, m.mean, m.variance, m.late_share
ON CONFLICT (hour, segment_key) DO UPDATE SET
    hours = excluded.hours, orders = excluded.orders, mean = excluded.mean,
    variance = excluded.variance, dispersion = excluded.dispersion,
    late_share = excluded.late_share, late_dispersion = excluded.late_dispersion
"""


def ensure_baselines(
    connection: Connection, thresholds: SegmentThresholds, hours: Sequence[dt.datetime]
) -> None:
    """Make sure that those of the hours that have orders have their baselines, where they can."""
    missing = connection.execute(
        sa.text(_MISSING), {"hours": list(hours), "min_orders": thresholds.min_orders}
    ).scalars()
    for hour in missing.all():
        connection.execute(sa.text(_COMPUTE), {"hour": hour, "hours": thresholds.baseline_hours})
        connection.execute(
            sa.text("DELETE FROM segment_baselines WHERE hour < :oldest"),
            {"oldest": hour - dt.timedelta(days=_KEPT_DAYS)},
        )
