"""Training as a job: on demand, every week, and when the model fares worse or orders change."""

import dagster as dg

from fulfillment_assets.defs.delay_model.assets import (
    champion,
    delay_classifier,
    model_candidates,
    training_data,
)
from fulfillment_assets.defs.resources import Platform

REASON_TAG = "fulfillment/retrain_reason"

train_model = dg.define_asset_job(
    "train_model",
    selection=dg.AssetSelection.assets(training_data, model_candidates, delay_classifier, champion),
    description=(
        "Gather training data, compare candidates, train the chosen one, guard it, and promote it "
        "if it is better than the champion."
    ),
)


@dg.schedule(
    job=train_model,
    cron_schedule="15 4 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description=(
        "Looks every day whether to train: when a week has passed, or live quality or drift has "
        "failed. Never on simulated orders."
    ),
)
def retrain_schedule(
    context: dg.ScheduleEvaluationContext, platform: Platform
) -> dg.RunRequest | dg.SkipReason:
    """Request a training if there is a reason for it, and real orders to train on."""
    from fulfillment_assets.delay_model.errors import TrainingDataError
    from fulfillment_assets.monitoring.retraining import retrain_reason
    from fulfillment_assets.monitoring.training_source import source_kind

    now = context.scheduled_execution_time
    with platform.engine.connect() as connection:
        reason = retrain_reason(connection, now)
        if reason is None:
            return dg.SkipReason("the newest model is less than a week old, and fares well")
        try:
            source_kind(connection, platform.settings, simulated_allowed=False)
        except TrainingDataError as error:
            return dg.SkipReason(f"{reason}; but: {error}")
    return dg.RunRequest(run_key=now.date().isoformat(), tags={REASON_TAG: reason})
