"""Checks over whole tables; too dear for every run, so they run once a day."""

import dagster as dg

from fulfillment_assets.defs.resources import Platform
from fulfillment_assets.defs.scoring.assets import KPI_ROLLUPS


@dg.asset_check(
    asset=KPI_ROLLUPS,
    description="The rollups equal a recomputation from every prediction and outcome.",
)
def rollups_equal_rebuild(platform: Platform) -> dg.AssetCheckResult:
    """Recompute in a read-only query and count the rows that differ."""
    from fulfillment_assets.kpis import outcomes, rollups

    with platform.engine.connect() as connection:
        differing = rollups.differences(connection) + outcomes.differences(connection)
    return dg.AssetCheckResult(passed=differing == 0, metadata={"differing_rows": differing})


daily_checks = dg.define_asset_job(
    "daily_checks",
    selection=dg.AssetSelection.checks(rollups_equal_rebuild),
    description="Hold the rollups against a recomputation.",
)

daily_checks_schedule = dg.ScheduleDefinition(
    name="daily_checks_schedule",
    job=daily_checks,
    cron_schedule="30 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
