"""Hourly upkeep: partitions are made ahead, and what is past retention is deleted."""

import dagster as dg

from fulfillment_assets.defs.constants import DATABASE_RETRY
from fulfillment_assets.defs.platform.run_retention import delete_old_runs
from fulfillment_assets.defs.resources import Platform


@dg.op(retry_policy=DATABASE_RETRY)
def keep_partitions(context: dg.OpExecutionContext, platform: Platform) -> None:
    """Create the partitions of the coming days and drop those past retention."""
    from fulfillment_assets.scoring.retention import apply_retention
    from fulfillment_assets.store.partitions import ensure_partitions

    kept = ensure_partitions(platform.engine)
    dropped = apply_retention(platform.engine, platform.settings.retention_days)
    context.log.info(f"ready: {', '.join(kept)}; dropped: {', '.join(dropped) or 'none'}")


@dg.job(description="Make the coming days' partitions; delete days and runs past retention.")
def upkeep() -> None:
    """Partitions of `predictions`, kept ahead of time and within retention, and Dagster's runs."""
    keep_partitions()
    delete_old_runs()


upkeep_schedule = dg.ScheduleDefinition(
    name="upkeep_schedule",
    job=upkeep,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
