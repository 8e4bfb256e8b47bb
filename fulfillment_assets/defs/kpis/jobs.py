"""The daily snapshot as a job, once a day has ended and its outcomes are learnt."""

import datetime as dt

import dagster as dg

from fulfillment_assets.defs.kpis.assets import kpi_snapshot

snapshot_kpis = dg.define_asset_job(
    "snapshot_kpis",
    selection=dg.AssetSelection.assets(kpi_snapshot),
    description="Keep the KPIs of a day as they stood at its end.",
)


@dg.schedule(
    job=snapshot_kpis,
    cron_schedule="45 0 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Keeps the KPIs of the day before.",
)
def snapshot_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Request the partition of the day that has just ended."""
    now = context.scheduled_execution_time
    return dg.RunRequest(
        run_key=now.isoformat(), partition_key=(now - dt.timedelta(days=1)).date().isoformat()
    )
