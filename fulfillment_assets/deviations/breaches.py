"""Deviations of segments as rows: opened with a breach, updated while it lasts, ended with it.

A breach has one deviation, whoever has settled that before the breach is over. All of it happens
under one lock, held to the end of the transaction, so that writers see one another's breaches.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.deviations.event import (
    SCHEMA_VERSION,
    RiskyOrder,
    SegmentContext,
    SegmentNames,
)
from fulfillment_assets.deviations.segments import Segment, matches
from fulfillment_assets.deviations.status import OPEN_STATUSES
from fulfillment_assets.events.topics import DEVIATION_EVENTS
from fulfillment_assets.orders.contract import CLOSED_STATUSES

_LOCK: Final = 0x7365676D
_RISKIEST: Final = 10

_RECENT: Final = f"""
SELECT id, segment_key, status, severity, context, ended_at FROM deviations
WHERE kind = :kind AND segment_key IS NOT NULL
  AND (ended_at IS NULL OR ended_at > :since OR status IN {OPEN_STATUSES})
ORDER BY id FOR UPDATE
"""

_OPEN: Final = """
INSERT INTO deviations (batch_job_id, kind, segment_key, severity, reason, context)
VALUES (:batch_job_id, :kind, :segment_key, :severity, :reason, CAST(:context AS jsonb))
RETURNING id
"""

_EXTEND: Final = """
UPDATE deviations SET batch_job_id = coalesce(:batch_job_id, batch_job_id), severity = :severity,
    reason = :reason, context = CAST(:context AS jsonb), ended_at = NULL, updated_at = now()
WHERE id = :id
"""

_END: Final = """
UPDATE deviations SET ended_at = :moment, updated_at = now(),
    status = CASE status WHEN 'pending' THEN 'resolved' ELSE status END,
    reason = reason || '; cleared: ' || :how
WHERE id = :id
"""

_ANNOUNCE: Final = f"""
INSERT INTO outbox (event_id, topic, key, payload)
SELECT event_id, '{DEVIATION_EVENTS}', segment_key, json_build_object(
    'schema_version', {SCHEMA_VERSION}, 'event_id', event_id, 'deviation_id', id,
    'segment_key', segment_key, 'kind', kind, 'severity', severity, 'reason', reason,
    'status', status, 'created_at', created_at, 'updated_at', updated_at, 'context', context)
FROM (SELECT *, uuidv7() AS event_id FROM deviations WHERE id = :id) AS d
"""

# Nothing in `orders` finds the orders of a segment but a scan of all: the riskiest are kept from
# those that come in while the breach lasts.
_RISKY: Final = f"""
SELECT o.order_id, o.delay_probability FROM orders o
WHERE o.order_id IN (
    SELECT c.order_id FROM order_changes c WHERE c.new_event_time >= :since
    UNION SELECT unnest(CAST(:known AS text[])))
  AND o.event_time >= :since AND coalesce(o.order_status, '') NOT IN {CLOSED_STATUSES}
  AND {matches(":key", "o")}
ORDER BY o.delay_probability DESC, o.order_id LIMIT {_RISKIEST}
"""


@dataclass(frozen=True, slots=True)
class Known:
    """The deviation of a breach that lasts, ended lately, or is not settled.

    Attributes:
        ended_at: when the breach was over; None while it lasts.
    """

    id: uuid.UUID
    segment_key: str
    status: str
    severity: str
    context: dict[str, Any]
    ended_at: dt.datetime | None

    @property
    def segment(self) -> Segment:
        """The segment that it is of."""
        return Segment.of(self.segment_key)

    @property
    def lasts(self) -> bool:
        """Whether the breach is not over."""
        return self.ended_at is None

    @property
    def is_live(self) -> bool:
        """Whether another breach of the segment belongs to this deviation."""
        return self.lasts or self.status in OPEN_STATUSES


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule found of a segment."""

    kind: str
    segment: Segment
    critical: bool
    reason: str
    context: SegmentContext


def hold(connection: Connection) -> None:
    """Keep other writers from judging segments until this transaction has ended."""
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def recent(connection: Connection, kind: str, since: dt.datetime) -> list[Known]:
    """The deviations whose breach lasts or ended after `since`, or that are open; locked."""
    rows = connection.execute(sa.text(_RECENT), {"kind": kind, "since": since})
    return [Known(*row) for row in rows]


def record(
    connection: Connection, found: Found, known: Known | None, batch_job_id: uuid.UUID | None
) -> None:
    """Open a deviation, or update the one that the breach has; tell of it if its severity changed.

    While a breach lasts its severity can only rise.
    """
    critical = found.critical or (known is not None and known.lasts and _is_critical(known))
    values = {
        "batch_job_id": batch_job_id,
        "kind": found.kind,
        "segment_key": found.segment.key,
        "severity": "critical" if critical else "warning",
        "reason": found.reason,
        "context": found.context.model_dump_json(),
    }
    if known is None:
        deviation_id = connection.scalar(sa.text(_OPEN), values)
    else:
        deviation_id = known.id
        connection.execute(sa.text(_EXTEND), values | {"id": known.id})
    if known is None or known.severity != values["severity"]:
        connection.execute(sa.text(_ANNOUNCE), {"id": deviation_id})


def end(connection: Connection, known: Known, moment: dt.datetime, how: str) -> None:
    """Note that a breach was over by a moment: a deviation that waits is resolved, others stay."""
    connection.execute(sa.text(_END), {"id": known.id, "moment": moment, "how": how})


def riskiest_orders(
    connection: Connection, segment: Segment, since: dt.datetime, known: Known | None
) -> list[RiskyOrder]:
    """Open orders of the segment that came with this batch or were known, the riskiest first."""
    before: Sequence[dict[str, Any]] = known.context["riskiest_orders"] if known else ()
    rows = connection.execute(
        sa.text(_RISKY),
        {
            "since": since,
            "known": [order["order_id"] for order in before],
            "key": segment.key,
        },
    )
    return [RiskyOrder(order_id=row[0], delay_probability=row[1]) for row in rows]


def names(segment: Segment) -> SegmentNames:
    """The segment as events tell it."""
    return SegmentNames(
        warehouse_block=segment.warehouse_block,
        mode_of_shipment=segment.mode_of_shipment,
        product_importance=segment.product_importance,
    )


def _is_critical(known: Known) -> bool:
    return known.severity == "critical"
