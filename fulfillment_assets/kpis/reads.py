"""Reads of the KPIs: from the rollups alone, so their cost does not depend on history."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.kpis.rollups import DIMENSIONS
from fulfillment_assets.store.settings_table import read_setting


@dataclass(frozen=True, slots=True)
class Kpis:
    """The KPIs of one segment over a window; rates are shares of 1, null without orders.

    Attributes:
        segment: the value of each dimension that was asked for.
        orders: orders whose latest event falls in the window, cancelled ones left out.
        mean_probability: mean delay probability: the segment's risk score.
        on_time_rate: share of orders that are expected on time.
        high_risk: orders of critical severity.
        gaps: orders that are on their way and not expected on time.
        severities: orders by severity.
    """

    segment: dict[str, str]
    orders: int
    mean_probability: float | None
    on_time_rate: float | None
    high_risk: int
    gaps: int
    severities: dict[str, int]


def read_kpis(
    connection: Connection,
    *,
    by: Sequence[str] = (),
    window: dt.timedelta | None = None,
    until: dt.datetime | None = None,
) -> list[Kpis]:
    """The KPIs of the window that ends at `until`, riskiest segment first.

    Args:
        connection: any connection.
        by: dimensions to break down by (`DIMENSIONS`); none gives the one overall row.
        window: its length; the setting `kpi_window_days` if not given. Buckets are hours, so
            the window begins at the start of its first hour.
        until: its end; now if not given.

    Raises:
        ValueError: a dimension is unknown.
    """
    unknown = [name for name in by if name not in DIMENSIONS]
    if unknown:
        raise ValueError(f"unknown dimension {unknown[0]!r}: choose from {', '.join(DIMENSIONS)}")
    end = until or dt.datetime.now(dt.UTC)
    if window is None:
        window = dt.timedelta(days=float(read_setting(connection, "kpi_window_days")))
    keys = "".join(f"{name}, " for name in by)
    rows = connection.execute(
        sa.text(
            f"SELECT {keys} coalesce(sum(orders), 0) AS orders, "
            "(sum(probability_sum) / nullif(sum(orders), 0))::float8 AS mean_probability, "
            "(sum(on_time) / nullif(sum(orders), 0))::float8 AS on_time_rate, "
            "coalesce(sum(high_risk), 0) AS high_risk, coalesce(sum(gap), 0) AS gaps, "
            "coalesce(sum(critical), 0) AS critical, coalesce(sum(warning), 0) AS warning, "
            "coalesce(sum(info), 0) AS info "
            "FROM kpi_rollups "
            "WHERE bucket >= date_trunc('hour', CAST(:start AS timestamptz)) AND bucket <= :end "
            f"GROUP BY {', '.join(by) or '()'} "
            + ("HAVING sum(orders) > 0 " if by else "")
            + f"ORDER BY {', '.join(('mean_probability DESC NULLS LAST', *by))}"
        ),
        {"start": end - window, "end": end},
    )
    return [_kpis(row._mapping, by) for row in rows]


def _kpis(row: sa.RowMapping, by: Sequence[str]) -> Kpis:
    graded = {name: int(row[name]) for name in ("critical", "warning", "info")}
    orders = int(row["orders"])
    return Kpis(
        segment={name: row[name] for name in by},
        orders=orders,
        mean_probability=row["mean_probability"],
        on_time_rate=row["on_time_rate"],
        high_risk=int(row["high_risk"]),
        gaps=int(row["gaps"]),
        severities={**graded, "none": orders - sum(graded.values())},
    )
