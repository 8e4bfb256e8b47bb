"""What the policy model reads in a conversation: the case, the retrieved rules, the steps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage

from fulfillment_assets.agents import prompts
from fulfillment_assets.agents.facts import Facts

SUCCEEDED: Final = ("done", "repeated")
SEARCH: Final = "search_knowledge_base"


@dataclass(frozen=True, slots=True)
class Taken:
    """A step that was taken, by whichever model."""

    tool: str
    arguments: dict[str, Any]
    result: dict[str, Any]

    @property
    def status(self) -> str:
        """What the tool answered."""
        return str(self.result.get("status"))

    @property
    def succeeded(self) -> bool:
        """It had its effect, now or before."""
        return self.status in SUCCEEDED


@dataclass(frozen=True, slots=True)
class Conversation:
    """All that a decision is made from.

    Attributes:
        rules: ids of the rules that stand in what was retrieved.
        findings: what other specialists found.
    """

    facts: Facts
    rules: frozenset[str]
    findings: tuple[Mapping[str, Any], ...]
    taken: tuple[Taken, ...]

    def of(self, tool: str) -> list[Taken]:
        """The calls of a tool, the first one first."""
        return [step for step in self.taken if step.tool == tool]

    def last(self, tool: str) -> Taken | None:
        """The latest call of a tool."""
        calls = self.of(tool)
        return calls[-1] if calls else None

    def succeeded(self, tool: str) -> Taken | None:
        """The call of a tool that had its effect."""
        return next((step for step in self.of(tool) if step.succeeded), None)

    def found(self, tool: str) -> Mapping[str, Any] | None:
        """What a tool answered to another specialist, if it had its effect."""
        results = [
            step["result"] for one in self.findings for step in one["steps"] if step["tool"] == tool
        ]
        return next((one for one in results if one.get("status") in SUCCEEDED), None)


def conversation_of(messages: Sequence[BaseMessage]) -> Conversation:
    """Read a conversation.

    Raises:
        ValueError: no case stands in it.
    """
    given = "\n".join(message.text for message in messages if message.type == "human")
    case = prompts.unfenced(prompts.CASE, given)
    if case is None:
        raise ValueError("there is no case in the conversation")
    chunks = prompts.unfenced(prompts.RETRIEVED, given) or []
    taken = tuple(_taken(messages))
    ids = {rule for chunk in chunks for rule in chunk["rule_ids"]}
    for step in taken:
        if step.tool == SEARCH:
            ids |= {rule for hit in step.result.get("hits", ()) for rule in hit["rule_ids"]}
    return Conversation(
        facts=Facts(case),
        rules=frozenset(ids),
        findings=tuple(prompts.unfenced(prompts.FINDINGS, given) or ()),
        taken=taken,
    )


def _taken(messages: Sequence[BaseMessage]) -> Iterator[Taken]:
    answers = {
        message.tool_call_id: message.text
        for message in messages
        if isinstance(message, ToolMessage)
    }
    for message in messages:
        if not isinstance(message, AIMessage):
            continue
        for call in message.tool_calls:
            if (answer := answers.get(call["id"] or "")) is not None:
                yield Taken(call["name"], call["args"], _read(answer))


def _read(answer: str) -> dict[str, Any]:
    try:
        result = json.loads(answer)
    except json.JSONDecodeError:
        return {}
    return result if isinstance(result, dict) else {}
