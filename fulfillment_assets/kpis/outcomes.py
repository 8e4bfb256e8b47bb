"""What came true, by segment and by the day on which it became known.

`kpi_outcomes` sums the table `outcomes`, and whoever changes that moves its orders here in the
same statement: an order whose outcome is decided anew leaves its old cell.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.delay_model.bands import LATE_SEVERITIES
from fulfillment_assets.kpis.rollups import DIMENSIONS, add_to, differing, exact_sum

OUTCOME_MEASURES: Final = ("known", "late", "expected_late", "probability_sum")
"""Orders whose outcome is known, those that were late, and what had been predicted of them."""

STATE: Final = ("is_late", "known_at", "delay_probability", "severity", *DIMENSIONS)
"""The columns of an outcome that are counted."""

_KEY: Final = ("day", *DIMENSIONS)
_COLUMNS: Final = ", ".join((*_KEY, *OUTCOME_MEASURES))


def _totals(states: str) -> str:
    """SQL that sums weighted outcomes into rows of `kpi_outcomes`."""
    return f"""
    SELECT (known_at AT TIME ZONE 'UTC')::date AS day, {", ".join(DIMENSIONS)},
           sum(weight) AS known,
           coalesce(sum(weight) FILTER (WHERE is_late), 0) AS late,
           coalesce(sum(weight) FILTER (WHERE severity IN {LATE_SEVERITIES}), 0) AS expected_late,
           {exact_sum("delay_probability")} AS probability_sum
    FROM ({states}) states
    GROUP BY {", ".join(_KEY)}
    """


def moved(states: str) -> str:
    """SQL that takes outcomes out of the cells of `kpi_outcomes`, or puts them in.

    Args:
        states: a query for the columns `weight` (1: in, -1: out) and `STATE`.
    """
    return f"""
    INSERT INTO kpi_outcomes AS k ({_COLUMNS})
    SELECT {_COLUMNS} FROM ({_totals(states)}) totals
    {add_to(_KEY, OUTCOME_MEASURES)}
    """


_ALL: Final = f"SELECT 1 AS weight, {', '.join(STATE)} FROM outcomes"
_DIFFERENCES: Final = f"""
WITH rebuilt AS MATERIALIZED ({_totals(_ALL)})
{differing("kpi_outcomes", "rebuilt", _COLUMNS, OUTCOME_MEASURES)}
"""


def rebuild(connection: Connection) -> int:
    """Recompute `kpi_outcomes` from `outcomes`; writers wait. Return the number of rows."""
    connection.execute(sa.text("LOCK TABLE outcomes, kpi_outcomes IN SHARE ROW EXCLUSIVE MODE"))
    connection.execute(sa.text("DELETE FROM kpi_outcomes"))
    return connection.execute(sa.text(moved(_ALL))).rowcount


def differences(connection: Connection) -> int:
    """How many rows differ from a recomputation from `outcomes`; 0 when all is right."""
    return int(connection.scalar(sa.text(_DIFFERENCES)) or 0)
