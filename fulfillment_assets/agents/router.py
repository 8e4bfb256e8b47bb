"""Who works a case: the router's choice, and those whom a rule demands whatever it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import AnyMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from pydantic import BaseModel, Field, ValidationError

from fulfillment_assets.agents import prompts
from fulfillment_assets.agents.calls import calls_of
from fulfillment_assets.agents.facts import Facts, escalation_rule
from fulfillment_assets.agents.models import Answer, Models
from fulfillment_assets.agents.state import SPECIALISTS, Route
from fulfillment_assets.agents.usage import Usage
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.knowledge.rules import Specialist

TOOL: Final = "route"
TRIES: Final = 2
"""An answer that is no valid route is explained to the model so often, less one."""


class RouteArguments(BaseModel):
    """Assign the deviation to specialists."""

    specialists: list[Specialist] = Field(
        min_length=1, description="Every specialist who has something to do."
    )
    reason: str = Field(max_length=1_000, description="Why these, in one sentence.")
    confidence: float = Field(ge=0, le=1, description="How sure you are, from 0 to 1.")


def _route(**_: Any) -> None:
    raise NotImplementedError("the graph reads the arguments; nothing is executed")


ROUTE: Final[BaseTool] = StructuredTool.from_function(
    _route,
    name=TOOL,
    description="Assign the deviation to one or several specialists.",
    args_schema=RouteArguments,
)


@dataclass(frozen=True, slots=True)
class Choice:
    """What came of asking the router.

    Attributes:
        chosen: None where nobody could choose.
        failure: why the model was given up, where it was.
    """

    chosen: RouteArguments | None
    messages: list[AnyMessage]
    models: list[str]
    calls: list[Usage]
    failure: str | None


def choose(models: Models, case: str) -> Choice:
    """Ask the router.

    Args:
        models: who is asked.
        case: its JSON.
    """
    messages: list[AnyMessage] = [
        SystemMessage(prompts.ROUTER),
        HumanMessage(prompts.case_message(case)),
    ]
    names: list[str] = []
    calls: list[Usage] = []
    chosen: RouteArguments | None = None
    failure: str | None = None
    for given_up in [None] * TRIES + ["the model chose no valid route"]:
        answer = models.ask(messages, [ROUTE], must_call=True, given_up=failure or given_up)
        names += answer.models
        calls += answer.calls
        failure = answer.failure
        chosen = _take(answer, messages)
        if chosen is not None or answer.message is None:
            break
    return Choice(chosen, messages, names, calls, failure)


def _take(answer: Answer, messages: list[AnyMessage]) -> RouteArguments | None:
    """The route of an answer; what is wrong with it is appended to the conversation."""
    if answer.message is None:
        return None
    messages.append(answer.message)
    first: RouteArguments | None = None
    for call in calls_of(answer.message):
        try:
            if call.tool != TOOL or call.problem:
                raise ValueError(call.problem or f"there is no tool {call.tool!r:.80}")
            found = RouteArguments.model_validate(call.arguments)
        except ValidationError as error:
            reason = "; ".join(str(one["msg"]) for one in error.errors()[:3])
        except ValueError as error:
            reason = str(error)
        else:
            first = first or found
            continue
        told = prompts.TRY_AGAIN.format(reason=reason)
        messages.append(ToolMessage(told, tool_call_id=call.id))
    return first


def route_of(chosen: RouteArguments | None, facts: Facts, book: Rulebook) -> Route:
    """The route in force: the router's, with those whom a rule demands; in a fixed order.

    Args:
        chosen: by the router; None where nobody could choose, which is for a person.
        facts: of the case.
        book: the rules.
    """
    confidence = chosen.confidence if chosen else 0.0
    required = required_for(facts, confidence, book)
    named = {*(chosen.specialists if chosen else ()), *required}
    return Route(
        specialists=[name for name in SPECIALISTS if name in named],
        reason=chosen.reason if chosen else "Nobody could choose: a person takes over.",
        confidence=confidence,
        required=required,
    )


def required_for(facts: Facts, confidence: float, book: Rulebook) -> dict[Specialist, str]:
    """Specialists whom the escalation criteria demand, each with the rule."""
    if confidence < book.escalation.confidence_below:
        return {"escalation": "ES-1.3"}
    met = escalation_rule(facts, book) if facts.has_order else None
    return {"escalation": met[0]} if met else {}
