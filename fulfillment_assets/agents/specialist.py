"""A specialist: a bounded loop of thinking and acting, whose first step is to retrieve the rules.

retrieve -> think -> act -> think -> ... -> finish. Calls that need a person stop in `ask_person`
until they are decided. Who cannot go on hands over to a person, and says why.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.utils import convert_to_openai_messages
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from fulfillment_assets.agents import events, prompts
from fulfillment_assets.agents.calls import call_tool, calls_of, refused, step_of
from fulfillment_assets.agents.context import CaseContext
from fulfillment_assets.agents.facts import Facts
from fulfillment_assets.agents.models import Models
from fulfillment_assets.agents.policy.shipment import left_to_arrive
from fulfillment_assets.agents.state import (
    DONE,
    Asked,
    Decision,
    Ending,
    Result,
    SpecialistInput,
    SpecialistOutput,
    SpecialistState,
    Step,
)
from fulfillment_assets.agents.usage import total
from fulfillment_assets.knowledge.rules import Specialist

MAX_TURNS: Final = 8
"""A specialist that has not finished after so many answers of its model hands over."""

MAX_CALLS_PER_TURN: Final = 6
"""Further calls of one answer are refused, not executed."""

EFFECTS: Final[Mapping[Specialist, tuple[str, ...]]] = {
    "shipment": ("transfer_warehouse", "reschedule_shipment"),
    "customer": ("send_notification", "log_interaction"),
    "payment": ("issue_refund", "apply_credit"),
    "escalation": ("create_ticket", "assign_human", "flag_priority"),
}
"""Tools that change something, the one that says most about a case first."""

Node = dict[str, Any]


def build_specialist(
    models: Models,
) -> CompiledStateGraph[SpecialistState, CaseContext, SpecialistInput, SpecialistOutput]:
    """The graph of one specialist; which of the four it is stands in its state."""
    nodes = _Nodes(models)
    graph = StateGraph(
        SpecialistState,
        context_schema=CaseContext,
        input_schema=SpecialistInput,
        output_schema=SpecialistOutput,
    )
    graph.add_node("retrieve", retrieve)
    graph.add_node("think", nodes.think)
    graph.add_node("act", act)
    graph.add_node("ask_person", ask_person)
    graph.add_node("hand_over", hand_over)
    graph.add_node("finish", finish)
    graph.add_edge(START, "retrieve")
    graph.add_edge("retrieve", "think")
    graph.add_conditional_edges("think", after_thought)
    graph.add_conditional_edges("act", after_act)
    graph.add_conditional_edges("ask_person", after_act)
    graph.add_edge("hand_over", "finish")
    graph.add_edge("finish", END)
    return graph.compile()


class _Nodes:
    """The nodes that ask a model."""

    def __init__(self, models: Models) -> None:
        self._models = models

    def think(self, state: SpecialistState, runtime: Runtime[CaseContext]) -> Node:
        """Ask the model for the next step."""
        tools = runtime.context.tools(state["agent_type"])
        answer = self._models.ask(
            state["messages"], list(tools.values()), given_up=state["failure"]
        )
        turns = state["turns"] + 1
        failed = answer.failure is not None
        events.tell_turn(state["agent_type"], turns, answer.models, answer.calls, failed=failed)
        update: Node = {
            "turns": turns,
            "models": answer.models,
            "calls": answer.calls,
            "failure": answer.failure,
        }
        if answer.message is None:
            return {**update, "stuck": f"No model could answer: {answer.failure}"}
        if turns >= MAX_TURNS and calls_of(answer.message):
            update["stuck"] = f"It wanted to go on after {MAX_TURNS} turns"
        return {**update, "messages": [answer.message]}


def retrieve(state: SpecialistInput, runtime: Runtime[CaseContext]) -> Node:
    """Look up the rules that fit the case, and set the task."""
    agent_type = state["agent_type"]
    chunks, error = runtime.context.retrieve(agent_type)
    events.tell_started(agent_type, chunks, retrieved=error is None)
    task = prompts.task_message(state["case"], chunks, state["findings"])
    return {
        "chunks": chunks,
        "retrieval_error": error,
        "messages": [SystemMessage(prompts.specialist(agent_type)), HumanMessage(task)],
        "turns": 0,
        "pending": [],
        "stuck": None,
    }


def act(state: SpecialistState, runtime: Runtime[CaseContext]) -> Node:
    """Execute the calls of the last answer, each exactly once and in their order."""
    tools = runtime.context.tools(state["agent_type"])
    answers: list[ToolMessage] = []
    steps: list[Step] = []
    pending: list[Asked] = []
    for position, call in enumerate(calls_of(_last(state))):
        started = time.perf_counter()
        if position >= MAX_CALLS_PER_TURN:
            result = refused(f"At most {MAX_CALLS_PER_TURN} calls in one answer are executed.")
        else:
            result = call_tool(tools, call)
        known = call.tool if call.tool in tools else "unknown"
        events.tell_called(state["agent_type"], known, result, time.perf_counter() - started)
        if result["status"] == "needs_approval":
            asked = result["approval"]
            pending.append(
                Asked(
                    call_id=call.id,
                    agent_type=state["agent_type"],
                    tool=asked["tool"],
                    arguments=asked["arguments"],
                    amount=asked.get("amount"),
                    why=asked.get("why") or str(result.get("reason", "")),
                )
            )
        else:
            answers.append(_told(call.id, result))
        steps.append(step_of(call.tool, call.arguments, result))
    return {"messages": answers, "steps": steps, "pending": pending}


def ask_person(state: SpecialistState, runtime: Runtime[CaseContext]) -> Node:
    """Wait until a person has decided the first pending call; then do it, or leave it."""
    asked, *rest = state["pending"]
    decision: Decision = interrupt(asked)
    started = time.perf_counter()
    if decision["approved"]:
        result = runtime.context.execute_approved(asked, decision["by"])
    else:
        note = f": {decision['note']}" if decision["note"] else ""
        result = {"status": "rejected", "reason": f"{decision['by']} rejected it{note}"}
    seconds = time.perf_counter() - started
    events.tell_called(asked["agent_type"], asked["tool"], result, seconds)
    return {
        "messages": [_told(asked["call_id"], result)],
        "steps": [step_of(asked["tool"], asked["arguments"], result)],
        "pending": rest,
    }


def hand_over(state: SpecialistState, runtime: Runtime[CaseContext]) -> Node:
    """See to it that a person learns of the case; the escalation desk opens the ticket itself."""
    if state["agent_type"] != "escalation" or _done(state):
        return {}
    question = f"{state['stuck'] or 'The agent opened no ticket'}. What is to be done?"
    started = time.perf_counter()
    arguments, result = runtime.context.open_ticket(question, state["findings"])
    events.tell_called("escalation", "create_ticket", result, time.perf_counter() - started)
    return {"steps": [step_of("create_ticket", arguments, result)]}


def finish(state: SpecialistState) -> Node:
    """Put together what the case and the trail need to know."""
    handed_over = state["stuck"] or _helpless(state)
    ending: Ending = "handed_over" if handed_over else "finished"
    last = state["messages"][-1]
    account = last.text if isinstance(last, AIMessage) else ""
    result = Result(
        agent_type=state["agent_type"],
        ending=ending,
        action=_done(state) or ("handed_over" if handed_over else "none"),
        reason=state["stuck"] or account,
        chunks=state["chunks"],
        retrieval_error=state["retrieval_error"],
        steps=state["steps"],
        conversation=convert_to_openai_messages(state["messages"]),
        models=list(dict.fromkeys(state["models"])),
        usage=total(state["calls"]),
        failure=state["failure"],
    )
    events.tell_ended(result, state["turns"])
    return {"results": [result]}


def after_thought(state: SpecialistState) -> Literal["act", "hand_over", "finish"]:
    """Act where the model called a tool; finish where it is done."""
    if state["stuck"]:
        return "hand_over"
    if calls_of(_last(state)):
        return "act"
    needs_ticket = state["agent_type"] == "escalation" and not _done(state)
    return "hand_over" if needs_ticket or _helpless(state) else "finish"


def after_act(state: SpecialistState) -> Literal["ask_person", "think"]:
    """Wait for a person where one is asked."""
    return "ask_person" if state["pending"] else "think"


def _done(state: SpecialistState) -> str | None:
    done = {step["tool"] for step in state["steps"] if step["result"].get("status") in DONE}
    return next((tool for tool in EFFECTS[state["agent_type"]] if tool in done), None)


def _helpless(state: SpecialistState) -> bool:
    """Whether nothing that was tried for the shipment was allowed (rules SH-5.4 and SH-5.5)."""
    if state["agent_type"] != "shipment" or _done(state) is not None:
        return False
    effects = EFFECTS["shipment"]
    tried = [step["rule"] for step in state["steps"] if step["tool"] in effects]
    return bool(tried) and not left_to_arrive(tried, Facts(json.loads(state["case"])))


def _last(state: SpecialistState) -> AIMessage:
    message = state["messages"][-1]
    if not isinstance(message, AIMessage):
        raise TypeError(f"the last message is a {message.type}, not the model's")
    return message


def _told(call_id: str, result: Mapping[str, Any]) -> ToolMessage:
    text = json.dumps(result, ensure_ascii=False, default=str)
    return ToolMessage(prompts.escaped(text), tool_call_id=call_id)
