"""A case that the graph cannot finish goes to a person, without asking a model."""

from __future__ import annotations

from typing import Any

from fulfillment_assets.agents.calls import step_of
from fulfillment_assets.agents.case import Case
from fulfillment_assets.agents.context import CaseContext
from fulfillment_assets.agents.outcome import AgentResponse, Outcome
from fulfillment_assets.agents.usage import total
from fulfillment_assets.agents.workshop import Workshop


def given_up(shop: Workshop, case: Case, reason: str) -> Outcome:
    """Open a ticket that says why, and escalate the case."""
    arguments, result = CaseContext(case, shop.desk).open_ticket(reason, [])
    ticket: dict[str, Any] = {
        "ending": "handed_over",
        "reason": reason,
        "chunks": [],
        "retrieval_error": None,
        "steps": [step_of("create_ticket", arguments, result)],
        "failure": reason,
    }
    summary: dict[str, Any] = {"route": None, "summary": reason, "failure": reason}
    responses = (
        AgentResponse("escalation", "create_ticket", ticket, [], "none", total(())),
        AgentResponse("orchestrator", "escalated", summary, [], "none", total(())),
    )
    return Outcome("escalated", responses, (), reason)
