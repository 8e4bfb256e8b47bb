"""The graph of a case: router -> specialists in parallel -> review -> summary.

Specialists work in two rounds, each in parallel. Shipment and payment act on the order; then the
customer is told what came of it (rule SH-2.5) and a ticket says what was tried (rule ES-4.1).
`review` also sends for the escalation desk where a specialist handed over.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from fulfillment_assets.agents import events, prompts, router
from fulfillment_assets.agents.context import CaseContext
from fulfillment_assets.agents.facts import Facts
from fulfillment_assets.agents.findings import finding_of
from fulfillment_assets.agents.models import Models
from fulfillment_assets.agents.policy.summary import summary_of
from fulfillment_assets.agents.specialist import build_specialist
from fulfillment_assets.agents.state import CaseInput, CaseState, SpecialistInput
from fulfillment_assets.knowledge.rules import Specialist

FIRST: Final[tuple[Specialist, ...]] = ("shipment", "payment")
"""Specialists who act on the order."""

SECOND: Final[tuple[Specialist, ...]] = ("customer", "escalation")
"""Specialists who tell somebody what came of it."""

CaseGraph: TypeAlias = CompiledStateGraph[CaseState, CaseContext, CaseInput, CaseState]


def build_graph(models: Models, checkpointer: BaseCheckpointSaver[Any] | None = None) -> CaseGraph:
    """The graph of a case; build it once for a process.

    Args:
        models: who decides; the graph is the same for each.
        checkpointer: keeps a case that waits for a person; without one, nothing can wait.
    """
    nodes = _Nodes(models)
    graph = StateGraph(CaseState, context_schema=CaseContext, input_schema=CaseInput)
    graph.add_node("route", nodes.route)
    graph.add_node("specialist", build_specialist(models))
    graph.add_node("review", review)
    graph.add_node("summarise", nodes.summarise)
    graph.add_edge(START, "route")
    graph.add_conditional_edges("route", first_round, ["specialist", "review"])
    graph.add_edge("specialist", "review")
    graph.add_conditional_edges("review", after_review, ["specialist", "summarise"])
    graph.add_edge("summarise", END)
    return graph.compile(checkpointer=checkpointer, name="case")


class _Nodes:
    """The nodes that ask a model."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def route(self, state: CaseState, runtime: Runtime[CaseContext]) -> dict[str, Any]:
        """Choose the specialists."""
        choice = router.choose(self._models, state["case"])
        facts = Facts(json.loads(state["case"]))
        book = runtime.context.desk("escalation").rulebook
        route = router.route_of(choice.chosen, facts, book)
        events.tell_routed(route)
        return {
            "route": route,
            "messages": choice.messages,
            "models": choice.models,
            "calls": choice.calls,
            "failure": choice.failure,
        }

    def summarise(self, state: CaseState, runtime: Runtime[CaseContext]) -> dict[str, Any]:
        """Tell in a few sentences what came of it."""
        shown = prompts.results_message(state["case"], state["results"])
        messages: list[AnyMessage] = [SystemMessage(prompts.SUMMARY), HumanMessage(shown)]
        answer = self._models.ask(messages, given_up=state["failure"])
        message = answer.message or AIMessage(summary_of(shown))
        return {
            "messages": [*messages, message],
            "models": answer.models,
            "calls": answer.calls,
            "failure": answer.failure,
            "summary": message.text,
        }


def review(state: CaseState) -> dict[str, Any]:
    """Wait until every specialist of the round is done."""
    return {}


def first_round(state: CaseState) -> list[Send] | str:
    """Send the case to the chosen specialists who act on the order."""
    return [_send(state, name) for name in _chosen(state, FIRST)] or "review"


def after_review(state: CaseState) -> list[Send] | str:
    """Send for those who tell of it and have not worked yet; a person is told of what failed."""
    results = state["results"]
    needed = _chosen(state, SECOND)
    if "escalation" not in needed and any(one["ending"] == "handed_over" for one in results):
        needed.append("escalation")
    worked = {result["agent_type"] for result in results}
    return [_send(state, name) for name in needed if name not in worked] or "summarise"


def _chosen(state: CaseState, names: Sequence[Specialist]) -> list[Specialist]:
    return [name for name in names if name in state["route"]["specialists"]]


def _send(state: CaseState, agent_type: Specialist) -> Send:
    given = SpecialistInput(
        agent_type=agent_type,
        case=state["case"],
        findings=[finding_of(result) for result in state["results"]],
        failure=_given_up(state),
    )
    return Send("specialist", given)


def _given_up(state: CaseState) -> str | None:
    """Why the model is not to be asked again for this case."""
    failures = [state["failure"], *(result["failure"] for result in state["results"])]
    return next((failure for failure in failures if failure), None)
