"""The rule `segment_risk`: an hour in which a segment is riskier than it usually is.

Only the running hour and the two before it are judged: orders that come a little late still count,
and a file of old orders, whose day can no longer be mended, raises no alarm. A segment is in breach
when the evidence against its baseline is strong enough for one of many segments, looked at after
every batch (see `evidence`). Of segments that overlap the one with the strongest evidence is opened
first; another only if what is left of it without those that are open is in breach by itself.

A breach is over when the full hours after its latest one have enough orders, and their excess is
less than half of its worst; or when a day went by without enough orders.
"""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from fulfillment_assets.deviations.baselines import ADEQUATE, ensure_baselines
from fulfillment_assets.deviations.breaches import (
    Found,
    Known,
    end,
    names,
    recent,
    record,
    riskiest_orders,
)
from fulfillment_assets.deviations.event import RiskMoment, SegmentRiskContext
from fulfillment_assets.deviations.evidence import LOG_BAR, LOG_E
from fulfillment_assets.deviations.segments import DIMENSIONS, KEY_SQL, Segment, matches
from fulfillment_assets.deviations.severity import SegmentThresholds

KIND: Final = "segment_risk"

HOUR: Final = dt.timedelta(hours=1)
NEAR_HOURS: Final = 3
"""The running hour and those before it that are judged."""

QUIET: Final = dt.timedelta(hours=24)

_SEGMENTS: Final = f"""
(SELECT count(*) FROM segment_baselines b WHERE b.hour = t.hour AND {ADEQUATE})
"""

# Of segments with the same orders the one that is told in the fewest words comes first.
_IN_BREACH: Final = f"""
WITH seen AS (
    SELECT bucket AS hour, {KEY_SQL} AS segment_key, sum(orders::float8) AS orders,
           sum(probability_sum::float8) / sum(orders::float8) AS observed,
           sum((orders - on_time)::float8) / sum(orders::float8) AS late
    FROM kpi_rollups WHERE bucket = ANY (:hours)
    GROUP BY bucket, CUBE ({", ".join(DIMENSIONS)})
    HAVING sum(orders) >= :min_orders
), t AS (
    SELECT seen.*, b.mean, b.variance, b.dispersion, b.late_share AS usual_late,
           b.late_dispersion, b.orders::float8 AS baseline_orders,
           seen.observed - b.mean AS excess
    FROM seen JOIN segment_baselines b USING (hour, segment_key)
    WHERE {ADEQUATE} AND seen.observed - b.mean >= :min_excess
), tested AS (
    SELECT t.hour, t.segment_key, t.orders, t.observed, t.mean, t.excess, t.late, t.usual_late,
           t.baseline_orders, evidence.log_e, {_SEGMENTS} AS segments,
           rank() OVER (PARTITION BY t.hour ORDER BY evidence.log_e DESC) AS place
    FROM t {LOG_E}
), reached AS (
    SELECT *, max(CASE WHEN log_e + ln(place) >= {LOG_BAR} THEN place END)
                  OVER (PARTITION BY hour) AS last_place
    FROM tested
)
SELECT hour, segment_key, orders, observed, mean, excess, late, usual_late, baseline_orders, log_e
FROM reached WHERE place <= last_place
ORDER BY hour, place, regexp_count(segment_key, '[*]') DESC, segment_key
"""

# Its baseline is that of its parts, in the shares that they have now.
_LEFT_OF: Final = f"""
WITH parts AS (
    SELECT k.orders::float8 AS orders, k.probability_sum::float8 AS total,
           (k.orders - k.on_time)::float8 AS late, b.mean, b.variance, b.dispersion,
           b.late_share, b.late_dispersion, b.orders AS baseline_orders
    FROM kpi_rollups k JOIN segment_baselines b
      ON b.hour = k.bucket AND b.segment_key = concat_ws('/', {", ".join(DIMENSIONS)})
    WHERE k.bucket = :hour AND k.orders > 0 AND {matches(":key", "k")} AND NOT EXISTS (
        SELECT FROM unnest(CAST(:others AS text[])) AS other WHERE {matches("other", "k")})
), summed AS (
    SELECT sum(orders) AS orders, sum(total) / sum(orders) AS observed,
           sum(orders * mean) / sum(orders) AS mean,
           sum(orders * (variance + mean ^ 2)) / sum(orders) AS mean_square,
           sum(orders * dispersion) / sum(orders) AS dispersion,
           sum(late) / sum(orders) AS late,
           sum(orders * late_share) / sum(orders) AS usual_late,
           sum(orders * late_dispersion) / sum(orders) AS late_dispersion,
           sum(baseline_orders)::float8 AS baseline_orders
    FROM parts HAVING sum(orders) >= :min_orders
), t AS (
    SELECT *, CAST(:hour AS timestamptz) AS hour, mean_square - mean ^ 2 AS variance,
           observed - mean AS excess
    FROM summed
)
SELECT EXISTS (
    SELECT FROM (SELECT evidence.log_e, t.excess, {_SEGMENTS} AS segments
                 FROM t {LOG_E}) AS tested
    WHERE excess >= :min_excess AND log_e >= {LOG_BAR})
"""

_SINCE: Final = f"""
SELECT coalesce(sum(orders), 0) AS orders,
       (sum(probability_sum) / nullif(sum(orders), 0))::float8 AS observed
FROM kpi_rollups k WHERE bucket > :after AND bucket < :before AND {matches(":key", "k")}
"""


def watch(
    connection: Connection,
    thresholds: SegmentThresholds,
    now: dt.datetime,
    batch_job_id: uuid.UUID | None,
) -> None:
    """Judge the segments of the hours near `now`: open, update and end their deviations."""
    hour = now.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)
    hours = [hour - back * HOUR for back in range(NEAR_HOURS)]
    ensure_baselines(connection, thresholds, hours)
    known = recent(connection, KIND, hours[-1])
    parameters = {
        "min_orders": thresholds.min_orders,
        "min_excess": thresholds.min_excess,
        "false_alarms_per_day": thresholds.false_alarms_per_day,
    }
    rows = connection.execute(sa.text(_IN_BREACH), parameters | {"hours": hours}).all()
    for _, of_hour in groupby(rows, key=lambda row: row.hour):
        breaches = list(of_hour)
        chosen = list(_chosen(connection, breaches, known, parameters))
        _record(connection, chosen, breaches, known, thresholds, batch_job_id)
        known = recent(connection, KIND, hours[-1])
    for one in known:
        if one.lasts:
            _end_if_over(connection, one, thresholds, hour)


def _chosen(
    connection: Connection,
    breaches: Sequence[Row[Any]],
    known: Sequence[Known],
    parameters: dict[str, Any],
) -> Iterator[Row[Any]]:
    """Of one hour's segments in breach, strongest first, those that no other one explains."""
    hour = breaches[0].hour
    explaining = [one for one in known if one.ended_at is None or one.ended_at > hour]
    segments = [one.segment for one in explaining]
    lasting = {one.segment_key for one in explaining if one.lasts}
    over = {one.segment_key for one in explaining} - lasting
    for row in breaches:
        if row.segment_key in lasting:
            yield row
            continue
        segment = Segment.of(row.segment_key)
        if row.segment_key in over:
            continue
        if segment.overlaps(segments):
            others = [other.key for other in segments]
            values = parameters | {"hour": hour, "key": segment.key, "others": others}
            if not connection.scalar(sa.text(_LEFT_OF), values):
                continue
        segments.append(segment)
        yield row


def _record(
    connection: Connection,
    chosen: Sequence[Row[Any]],
    breaches: Sequence[Row[Any]],
    known: Sequence[Known],
    thresholds: SegmentThresholds,
    batch_job_id: uuid.UUID | None,
) -> None:
    live = {one.segment_key: one for one in known if one.is_live}
    opened = [Segment.of(row.segment_key) for row in chosen]
    for row, segment in zip(chosen, opened, strict=True):
        before = live.get(segment.key)
        lasting = _context_of(before) if before is not None and before.lasts else None
        if lasting is not None and row.hour < lasting.latest_hour:
            continue  # orders that came late: the deviation has news of a later hour
        others = [Segment.of(other.segment_key) for other in breaches]
        context = SegmentRiskContext(
            segment=names(segment),
            observed=row.observed,
            baseline=row.mean,
            excess=row.excess,
            late_share=row.late,
            baseline_late_share=row.usual_late,
            orders=int(row.orders),
            log10_e_value=row.log_e / math.log(10),
            baseline_orders=int(row.baseline_orders),
            first_hour=row.hour if lasting is None else lasting.first_hour,
            latest_hour=row.hour,
            worst=_worst(row, lasting),
            explains=[
                other.key for other in others if other not in opened and other.overlaps([segment])
            ],
            riskiest_orders=riskiest_orders(connection, segment, row.hour, before),
        )
        critical = row.excess >= thresholds.critical_excess
        found = Found(KIND, segment, critical, _reason(segment, row), context)
        record(connection, found, before, batch_job_id)


def _context_of(known: Known) -> SegmentRiskContext:
    return SegmentRiskContext.model_validate(known.context)


def _worst(row: Row[Any], lasting: SegmentRiskContext | None) -> RiskMoment:
    now = RiskMoment(
        hour=row.hour, observed=row.observed, excess=row.excess, orders=int(row.orders)
    )
    if lasting is None or lasting.worst.hour == now.hour or lasting.worst.excess < now.excess:
        return now
    return lasting.worst


def _reason(segment: Segment, row: Row[Any]) -> str:
    subject = segment.words[0].upper() + segment.words[1:]
    return (
        f"{subject} are riskier than usual: mean delay probability {row.observed:.2f} over "
        f"{row.orders:,.0f} orders of {row.hour:%Y-%m-%d %H}:00 UTC, usually {row.mean:.2f}"
    )


def _end_if_over(
    connection: Connection, known: Known, thresholds: SegmentThresholds, hour: dt.datetime
) -> None:
    context = _context_of(known)
    after = max(context.latest_hour, hour - QUIET - HOUR)
    since = connection.execute(
        sa.text(_SINCE), {"after": after, "before": hour, "key": known.segment_key}
    ).one()
    if since.orders >= thresholds.min_orders:
        if since.observed - context.baseline < context.worst.excess / 2:
            how = f"mean delay probability {since.observed:.2f} over {since.orders:,} orders since"
            end(connection, known, hour, how)
    elif hour - context.latest_hour > QUIET:
        end(connection, known, hour, "a day without enough orders to tell")
