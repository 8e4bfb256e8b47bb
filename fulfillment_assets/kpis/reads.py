"""Reads of the KPIs: from the rollups alone, so their cost does not depend on history.

Each order counts where its latest event puts it *now*. A window that ends in the past tells of
the orders that nothing was heard of since; what was known then stands in the daily snapshots.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.engine import Connection

from fulfillment_assets.kpis.cells import Cell, Sums, Wanted, mean, read_cells, variance
from fulfillment_assets.kpis.rollups import DIMENSIONS
from fulfillment_assets.kpis.segments import dimensions, segment_filter
from fulfillment_assets.kpis.windows import window_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """The KPIs of a group of orders; rates are shares of 1, null without orders.

    Attributes:
        orders: orders whose latest event falls in the period, cancelled ones left out.
        mean_probability: mean delay probability: the risk score.
        probability_variance: sample variance of the delay probabilities; null below two orders.
        on_time_rate: share of orders that are expected on time.
        high_risk: orders of critical severity.
        gaps: orders that are on their way and not expected on time.
        severities: orders by severity.
    """

    orders: int
    mean_probability: float | None
    probability_variance: float | None
    on_time_rate: float | None
    high_risk: int
    gaps: int
    severities: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpis(Measures):
    """The KPIs of one segment over a window, with what came true.

    The outcomes are those that became known on the days (UTC) of which the window has a part.

    Attributes:
        segment: the value of each dimension that was asked for.
        known: orders whose outcome became known.
        late: those of them that were late.
        actual_on_time_rate: share of the known that were on time.
        predicted_on_time_rate: share of the known that had been expected on time.
        expected_on_time_rate: the on-time rate that the probabilities of the known amount to;
            of calibrated probabilities it is the actual one, but for chance.
    """

    segment: dict[str, str]
    known: int
    late: int
    actual_on_time_rate: float | None
    predicted_on_time_rate: float | None
    expected_on_time_rate: float | None


def read_kpis(
    connection: Connection,
    *,
    by: Sequence[str] = (),
    window: dt.timedelta | None = None,
    until: dt.datetime | None = None,
    where: Mapping[str, str] | None = None,
) -> list[Kpis]:
    """The KPIs of the window that ends at `until`, riskiest segment first.

    Args:
        connection: any connection.
        by: dimensions to break down by, full (`DIMENSIONS`) or short (`SHORT_NAMES`); none gives
            the one overall row.
        window: its length; the setting `kpi_window_days` if not given. Buckets are hours, so
            the window begins at the start of its first hour.
        until: its end, aware; now if not given.
        where: only orders of this segment, such as `{"warehouse": "A", "mode": "Ship"}`.

    Raises:
        ValueError: a dimension or a value is unknown, or the window is none.
    """
    by = dimensions(by)
    wanted = Wanted(
        window_until(connection, window, until),
        groupings=[by],
        where=segment_filter(where or {}),
    )
    return kpis_of(read_cells(connection, wanted), by)


def kpis_of(cells: Iterable[Cell], by: Sequence[str]) -> list[Kpis]:
    """The KPIs of one grouping's cells, riskiest first, then in the order of their names."""
    found = [_kpis(cell, by) for cell in cells]
    return sorted(found, key=lambda kpis: (-_risk(kpis), *kpis.segment.values()))


def _risk(kpis: Kpis) -> float:
    return -1.0 if kpis.mean_probability is None else kpis.mean_probability


def _kpis(cell: Cell, by: Sequence[str]) -> Kpis:
    sums = cell.sums
    values = dict(zip(DIMENSIONS, cell.segment, strict=True))
    return Kpis(
        segment={name: value for name in by if (value := values[name]) is not None},
        **measures_of(sums),
        **outcomes_of(sums),
    )


def measures_of(sums: Sums) -> dict[str, Any]:
    """The fields of `Measures`."""
    graded = {"critical": sums.critical, "warning": sums.warning, "info": sums.info}
    return {
        "orders": sums.orders,
        "mean_probability": mean(sums.probability_sum, sums.orders),
        "probability_variance": variance(sums),
        "on_time_rate": mean(sums.orders - sums.critical - sums.warning, sums.orders),
        "high_risk": sums.critical,
        "gaps": sums.gap,
        "severities": {**graded, "none": sums.orders - sum(graded.values())},
    }


def outcomes_of(sums: Sums) -> dict[str, Any]:
    """The fields of `Kpis` that tell what came true."""
    known = sums.known
    return {
        "known": known,
        "late": sums.late,
        "actual_on_time_rate": mean(known - sums.late, known),
        "predicted_on_time_rate": mean(known - sums.expected_late, known),
        "expected_on_time_rate": mean(known - sums.known_probability_sum, known),
    }
