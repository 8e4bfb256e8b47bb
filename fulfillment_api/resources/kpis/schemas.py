"""What the KPIs' endpoints take."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import Depends, Query
from pydantic import BaseModel

from fulfillment_api.fields import Moment
from fulfillment_assets.knowledge.rules import Block, Importance, Mode
from fulfillment_assets.kpis.reads import Kpis
from fulfillment_assets.kpis.series import Grain, Point


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which orders count: those of a window, and maybe of a segment."""

    window: dt.timedelta | None
    until: dt.datetime | None
    segment: tuple[tuple[str, str], ...]

    @property
    def arguments(self) -> dict[str, Any]:
        """As the reads of `fulfillment_assets.kpis` take them."""
        return {"window": self.window, "until": self.until, "where": dict(self.segment)}


async def _wanted(
    days: Annotated[
        float | None,
        Query(
            gt=0,
            le=3_650,
            description="Length of the window; the setting `kpi_window_days` if not given.",
        ),
    ] = None,
    until: Annotated[Moment | None, Query(description="Its end; now if not given.")] = None,
    warehouse: Annotated[Block | None, Query(description="Only this block.")] = None,
    mode: Annotated[Mode | None, Query(description="Only this mode of shipment.")] = None,
    importance: Annotated[Importance | None, Query(description="Only this importance.")] = None,
) -> Wanted:
    segment = {"warehouse": warehouse, "mode": mode, "importance": importance}
    return Wanted(
        None if days is None else dt.timedelta(days=days),
        until,
        tuple((name, value) for name, value in segment.items() if value is not None),
    )


WantedKpis = Annotated[Wanted, Depends(_wanted)]
"""Which orders count, from the query."""


class Segments(BaseModel):
    """The KPIs of every segment, riskiest first."""

    by: list[str]
    segments: list[Kpis]


class TimeSeries(BaseModel):
    """A point for each hour or day, those without orders too."""

    grain: Grain
    points: list[Point]


MEASURES: Final = {
    "orders": 1961,
    "mean_probability": 0.597,
    "probability_variance": 0.05,
    "on_time_rate": 0.687,
    "high_risk": 601,
    "gaps": 213,
    "severities": {"critical": 601, "warning": 12, "info": 1348, "none": 0},
    "known": 400,
    "actual_on_time_rate": 0.41,
    "predicted_on_time_rate": 0.69,
}
OUTCOMES: Final = {"late": 236, "expected_on_time_rate": 0.403}
START: Final = "2026-03-01T00:00:00Z"
_SEGMENT: Final = {"warehouse_block": "F"}
_RISKY: Final = {
    "segment": {
        "warehouse_block": "F",
        "mode_of_shipment": "Ship",
        "product_importance": "high",
    },
    "orders": 64,
    "mean_probability": 0.71,
    "low": 0.62,
    "high": 0.8,
    "high_risk": 31,
}
POINT_EXAMPLE: Final = MEASURES | {"start": START}
SEGMENT_EXAMPLE: Final = MEASURES | OUTCOMES | {"segment": _SEGMENT}
DASHBOARD_EXAMPLE: Final = {
    "start": START,
    "end": "2026-03-31T13:00:00Z",
    "overall": MEASURES | OUTCOMES | {"segment": {}},
    "segments": {"warehouse_block": [SEGMENT_EXAMPLE]},
    "riskiest": [_RISKY],
    "daily": [POINT_EXAMPLE],
    "hourly": [POINT_EXAMPLE | {"known": None, "actual_on_time_rate": None}],
}
