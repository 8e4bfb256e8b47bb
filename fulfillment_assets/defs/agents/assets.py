"""What the agents did about deviations, a group at a time."""

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from fulfillment_assets.defs.constants import AGENTS_GROUP, OPERATIONS_OWNER
from fulfillment_assets.defs.metadata import table
from fulfillment_assets.defs.resources import Platform
from fulfillment_assets.defs.scoring.assets import DEVIATIONS

if TYPE_CHECKING:
    from fulfillment_assets.agents.work import Worked

SHOWN: Final = 50


class GroupConfig(dg.Config):
    """Which deviations are worked.

    Attributes:
        worker: the name under which they were claimed. Empty: this run claims a group itself.
    """

    worker: str | None = None


@dg.asset(
    deps=[DEVIATIONS, "knowledge_index"],
    description=(
        "Responses of the specialists and the orchestrator to critical deviations, with everything "
        "they retrieved, said and did. Table `fulfillment.agent_responses`; effects stand in "
        "`fulfillment.tool_actions`."
    ),
    group_name=AGENTS_GROUP,
    owners=[OPERATIONS_OWNER],
    kinds={"langgraph", "postgres"},
)
def agent_responses(
    context: dg.AssetExecutionContext, config: GroupConfig, platform: Platform
) -> dg.MaterializeResult[None]:
    """Work a group of claimed deviations, several at a time, and groups after it that wait."""
    from fulfillment_assets.agents.claims import claim
    from fulfillment_assets.agents.work import work_groups
    from fulfillment_assets.agents.workshop import workshop
    from fulfillment_assets.knowledge.errors import KnowledgeError

    worker = config.worker or context.run.run_id
    if config.worker is None:
        with platform.engine.begin() as connection:
            claim(connection, worker)
    try:
        with workshop(platform.engine, platform.settings) as shop:
            worked = work_groups(shop, worker)
    except KnowledgeError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    for one in worked:
        if one.error is not None:
            context.log.error(f"deviation {one.deviation_id} was not settled: {one.error}")
    return dg.MaterializeResult(metadata=_numbers(worked))


def _numbers(worked: list["Worked"]) -> dict[str, Any]:
    outcomes = [(one, one.outcome) for one in worked if one.outcome is not None]
    actions = Counter(
        f"{response.agent_type}: {response.action}"
        for _, outcome in outcomes
        for response in outcome.responses
        if response.agent_type != "orchestrator"
    )
    costs = [outcome.usage["cost_usd"] for _, outcome in outcomes]
    return {
        "dagster/row_count": sum(len(outcome.responses) for _, outcome in outcomes),
        "deviations": len(worked),
        "not_settled": len(worked) - len(outcomes),
        **Counter(outcome.status for _, outcome in outcomes),
        "seconds": round(sum(one.seconds for one in worked), 3),
        "cost_usd": "unknown" if None in costs else round(sum(cost or 0.0 for cost in costs), 6),
        "actions": table([{"action": name, "times": n} for name, n in actions.most_common()]),
        "resolutions": table(
            [
                {
                    "deviation": str(one.deviation_id),
                    "outcome": outcome.status,
                    "summary": outcome.summary,
                    "seconds": round(one.seconds, 3),
                }
                for one, outcome in outcomes[:SHOWN]
            ]
        ),
    }
