"""What came of a case, in a few sentences: the policy model's summary."""

from __future__ import annotations

from typing import Any

from fulfillment_assets.agents import prompts


def summary_of(shown: str) -> str:
    """The summary of what the prompt for it shows.

    Args:
        shown: the case and the results, fenced.
    """
    case = prompts.unfenced(prompts.CASE, shown) or {}
    results: list[dict[str, Any]] = prompts.unfenced(prompts.FINDINGS, shown) or []
    deviation = case.get("deviation", {})
    told = [f"{str(deviation.get('reason', 'A deviation')).rstrip('.')}."]
    told += [f"{result['agent_type'].capitalize()}: {_done(result)}" for result in results]
    return " ".join(told)


def _done(result: dict[str, Any]) -> str:
    if result["action"] in ("none", "handed_over"):
        return str(result["reason"]).rstrip(".") + "."
    step = next(
        step
        for step in result["steps"]
        if step["tool"] == result["action"] and step["result"]["status"] in ("done", "repeated")
    )
    return str(step["result"]["reason"]).rstrip(".") + "."
