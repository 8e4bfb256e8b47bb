"""The state of the graph: plain JSON, but for the messages, which LangGraph's serialiser keeps.

What cannot be stored (connections, tools, models) is no part of it: it reaches the nodes through
the runtime's context and is made anew when a graph is resumed in another process.
"""

from __future__ import annotations

import operator
from typing import Annotated, Any, Final, Literal, TypeAlias, TypedDict, get_args

from langchain_core.messages import AnyMessage

from fulfillment_assets.agents.usage import Usage
from fulfillment_assets.knowledge.rules import Specialist

SPECIALISTS: Final[tuple[Specialist, ...]] = get_args(Specialist)

DONE: Final = ("done", "repeated")
"""Statuses of a tool's result that mean that its effect is there."""

Ending: TypeAlias = Literal["finished", "handed_over"]


class Chunk(TypedDict):
    """A retrieved piece of the knowledge base, with its cosine similarity to the query."""

    chunk_id: str
    score: float
    source: str
    title: str
    section: str
    rule_ids: list[str]
    version: str
    text: str


class Step(TypedDict):
    """One call of a tool: what was asked, what the tool answered, and the rule that it named."""

    tool: str
    arguments: dict[str, Any]
    result: dict[str, Any]
    rule: str | None


class Asked(TypedDict):
    """A tool call that waits for a person.

    Attributes:
        call_id: the model's id of the call, which the answer must bear.
        amount: in US dollars.
        why: why a person must decide.
    """

    call_id: str
    agent_type: Specialist
    tool: str
    arguments: dict[str, Any]
    amount: float | None
    why: str


class Decision(TypedDict):
    """A person's answer to a call that waits."""

    approved: bool
    by: str
    note: str


class Route(TypedDict):
    """Who works the case.

    Attributes:
        specialists: in a fixed order, each once.
        reason: the router's.
        confidence: how sure it is, from 0 to 1.
        required: the ones that a rule demands whatever the router says, with that rule.
    """

    specialists: list[Specialist]
    reason: str
    confidence: float
    required: dict[Specialist, str]


class Result(TypedDict):
    """What one specialist did.

    Attributes:
        action: the effect that counts most, `handed_over`, or `none`.
        reason: its own account or, handed over, why.
        retrieval_error: why nothing could be retrieved, where that is so.
        failure: why the model was replaced or given up, where that is so.
    """

    agent_type: Specialist
    ending: Ending
    action: str
    reason: str
    chunks: list[Chunk]
    retrieval_error: str | None
    steps: list[Step]
    conversation: list[dict[str, Any]]
    models: list[str]
    usage: Usage
    failure: str | None


class Tried(TypedDict):
    """A step as others are told of it."""

    tool: str
    result: dict[str, Any]


class Finding(TypedDict):
    """What others are told of a specialist's work."""

    agent_type: Specialist
    action: str
    ending: Ending
    reason: str
    steps: list[Tried]


class SpecialistInput(TypedDict):
    """What a specialist is sent.

    Attributes:
        findings: of those who worked before it.
    """

    agent_type: Specialist
    case: str
    findings: list[Finding]
    failure: str | None


class SpecialistState(SpecialistInput):
    """A specialist at work.

    Attributes:
        failure: why the model was given up; from then on its stand-in answers, if there is one.
        stuck: why the specialist cannot go on; it then hands over to a person.
        pending: calls that wait for a person, the first one first.
    """

    messages: Annotated[list[AnyMessage], operator.add]
    chunks: list[Chunk]
    retrieval_error: str | None
    steps: Annotated[list[Step], operator.add]
    pending: list[Asked]
    turns: int
    models: Annotated[list[str], operator.add]
    calls: Annotated[list[Usage], operator.add]
    stuck: str | None
    results: Annotated[list[Result], operator.add]


class SpecialistOutput(TypedDict):
    """What a specialist gives back to the case."""

    results: Annotated[list[Result], operator.add]


class CaseInput(TypedDict):
    """What starts a case: its JSON as the models see it."""

    case: str


class CaseState(CaseInput):
    """A case on its way from the router to the summary.

    Attributes:
        failure: why the model was given up in routing or in the summary.
    """

    route: Route
    results: Annotated[list[Result], operator.add]
    messages: Annotated[list[AnyMessage], operator.add]
    models: Annotated[list[str], operator.add]
    calls: Annotated[list[Usage], operator.add]
    failure: str | None
    summary: str
