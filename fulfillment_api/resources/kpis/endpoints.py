"""KPIs, from the rollups alone: what they cost does not depend on history."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

from anyio.to_thread import run_sync
from fastapi import Query, Response
from pydantic import TypeAdapter

from fulfillment_api.database import Database
from fulfillment_api.dependencies import TheDatabase, TheServices
from fulfillment_api.errors import invalid
from fulfillment_api.resources.kpis.schemas import (
    DASHBOARD_EXAMPLE,
    POINT_EXAMPLE,
    SEGMENT_EXAMPLE,
    Segments,
    TimeSeries,
    Wanted,
    WantedKpis,
)
from fulfillment_api.routing import example, resource
from fulfillment_assets.kpis.dashboard import Dashboard, read_dashboard
from fulfillment_assets.kpis.reads import read_kpis
from fulfillment_assets.kpis.segments import dimensions
from fulfillment_assets.kpis.series import Grain, read_series

_DASHBOARD: Final = TypeAdapter(Dashboard)

router = resource("kpi")


@router.get("/kpi/dashboard", response_model=Dashboard, responses=example(DASHBOARD_EXAMPLE))
async def dashboard(services: TheServices, wanted: WantedKpis) -> Response:
    """All KPIs at once: overall, by every segment, by day and by hour; at most a second old."""
    text = await services.dashboards.get(
        wanted, lambda: run_sync(partial(_dashboard, services.database, wanted))
    )
    return Response(text, media_type="application/json")


def _dashboard(database: Database, wanted: Wanted) -> bytes:
    with database.read() as connection, invalid("query"):
        found = read_dashboard(connection, **wanted.arguments)
    return _DASHBOARD.dump_json(found)


@router.get(
    "/kpi/segments",
    responses=example({"by": ["warehouse_block"], "segments": [SEGMENT_EXAMPLE]}),
)
def segments(
    database: TheDatabase,
    wanted: WantedKpis,
    by: Annotated[
        list[str],
        Query(
            min_length=1,
            max_length=3,
            description="Dimensions to break down by: warehouse, mode, importance.",
            examples=[["warehouse", "mode"]],
        ),
    ] = ["warehouse", "mode", "importance"],  # noqa: B006  # FastAPI copies it
) -> Segments:
    """The KPIs of every segment, riskiest first."""
    with invalid("query.by"):
        names = dimensions(by)
    with database.read() as connection, invalid("query"):
        return Segments(
            by=list(names), segments=read_kpis(connection, by=names, **wanted.arguments)
        )


@router.get("/kpi/timeseries", responses=example({"grain": "day", "points": [POINT_EXAMPLE]}))
def timeseries(
    database: TheDatabase,
    wanted: WantedKpis,
    grain: Annotated[Grain, Query(description="A point for every hour or day (UTC).")] = "day",
) -> TimeSeries:
    """The KPIs of every hour or day of the window."""
    with database.read() as connection, invalid("query"):
        return TimeSeries(grain=grain, points=read_series(connection, grain, **wanted.arguments))
