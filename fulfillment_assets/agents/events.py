"""What the agents tell in the log: each step of a case, and nothing of what was said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from fulfillment_assets.agents.state import Chunk, Result, Route
from fulfillment_assets.agents.usage import Usage, total
from fulfillment_assets.knowledge.rules import Specialist
from fulfillment_assets.observability.logs import get_logger

if TYPE_CHECKING:
    from fulfillment_assets.agents.outcome import Outcome

_LOG: Final = get_logger(__name__)


def tell_claimed(fresh: int, decided: int) -> None:
    """Log `agent.group_claimed`: new cases, and those that a person has decided about."""
    _LOG.info("agent.group_claimed", fresh=fresh, decided=decided)


def tell_case_started(kind: str, severity: str) -> None:
    """Log `agent.case_started`."""
    _LOG.info("agent.case_started", kind=kind, severity=severity)


def tell_routed(route: Route) -> None:
    """Log `agent.routed`: who works the case, and whom a rule demands."""
    _LOG.info("agent.routed", specialists=route["specialists"], required=list(route["required"]))


def tell_started(agent_type: Specialist, chunks: Sequence[Chunk], *, retrieved: bool) -> None:
    """Log `agent.specialist_started`, with the scores of what was retrieved for it."""
    scores = [chunk["score"] for chunk in chunks]
    _LOG.info("agent.specialist_started", agent_type=agent_type, retrieved=retrieved, scores=scores)


def tell_turn(
    agent_type: Specialist,
    turn: int,
    models: Sequence[str],
    calls: Sequence[Usage],
    *,
    failed: bool,
) -> None:
    """Log `agent.turn`: who was asked, and what it cost."""
    _LOG.info(
        "agent.turn",
        agent_type=agent_type,
        turn=turn,
        models=list(models),
        failed=failed,
        **_cost(total(calls)),
    )


def tell_called(
    agent_type: Specialist,
    tool: str,
    result: Mapping[str, Any],
    seconds: float,
) -> None:
    """Log `agent.tool_called`: its status and the rule that it named."""
    _LOG.info(
        "agent.tool_called",
        agent_type=agent_type,
        tool=tool,
        status=result.get("status"),
        rule=result.get("rule"),
        milliseconds=round(seconds * 1_000, 2),
    )


def tell_ended(result: Result, turns: int) -> None:
    """Log `agent.specialist_ended`."""
    _LOG.info(
        "agent.specialist_ended",
        agent_type=result["agent_type"],
        ending=result["ending"],
        action=result["action"],
        steps=len(result["steps"]),
        turns=turns,
        failed=result["failure"] is not None,
        **_cost(result["usage"]),
    )


def tell_settled(outcome: Outcome, seconds: float) -> None:
    """Log `agent.case_settled`: how the case ended, or for how many approvals it waits."""
    usage = outcome.usage
    _LOG.info(
        "agent.case_settled",
        outcome=outcome.status,
        approvals=len(outcome.approvals),
        input_tokens=usage["input_tokens"],
        output_tokens=usage["output_tokens"],
        cost_usd=usage["cost_usd"],
        milliseconds=round(seconds * 1_000, 2),
    )


def _cost(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage["input_tokens"],
        "output_tokens": usage["output_tokens"],
        "milliseconds": round(usage["seconds"] * 1_000, 2),
    }
