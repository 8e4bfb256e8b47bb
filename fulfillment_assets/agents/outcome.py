"""What came of a case, as it is stored and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from langchain_core.messages.utils import convert_to_openai_messages

from fulfillment_assets.agents.state import DONE, Asked, CaseState, Result
from fulfillment_assets.agents.usage import Usage, total
from fulfillment_assets.knowledge.rules import Specialist

Ended: TypeAlias = Literal["resolved", "escalated", "awaiting_approval"]

_TO_A_PERSON = ("create_ticket", "assign_human")


@dataclass(frozen=True, slots=True)
class AgentResponse:
    """A row of `agent_responses`.

    Attributes:
        action: the effect that counts most; `handed_over` or `none` where there was none. Of the
            orchestrator it is how the case ended.
        details: JSON-able: of a specialist its chunks with scores, steps with results and rules,
            and why it ended; of the orchestrator the route and the summary.
        conversation: the whole of it, as OpenAI's protocol writes messages.
        model: who answered; several names, joined by a comma, where one stood in for another.
    """

    agent_type: Specialist | Literal["orchestrator"]
    action: str
    details: dict[str, Any]
    conversation: list[dict[str, Any]]
    model: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tool call that waits for a person.

    Attributes:
        id: names it when the case is resumed.
        amount: in US dollars.
    """

    id: str
    agent_type: Specialist
    tool: str
    arguments: dict[str, Any]
    amount: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a case ended, or what it waits for.

    Attributes:
        responses: one for each specialist that worked, and the orchestrator's; none while the case
            waits.
        approvals: what it waits for.
        summary: in a few sentences; empty while it waits.
    """

    status: Ended
    responses: tuple[AgentResponse, ...]
    approvals: tuple[Wanted, ...]
    summary: str

    @property
    def usage(self) -> Usage:
        """Of all responses together."""
        return total(response.usage for response in self.responses)


def waiting(interrupts: Sequence[Any]) -> Outcome:
    """The outcome of a case that waits for a person.

    Args:
        interrupts: LangGraph's.
    """
    approvals = tuple(_wanted(found.id, found.value) for found in interrupts)
    return Outcome("awaiting_approval", (), approvals, "")


def ended(state: CaseState) -> Outcome:
    """The outcome of a case that is done."""
    results = sorted(state["results"], key=lambda result: result["agent_type"])
    status: Ended = "escalated" if any(map(_with_a_person, results)) else "resolved"
    orchestrator = AgentResponse(
        agent_type="orchestrator",
        action=status,
        details={
            "route": state["route"],
            "summary": state["summary"],
            "failure": state["failure"],
        },
        conversation=convert_to_openai_messages(state["messages"]),
        model=_names(state["models"]),
        usage=total(state["calls"]),
    )
    responses = (*map(_response, results), orchestrator)
    return Outcome(status, responses, (), state["summary"])


def _with_a_person(result: Result) -> bool:
    return result["ending"] == "handed_over" or any(
        step["tool"] in _TO_A_PERSON and step["result"].get("status") in DONE
        for step in result["steps"]
    )


def _response(result: Result) -> AgentResponse:
    named = ("ending", "reason", "chunks", "retrieval_error", "steps", "failure")
    details: dict[str, Any] = {name: result[name] for name in named}  # type: ignore[literal-required]
    return AgentResponse(
        agent_type=result["agent_type"],
        action=result["action"],
        details=details,
        conversation=result["conversation"],
        model=_names(result["models"]),
        usage=result["usage"],
    )


def _wanted(name: str, asked: Asked) -> Wanted:
    return Wanted(
        id=name,
        agent_type=asked["agent_type"],
        tool=asked["tool"],
        arguments=asked["arguments"],
        amount=asked["amount"],
        why=asked["why"],
    )


def _names(models: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(models)) or "none"
