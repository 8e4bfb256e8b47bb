"""Watching the model as a job, every hour."""

import datetime as dt

import dagster as dg

from fulfillment_assets.defs.monitoring.assets import data_drift, model_quality, outcomes

monitor_model = dg.define_asset_job(
    "monitor_model",
    selection=dg.AssetSelection.assets(outcomes, model_quality, data_drift),
    description="Learn a day's outcomes, and measure live quality and drift.",
)


@dg.schedule(
    job=monitor_model,
    cron_schedule="17 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Measures the day anew every hour; just after midnight, the whole day before.",
)
def monitor_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Request the partition of the hour that has just passed."""
    now = context.scheduled_execution_time
    day = (now - dt.timedelta(hours=1)).date().isoformat()
    return dg.RunRequest(run_key=now.isoformat(), partition_key=day)
