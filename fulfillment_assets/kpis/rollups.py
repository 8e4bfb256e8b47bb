"""Hourly rollups by segment, in which every order counts once, by its latest prediction.

A write costs as much as its batch, a read as much as its buckets; neither depends on history.
Sums of probabilities are kept in exact decimals, so that adding and taking away never drifts.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.bands import LATE_SEVERITIES
from fulfillment_assets.store.settings_table import read_setting, write_setting

DIMENSIONS: Final = ("warehouse_block", "mode_of_shipment", "product_importance")
"""What a segment of orders is told by."""

_KEY: Final = ("bucket", *DIMENSIONS)
_MEASURES: Final = ("orders", "probability_sum", "critical", "warning", "info", "gap")
_COLUMNS: Final = ", ".join((*_KEY, *_MEASURES))

HISTORY_STARTS_AT: Final = "history_starts_at"
_COUNTED_SINCE: Final = (
    f"(SELECT (value #>> '{{}}')::timestamptz FROM settings WHERE key = '{HISTORY_STARTS_AT}')"
)


_HOLD_HISTORY: Final = f"SELECT FROM settings WHERE key = '{HISTORY_STARTS_AT}' FOR SHARE"
"""Retention waits for writers that count by the present start, and they for it."""


def _totals(states: str) -> str:
    """SQL that sums weighted order states into rows of `kpi_rollups`."""

    def count(condition: str) -> str:
        return f"coalesce(sum(weight) FILTER (WHERE {condition}), 0)"

    return f"""
    SELECT {", ".join(_KEY)},
           sum(weight) AS orders,
           sum(weight * round(delay_probability * 1e6)::bigint)::numeric / 1000000
               AS probability_sum,
           {count("severity = 'critical'")} AS critical,
           {count("severity = 'warning'")} AS warning,
           {count("severity = 'info'")} AS info,
           {count(f"order_status = 'shipped' AND severity IN {LATE_SEVERITIES}")} AS gap
    FROM (SELECT *, date_trunc('hour', event_time, 'UTC') AS bucket FROM ({states}) s) states
    WHERE order_status IS DISTINCT FROM 'cancelled' AND bucket >= {_COUNTED_SINCE}
    GROUP BY {", ".join(_KEY)}
    """


def _side(prefix: str, weight: int) -> str:
    names = (*DIMENSIONS, "event_time", "order_status", "delay_probability", "severity")
    columns = ", ".join(f"{prefix}_{name} AS {name}" for name in names)
    return f"SELECT {weight} AS weight, {columns} FROM order_changes"


_MOVED: Final = f"{_side('new', 1)} UNION ALL {_side('old', -1)} WHERE NOT is_new"

_APPLY: Final = f"""
INSERT INTO kpi_rollups AS k ({_COLUMNS})
SELECT {_COLUMNS} FROM ({_totals(_MOVED)}) t
ORDER BY {", ".join(_KEY)}
ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET
    {", ".join(f"{name} = k.{name} + excluded.{name}" for name in _MEASURES)}
"""

_LATEST: Final = f"""
SELECT DISTINCT ON (order_id) 1 AS weight, event_time, order_status, delay_probability, severity,
       {", ".join(f"features_json ->> '{name}' AS {name}" for name in DIMENSIONS)}
FROM predictions
ORDER BY order_id, event_time DESC, created_at DESC, id DESC
"""

_DIFFERENCES: Final = f"""
SELECT count(*) FROM (
    (SELECT {_COLUMNS} FROM ({_totals(_LATEST)}) rebuilt
     EXCEPT SELECT {_COLUMNS} FROM kpi_rollups)
    UNION ALL
    (SELECT {_COLUMNS} FROM kpi_rollups
     WHERE {" OR ".join(f"{name} <> 0" for name in _MEASURES)}
     EXCEPT SELECT {_COLUMNS} FROM ({_totals(_LATEST)}) rebuilt)
) AS differing
"""


def apply_changes(connection: Connection) -> None:
    """Move the orders of `order_changes` from their old buckets to their new ones.

    Runs in the caller's transaction. Buckets are locked in key order, so that concurrent
    writers wait for one another and never deadlock.
    """
    connection.execute(sa.text(_HOLD_HISTORY))
    connection.execute(sa.text(_APPLY))


def rebuild(connection: Connection) -> int:
    """Recompute every rollup from `predictions`; writers wait. Return the number of rows."""
    connection.execute(
        sa.text("LOCK TABLE predictions, orders, kpi_rollups IN SHARE ROW EXCLUSIVE MODE")
    )
    connection.execute(sa.text("DELETE FROM kpi_rollups"))
    result = connection.execute(
        sa.text(
            f"INSERT INTO kpi_rollups ({_COLUMNS}) "
            f"SELECT {_COLUMNS} FROM ({_totals(_LATEST)}) rebuilt"
        )
    )
    return result.rowcount


def forget_before(connection: Connection, moment: dt.datetime) -> None:
    """Stop counting events before `moment`: their predictions are about to be dropped."""
    current = dt.datetime.fromisoformat(read_setting(connection, HISTORY_STARTS_AT))
    if moment > current:
        write_setting(connection, HISTORY_STARTS_AT, moment.isoformat(), changed_by="retention")
        connection.execute(
            sa.text("DELETE FROM kpi_rollups WHERE bucket < :moment"), {"moment": moment}
        )


def differences(connection: Connection) -> int:
    """How many rollup rows differ from a recomputation from `predictions`; 0 when all is right."""
    return int(connection.scalar(sa.text(_DIFFERENCES)) or 0)
