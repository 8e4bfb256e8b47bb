"""The rules that make an order, or a segment of orders, a deviation: SQL over a batch's changes.

Two rules look at one order: `delay_risk`, its severity is at or above the least severity that
counts; `fulfillment_gap`, it is already shipped and yet not expected on time. An order that was
delivered or cancelled no longer deviates. An order has at most one open deviation of a kind:
it is updated while it lasts, and resolved once it clears.

Two rules look at segments, in the rollups of the hours near now: see `segment_risk` and `on_time`.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.bands import LATE_SEVERITIES, SEVERITIES
from fulfillment_assets.deviations import on_time, segment_risk
from fulfillment_assets.deviations.breaches import hold
from fulfillment_assets.deviations.event import SCHEMA_VERSION
from fulfillment_assets.deviations.severity import Thresholds
from fulfillment_assets.deviations.status import OPEN_STATUSES
from fulfillment_assets.events.topics import DEVIATION_EVENTS
from fulfillment_assets.orders.contract import CLOSED_STATUSES
from fulfillment_assets.store.prepared import Statement

ANNOUNCED: Final = ("warning", "critical")
"""Severities of which an event tells the world."""

ORDER_KINDS: Final = ("delay_risk", "fulfillment_gap")
"""Kinds of deviation that are about one order."""

_BREACHES: Final = f"""
SELECT c.order_id, c.prediction_id, rule.kind, c.new_severity AS severity,
       rule.reason || ' (delay probability ' || to_char(c.new_delay_probability, 'FM0.00') || ')'
           AS reason
FROM order_changes c
CROSS JOIN LATERAL (VALUES
    ('delay_risk', true, 'The order is at risk of arriving late'),
    ('fulfillment_gap',
     c.new_order_status = 'shipped' AND c.new_severity IN {LATE_SEVERITIES},
     'The order is on its way and is not expected on time')
) AS rule (kind, applies, reason)
WHERE c.new_severity = ANY (:deviating) AND rule.applies
  AND coalesce(c.new_order_status, '') NOT IN {CLOSED_STATUSES}
"""

_OPEN: Final = f"""
WITH breaches AS ({_BREACHES}), opened AS (
    INSERT INTO deviations AS d
        (prediction_id, batch_job_id, order_id, kind, severity, reason, context)
    SELECT prediction_id, :batch_job_id, order_id, kind, severity,
           reason || coalesce(': ' || (context #>> '{{reasons,0,text}}'), ''), context
    FROM (SELECT b.*, s.context::jsonb AS context
          FROM breaches b JOIN staged_orders s USING (prediction_id)
          OFFSET 0 /* so that each context is read as JSON only once */) AS found
    ORDER BY order_id, kind
    ON CONFLICT (order_id, kind) WHERE status IN {OPEN_STATUSES} DO UPDATE SET
        prediction_id = excluded.prediction_id,
        batch_job_id = coalesce(excluded.batch_job_id, d.batch_job_id),
        severity = excluded.severity, reason = excluded.reason, context = excluded.context,
        updated_at = now()
    RETURNING new.id, new.prediction_id, new.order_id, new.kind, new.severity, new.reason,
        new.status, new.created_at, new.updated_at, old.severity AS old_severity
), announced AS (
    INSERT INTO outbox (event_id, topic, key, payload)
    SELECT event_id, '{DEVIATION_EVENTS}', order_id, json_build_object(
        'schema_version', {SCHEMA_VERSION}, 'event_id', event_id, 'deviation_id', id,
        'order_id', order_id, 'kind', kind, 'severity', severity, 'reason', reason,
        'status', status, 'created_at', created_at, 'updated_at', updated_at,
        'context', context::json)
    FROM (SELECT o.*, s.context, uuidv7() AS event_id
          FROM opened o JOIN staged_orders s USING (prediction_id)
          WHERE o.severity = ANY (:announced) AND o.old_severity IS DISTINCT FROM o.severity
          ORDER BY o.order_id, o.kind) AS events
)
SELECT
"""

_RESOLVE: Final = f"""
WITH breaches AS ({_BREACHES})
UPDATE deviations AS d SET status = 'resolved', updated_at = now(),
    reason = d.reason || '; cleared: the order no longer meets the rule'
FROM order_changes c
WHERE NOT c.is_new AND d.order_id = c.order_id AND d.status = 'pending'
  AND d.kind IN {ORDER_KINDS}
  AND NOT EXISTS (SELECT FROM breaches b WHERE b.order_id = d.order_id AND b.kind = d.kind)
"""

_RESOLVE_CLEARED: Final = Statement("resolve_cleared", _RESOLVE, {"deviating": "text[]"})
_OPEN_FOUND: Final = Statement(
    "open_found", _OPEN, {"deviating": "text[]", "announced": "text[]", "batch_job_id": "uuid"}
)

_NEWS: Final = sa.text("""
SELECT now() AS moment,
       (SELECT max(greatest(new_event_time, old_event_time)) FROM order_changes) AS latest,
       EXISTS (SELECT FROM deviations
               WHERE segment_key IS NOT NULL AND ended_at IS NULL) AS breached
""")


def watch_orders(
    connection: Connection, thresholds: Thresholds, batch_job_id: uuid.UUID | None = None
) -> None:
    """Open, update and resolve the deviations of the orders in `order_changes`.

    Runs in the caller's transaction, which has the same orders in `staged_orders`. A deviation that
    is new, or whose severity changed, leaves one event in the outbox if it is a warning or graver.
    """
    deviating = list(SEVERITIES[thresholds.deviation_code :])
    announced = [name for name in deviating if name in ANNOUNCED]
    _RESOLVE_CLEARED.execute(connection, {"deviating": deviating})
    _OPEN_FOUND.execute(
        connection,
        {"deviating": deviating, "announced": announced, "batch_job_id": batch_job_id},
    )


def watch_changed_segments(
    connection: Connection, thresholds: Thresholds, batch_job_id: uuid.UUID | None = None
) -> None:
    """Watch segments, unless no breach lasts and no order in `order_changes` is near now.

    Runs in the caller's transaction, which has these orders in the rollups.
    """
    news = connection.execute(_NEWS).one()
    window = dt.timedelta(hours=max(thresholds.segments.on_time_hours, segment_risk.NEAR_HOURS))
    if news.breached or (news.latest is not None and news.latest > news.moment - window):
        watch_segments(connection, thresholds, news.moment, batch_job_id)


def watch_segments(
    connection: Connection,
    thresholds: Thresholds,
    now: dt.datetime,
    batch_job_id: uuid.UUID | None = None,
) -> None:
    """Open, update and resolve the deviations of segments, as of `now`, from the rollups.

    Runs in the caller's transaction, which has staging tables. Writers do it one after another.
    """
    hold(connection)
    segment_risk.watch(connection, thresholds.segments, now, batch_job_id)
    on_time.watch(connection, thresholds.segments, now, batch_job_id)


def forget_events_before(connection: Connection, moment: dt.datetime) -> None:
    """Delete outbox events made before `moment`, published or not."""
    connection.execute(sa.text("DELETE FROM outbox WHERE created_at < :moment"), {"moment": moment})
