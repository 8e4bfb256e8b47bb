"""Hourly and daily rollups by segment, in which every order counts once, by its latest prediction.

A write costs as much as its batch, a read as much as its buckets; neither depends on history.
Sums of probabilities are kept in exact decimals, so that adding and taking away never drifts.
The days are the sums of their hours (UTC), so that a long window is read day by day.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.bands import LATE_SEVERITIES
from fulfillment_assets.store.partitions import start_of
from fulfillment_assets.store.prepared import Statement
from fulfillment_assets.store.settings_table import read_setting, write_setting

DIMENSIONS: Final = ("warehouse_block", "mode_of_shipment", "product_importance")
"""What a segment of orders is told by."""

MEASURES: Final = (
    "orders",
    "probability_sum",
    "probability_square_sum",
    "critical",
    "warning",
    "info",
    "gap",
)
"""What is counted and summed of a segment's orders."""

DAY_OF_BUCKET: Final = "(bucket AT TIME ZONE 'UTC')::date"
"""SQL: the UTC day of an hour."""

_HOUR: Final = ("bucket", *DIMENSIONS)
_DAY: Final = ("day", *DIMENSIONS)
_HOUR_COLUMNS: Final = ", ".join((*_HOUR, *MEASURES))
_DAY_COLUMNS: Final = ", ".join((*_DAY, *MEASURES))

HISTORY_STARTS_AT: Final = "history_starts_at"
_COUNTED_SINCE: Final = (
    f"(SELECT (value #>> '{{}}')::timestamptz FROM settings WHERE key = '{HISTORY_STARTS_AT}')"
)


_HOLD_HISTORY: Final = Statement(
    "hold_history", f"SELECT FROM settings WHERE key = '{HISTORY_STARTS_AT}' FOR SHARE"
)
"""Retention waits for writers that count by the present start, and they for it."""


def exact_sum(values: str) -> str:
    """SQL that sums a fraction, times the weights of its rows, in exact decimals of six digits."""
    return f"sum(weight * round({values} * 1e6)::bigint)::numeric / 1000000"


def _hours(states: str) -> str:
    """SQL that sums weighted order states into rows of `kpi_rollups`."""

    def count(condition: str) -> str:
        return f"coalesce(sum(weight) FILTER (WHERE {condition}), 0)"

    return f"""
    SELECT {", ".join(_HOUR)},
           sum(weight) AS orders,
           {exact_sum("delay_probability")} AS probability_sum,
           {exact_sum("(delay_probability * delay_probability)")} AS probability_square_sum,
           {count("severity = 'critical'")} AS critical,
           {count("severity = 'warning'")} AS warning,
           {count("severity = 'info'")} AS info,
           {count(f"order_status = 'shipped' AND severity IN {LATE_SEVERITIES}")} AS gap
    FROM (SELECT *, date_trunc('hour', event_time, 'UTC') AS bucket FROM ({states}) s) states
    WHERE order_status IS DISTINCT FROM 'cancelled' AND bucket >= {_COUNTED_SINCE}
    GROUP BY {", ".join(_HOUR)}
    """


def _days(hours: str) -> str:
    """SQL that sums rows of `kpi_rollups` into rows of `kpi_daily_rollups`."""
    return f"""
    SELECT {", ".join(_DAY)}, {", ".join(f"sum({name}) AS {name}" for name in MEASURES)}
    FROM (SELECT *, {DAY_OF_BUCKET} AS day FROM {hours}) hours
    GROUP BY {", ".join(_DAY)}
    """


def _side(prefix: str, weight: int) -> str:
    names = (*DIMENSIONS, "event_time", "order_status", "delay_probability", "severity")
    columns = ", ".join(f"{prefix}_{name} AS {name}" for name in names)
    return f"SELECT {weight} AS weight, {columns} FROM order_changes"


def add_to(key: Sequence[str], measures: Sequence[str]) -> str:
    """The end of an INSERT INTO ... AS k that adds to the rows that are there.

    Rows are locked in key order, so that concurrent writers wait for one another and never
    deadlock.
    """
    return f"""
    ORDER BY {", ".join(key)}
    ON CONFLICT ({", ".join(key)}) DO UPDATE SET
        {", ".join(f"{name} = k.{name} + excluded.{name}" for name in measures)}
    """


_MOVED: Final = f"{_side('new', 1)} UNION ALL {_side('old', -1)} WHERE NOT is_new"

# The days wait for the count of the hours, so all writers lock hours first.
_APPLY: Final = Statement(
    "apply_changes",
    f"""
WITH moved AS MATERIALIZED ({_hours(_MOVED)}),
hours AS (
    INSERT INTO kpi_rollups AS k ({_HOUR_COLUMNS})
    SELECT {_HOUR_COLUMNS} FROM moved
    {add_to(_HOUR, MEASURES)}
    RETURNING 1
)
INSERT INTO kpi_daily_rollups AS k ({_DAY_COLUMNS})
SELECT {_DAY_COLUMNS} FROM ({_days("moved")}) days WHERE (SELECT count(*) FROM hours) > 0
{add_to(_DAY, MEASURES)}
""",
)

_LATEST: Final = f"""
SELECT DISTINCT ON (order_id) 1 AS weight, event_time, order_status, delay_probability, severity,
       {", ".join(f"features_json ->> '{name}' AS {name}" for name in DIMENSIONS)}
FROM predictions
ORDER BY order_id, event_time DESC, created_at DESC, id DESC
"""

_LOCK: Final = (
    "LOCK TABLE predictions, orders, kpi_rollups, kpi_daily_rollups IN SHARE ROW EXCLUSIVE MODE"
)
_REBUILD: Final = f"""
WITH hours AS (
    INSERT INTO kpi_rollups ({_HOUR_COLUMNS})
    SELECT {_HOUR_COLUMNS} FROM ({_hours(_LATEST)}) rebuilt RETURNING *
), days AS (
    INSERT INTO kpi_daily_rollups ({_DAY_COLUMNS})
    SELECT {_DAY_COLUMNS} FROM ({_days("hours")}) days
)
SELECT count(*) FROM hours
"""


def differing(table: str, rebuilt: str, columns: str, measures: Sequence[str]) -> str:
    """SQL that counts rows that are only in a table of sums, or only in the rebuilt rows.

    A row that counts nothing is as good as none.
    """
    counting = " OR ".join(f"{name} <> 0" for name in measures)
    return f"""
    SELECT count(*) FROM (
        (SELECT {columns} FROM {rebuilt} EXCEPT SELECT {columns} FROM {table})
        UNION ALL
        (SELECT {columns} FROM {table} WHERE {counting} EXCEPT SELECT {columns} FROM {rebuilt})
    ) AS differing
    """


_DIFFERENCES: Final = f"""
WITH hours AS MATERIALIZED ({_hours(_LATEST)}), days AS MATERIALIZED ({_days("hours")})
SELECT ({differing("kpi_rollups", "hours", _HOUR_COLUMNS, MEASURES)})
     + ({differing("kpi_daily_rollups", "days", _DAY_COLUMNS, MEASURES)})
"""


def apply_changes(connection: Connection) -> None:
    """Move the orders of `order_changes` from their old buckets to their new ones.

    Runs in the caller's transaction. Buckets are locked hours first, each in key order, so that
    concurrent writers wait for one another and never deadlock.
    """
    _HOLD_HISTORY.execute(connection, {})
    _APPLY.execute(connection, {})


def rebuild(connection: Connection) -> int:
    """Recompute every rollup from `predictions`; writers wait. Return the number of hourly rows."""
    connection.execute(sa.text(_LOCK))
    connection.execute(sa.text("DELETE FROM kpi_rollups; DELETE FROM kpi_daily_rollups"))
    return int(connection.execute(sa.text(_REBUILD)).scalar_one())


def forget_before(connection: Connection, moment: dt.datetime) -> None:
    """Stop counting events before `moment`: their predictions are about to be dropped.

    Args:
        connection: in a transaction.
        moment: the start of a UTC day.

    Raises:
        ValueError: it is none; half a day could not be told from its daily sum.
    """
    day = moment.astimezone(dt.UTC).date()
    if moment != start_of(day):
        raise ValueError(f"history is forgotten by whole UTC days, not before {moment}")
    current = dt.datetime.fromisoformat(read_setting(connection, HISTORY_STARTS_AT))
    if moment > current:
        write_setting(connection, HISTORY_STARTS_AT, moment.isoformat(), changed_by="retention")
        values = {"moment": moment, "day": day}
        connection.execute(sa.text("DELETE FROM kpi_rollups WHERE bucket < :moment"), values)
        connection.execute(sa.text("DELETE FROM kpi_daily_rollups WHERE day < :day"), values)


def differences(connection: Connection) -> int:
    """How many rollup rows differ from a recomputation from `predictions`; 0 when all is right."""
    return int(connection.scalar(sa.text(_DIFFERENCES)) or 0)
