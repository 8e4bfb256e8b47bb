"""The Dagster code location: the whole wiring on one screen."""

import dagster as dg

from fulfillment_assets.defs.delay_model.assets import delay_classifier, training_data
from fulfillment_assets.defs.delay_model.checks import label_polarity
from fulfillment_assets.defs.delay_model.jobs import train_model
from fulfillment_assets.defs.platform.upkeep import upkeep, upkeep_schedule
from fulfillment_assets.defs.resources import RESOURCES
from fulfillment_assets.defs.scoring.assets import score_orders
from fulfillment_assets.defs.scoring.checks import (
    daily_checks,
    daily_checks_schedule,
    rollups_equal_rebuild,
)
from fulfillment_assets.defs.scoring.jobs import score_batch
from fulfillment_assets.defs.scoring.sensors import drop_folder_sensor

defs = dg.Definitions(
    assets=[training_data, delay_classifier, score_orders],
    asset_checks=[label_polarity, rollups_equal_rebuild],
    jobs=[train_model, score_batch, daily_checks, upkeep],
    sensors=[drop_folder_sensor],
    schedules=[daily_checks_schedule, upkeep_schedule],
    resources=RESOURCES,
    executor=dg.in_process_executor,
)
