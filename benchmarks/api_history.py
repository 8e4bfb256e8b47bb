"""What the API reads at scale: deviations of a month that agents have settled, and their responses.

The orders with their open deviations are committed as the platform does it. What agents settled
before is copied from these in SQL: to let agents settle half a million takes hours.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Engine

DEVIATIONS_PER_ORDER: Final = 0.55
"""So that 1,000,000 orders have more than 10,000 pages of 50 deviations."""

_SEGMENT_DEVIATIONS: Final = 600
_RESPONSES_SHARE: Final = 0.2

_COLUMNS: Final = """
    id, prediction_id, batch_job_id, order_id, segment_key, kind, severity, reason, context,
    status, created_at, updated_at, ended_at, attempts
"""

_ORDERS: Final = f"""
INSERT INTO deviations ({_COLUMNS})
SELECT id, prediction_id, batch_job_id, order_id, NULL, kind, severity, reason, context,
       (ARRAY['resolved', 'resolved', 'escalated'])[1 + mod(number, 3)],
       uuid_extract_timestamp(id), uuid_extract_timestamp(id) + interval '40 seconds', NULL, 1
FROM (SELECT d.prediction_id, d.batch_job_id, d.order_id, d.kind, d.severity, d.reason, d.context,
             n.number, uuidv7(-make_interval(secs => :seconds * n.number / :count)) AS id
      FROM generate_series(1, :count) AS n (number)
      JOIN (SELECT *, row_number() OVER () AS number FROM deviations) d
        ON d.number = 1 + mod(n.number, :found)) copied
"""

_SEGMENTS: Final = f"""
INSERT INTO deviations ({_COLUMNS})
SELECT id, NULL, NULL, NULL,
       (ARRAY['A', 'B', 'C', 'D', 'F'])[1 + mod(number, 5)]
           || '/' || (ARRAY['Ship', 'Flight', 'Road', '*'])[1 + mod(number, 4)] || '/*',
       (ARRAY['segment_risk', 'on_time_rate'])[1 + mod(number, 2)], 'warning',
       'mean delay probability 0.71 instead of 0.60', '{{"hour": {{"orders": 64}}}}', 'resolved',
       uuid_extract_timestamp(id), uuid_extract_timestamp(id), uuid_extract_timestamp(id), 0
FROM (SELECT number, uuidv7(-make_interval(secs => :seconds * number / :count)) AS id
      FROM generate_series(1, :count) AS n (number)) made
"""

_RESPONSES: Final = """
INSERT INTO agent_responses
    (id, deviation_id, agent_type, action, details_json, conversation_history, model, usage,
     created_at)
SELECT uuidv7(created_at + interval '30 seconds' - clock_timestamp()), id, agent, 'reschedule',
       jsonb_build_object('summary', 'delivery moved by two days', 'reason', reason),
       jsonb_build_array(jsonb_build_object('role', 'assistant', 'content', reason)),
       'policy', '{}', created_at + interval '30 seconds'
FROM deviations CROSS JOIN unnest(ARRAY['shipment', 'orchestrator']) AS agent
WHERE status IN ('resolved', 'escalated') AND segment_key IS NULL
  AND mod(hashtext(id::text), 100) < :percent
"""


def add_history(engine: Engine, *, orders: int, days: int) -> int:
    """Add settled deviations, of orders and segments, and responses; returns all deviations.

    Args:
        engine: of a database with that many orders and their open deviations.
        orders: in the database.
        days: over which they are spread, until now.
    """
    wanted = round(orders * DEVIATIONS_PER_ORDER)
    with engine.begin() as connection:
        # It demands that new rows are pending; these are settled long since.
        connection.execute(sa.text("ALTER TABLE deviations DISABLE TRIGGER deviation_starts"))
        found = connection.execute(sa.text("SELECT count(*) FROM deviations")).scalar_one()
        values = {"seconds": days * 86_400.0, "found": found}
        missing = max(wanted - found, wanted // 2)
        connection.execute(sa.text(_ORDERS), values | {"count": missing})
        connection.execute(sa.text(_SEGMENTS), values | {"count": _SEGMENT_DEVIATIONS})
        connection.execute(sa.text(_RESPONSES), {"percent": round(_RESPONSES_SHARE * 100)})
        connection.execute(sa.text("ALTER TABLE deviations ENABLE TRIGGER deviation_starts"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))
        return int(connection.execute(sa.text("SELECT count(*) FROM deviations")).scalar_one())
