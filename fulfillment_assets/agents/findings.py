"""What specialists tell those who work after them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fulfillment_assets.agents.state import Finding, Result, Tried

LOOKS: Final = frozenset(
    {"search_knowledge_base", "check_carrier_status", "check_refund_eligibility"}
)
"""Tools that change nothing."""


def finding_of(result: Result) -> Finding:
    """What is told of a result: what was tried, with what answer."""
    return Finding(
        agent_type=result["agent_type"],
        action=result["action"],
        ending=result["ending"],
        reason=result["reason"],
        steps=[
            Tried(tool=step["tool"], result=step["result"])
            for step in result["steps"]
            if step["tool"] not in LOOKS
        ],
    )


def tried_text(findings: Iterable[Finding | Mapping[str, Any]], longest: int = 900) -> str:
    """What was tried, in a line for a ticket: tools, their answers, and rules; no other text."""
    told = [f"{found['agent_type']}: {_steps(found)}" for found in findings]
    return "; ".join(told)[:longest] or "Nothing was tried before."


def _steps(found: Finding | Mapping[str, Any]) -> str:
    steps = [
        f"{step['tool']} {step['result'].get('status')}"
        + (f" ({rule})" if (rule := step["result"].get("rule")) else "")
        for step in found["steps"]
    ]
    return ", ".join(steps) or f"{found['action']}"
