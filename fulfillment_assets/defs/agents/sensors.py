"""The sensor that hands deviations to the agents: critical ones, and what a person asks for."""

import uuid
from typing import Final

import dagster as dg

from fulfillment_assets.defs.agents.assets import agent_responses
from fulfillment_assets.defs.resources import Platform
from fulfillment_assets.defs.runs import unfinished

MOST_RUNS: Final = 2
"""Runs of agents at a time."""

MAX_SECONDS: Final = 900
NICE: Final = "10"
"""Agents leave the processors to the scoring of what comes in."""

resolve_deviations = dg.define_asset_job(
    "resolve_deviations",
    selection=dg.AssetSelection.assets(agent_responses),
    description="Work a group of claimed deviations with the agents.",
)


@dg.sensor(
    job=resolve_deviations,
    minimum_interval_seconds=1,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description=(
        "Claims deviations that a person has decided about or asks for, then critical ones, oldest "
        "first, and requests a run for each group. What a dead run had goes back after its lease."
    ),
)
def deviation_sensor(
    context: dg.SensorEvaluationContext, platform: Platform
) -> list[dg.RunRequest] | dg.SkipReason:
    """Claim groups for as many runs as may still start."""
    from fulfillment_assets.agents.groups import claim_group, tidy
    from fulfillment_assets.knowledge.index import serving

    with platform.engine.begin() as connection:
        tidy(connection)
        if serving(connection) is None:
            return dg.SkipReason("the knowledge base has no index yet")
    running = context.instance.get_runs_count(unfinished(resolve_deviations.name))
    requests = []
    for _ in range(running, MOST_RUNS):
        worker = f"group-{uuid.uuid4()}"
        with platform.engine.begin() as connection:
            claimed = claim_group(connection, worker)
        if not claimed:
            break
        requests.append(group_request(worker, claimed))
    if requests:
        return requests
    busy = running >= MOST_RUNS
    return dg.SkipReason(f"{running} runs are at work" if busy else "no deviation waits")


def group_request(worker: str, deviations: int) -> dg.RunRequest:
    """The run that works what a worker has claimed."""
    return dg.RunRequest(
        run_key=worker,
        run_config={"ops": {"agent_responses": {"config": {"worker": worker}}}},
        tags={
            "fulfillment/deviations": str(deviations),
            "fulfillment/nice": NICE,
            "dagster/max_runtime": str(MAX_SECONDS),
        },
    )
