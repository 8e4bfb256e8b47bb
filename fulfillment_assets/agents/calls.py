"""Tool calls of a model: read from its answer, checked, executed, and kept as steps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool

from fulfillment_assets.agents.state import Step

_LONGEST_ARGUMENTS: Final = 10_000
_LONGEST_SHOWN: Final = 500


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool.

    Attributes:
        problem: why it cannot be executed as it stands; None where it can.
    """

    id: str
    tool: str
    arguments: dict[str, Any]
    problem: str | None = None


def calls_of(message: AIMessage) -> list[Call]:
    """The calls of an answer, those with unreadable arguments last."""
    calls = [
        Call(call["id"] or f"call-{position}", call["name"], call["args"])
        for position, call in enumerate(message.tool_calls)
    ]
    for position, broken in enumerate(message.invalid_tool_calls):
        text = str(broken.get("args") or "")[:_LONGEST_SHOWN]
        calls.append(
            Call(
                broken.get("id") or f"broken-{position}",
                broken.get("name") or "",
                {"unreadable": text},
                "The arguments are not a JSON object. Call again with valid JSON.",
            )
        )
    return calls


def call_tool(tools: Mapping[str, BaseTool], call: Call) -> dict[str, Any]:
    """Execute a call; what cannot be executed is refused with a reason that the model can use."""
    if call.problem is not None:
        return refused(call.problem)
    tool = tools.get(call.tool)
    if tool is None:
        return refused(f"There is no tool {call.tool!r:.80}. There are: {', '.join(tools)}.")
    if len(json.dumps(call.arguments, default=str)) > _LONGEST_ARGUMENTS:
        return refused(f"The arguments are longer than {_LONGEST_ARGUMENTS} characters.")
    result: dict[str, Any] = tool.invoke(call.arguments)
    return result


def refused(reason: str) -> dict[str, Any]:
    """A refusal that no rule of the company, but the form of the call, is the ground for."""
    return {"status": "refused", "reason": reason, "rule": None}


def step_of(tool: str, arguments: dict[str, Any], result: dict[str, Any]) -> Step:
    """What is kept of a call."""
    rule = result.get("rule")
    return Step(
        tool=tool, arguments=arguments, result=result, rule=None if rule is None else str(rule)
    )
