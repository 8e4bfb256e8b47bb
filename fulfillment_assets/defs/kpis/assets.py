"""The KPIs of each day as they stood at its end, kept beyond the rolling window."""

import datetime as dt
from typing import TYPE_CHECKING, Any

import dagster as dg

from fulfillment_assets.defs.constants import DATABASE_RETRY, DAYS, OPERATIONS_OWNER, ORDERS_GROUP
from fulfillment_assets.defs.metadata import picture
from fulfillment_assets.defs.resources import Platform
from fulfillment_assets.defs.scoring.assets import KPI_ROLLUPS
from fulfillment_assets.defs.scoring.metadata import kpi_table

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection


@dg.asset(
    deps=[KPI_ROLLUPS, "outcomes"],
    description=(
        "The KPIs of the rolling window that ends with a day, overall, by each dimension and by "
        "each combination. Table `fulfillment.kpi_snapshots`, which retention leaves alone."
    ),
    group_name=ORDERS_GROUP,
    owners=[OPERATIONS_OWNER],
    kinds={"postgres", "table"},
    partitions_def=DAYS,
    retry_policy=DATABASE_RETRY,
)
def kpi_snapshot(
    context: dg.AssetExecutionContext, platform: Platform
) -> dg.MaterializeResult[None]:
    """Keep the KPIs of a day; taken again, they replace what was kept."""
    from fulfillment_assets.kpis.snapshots import take_snapshot

    day = dt.date.fromisoformat(context.partition_key)
    try:
        with platform.engine.begin() as connection:
            rows = take_snapshot(connection, day)
    except ValueError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    with platform.engine.connect() as connection:
        return dg.MaterializeResult(
            metadata={"dagster/row_count": rows, **_of_day(connection, day)}
        )


def _of_day(connection: "Connection", day: dt.date) -> dict[str, Any]:
    from fulfillment_assets.kpis.plots import over_time, png
    from fulfillment_assets.kpis.series import read_series
    from fulfillment_assets.kpis.snapshots import read_snapshots

    (overall,) = read_snapshots(connection, day, day)
    blocks = read_snapshots(connection, day, day, by=["warehouse_block"])
    window = overall.as_of - overall.window_start
    series = read_series(connection, "day", window=window, until=overall.as_of)
    return {
        "orders_in_window": overall.kpis.orders,
        "mean_probability": overall.kpis.mean_probability or 0.0,
        "on_time_rate": overall.kpis.on_time_rate or 0.0,
        "high_risk": overall.kpis.high_risk,
        "fulfillment_gaps": overall.kpis.gaps,
        "by_warehouse_block": kpi_table([snapshot.kpis for snapshot in blocks]),
        "chart": picture(png(over_time(series))),
    }
