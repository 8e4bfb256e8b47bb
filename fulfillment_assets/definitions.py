"""The Dagster code location: the whole wiring on one screen."""

import logging

import dagster as dg

from fulfillment_assets.defs.agents.assets import agent_responses
from fulfillment_assets.defs.agents.sensors import deviation_sensor, resolve_deviations
from fulfillment_assets.defs.delay_model.assets import (
    champion,
    delay_classifier,
    model_candidates,
    training_data,
)
from fulfillment_assets.defs.delay_model.jobs import retrain_schedule, train_model
from fulfillment_assets.defs.knowledge.assets import knowledge_index
from fulfillment_assets.defs.knowledge.jobs import index_knowledge, knowledge_sensor
from fulfillment_assets.defs.kpis.assets import kpi_snapshot
from fulfillment_assets.defs.kpis.jobs import snapshot_kpis, snapshot_schedule
from fulfillment_assets.defs.monitoring.assets import data_drift, model_quality, outcomes
from fulfillment_assets.defs.monitoring.jobs import monitor_model, monitor_schedule
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
from fulfillment_assets.defs.streaming.jobs import relay_events, score_stream
from fulfillment_assets.defs.streaming.sensors import kafka_sensor, outbox_sensor
from fulfillment_assets.observability.logs import configure_logging
from fulfillment_assets.settings import Settings

if not logging.root.handlers:  # a command has its own way to tell people what happens
    configure_logging(Settings().log_format)

defs = dg.Definitions(
    assets=[
        training_data,
        model_candidates,
        delay_classifier,
        champion,
        score_orders,
        outcomes,
        model_quality,
        data_drift,
        kpi_snapshot,
        knowledge_index,
        agent_responses,
    ],
    asset_checks=[rollups_equal_rebuild],
    jobs=[
        train_model,
        score_batch,
        score_stream,
        relay_events,
        monitor_model,
        snapshot_kpis,
        index_knowledge,
        resolve_deviations,
        daily_checks,
        upkeep,
    ],
    sensors=[
        drop_folder_sensor,
        kafka_sensor,
        outbox_sensor,
        knowledge_sensor,
        deviation_sensor,
    ],
    schedules=[
        retrain_schedule,
        monitor_schedule,
        snapshot_schedule,
        daily_checks_schedule,
        upkeep_schedule,
    ],
    resources=RESOURCES,
    executor=dg.in_process_executor,
)
