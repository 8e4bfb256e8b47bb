"""What a specialist works with, and what its tools answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from sqlalchemy.engine import Engine

from fulfillment_assets.agents.case import Case
from fulfillment_assets.knowledge.retrieval import Hit
from fulfillment_assets.knowledge.rulebook import Rulebook
from fulfillment_assets.knowledge.rules import Specialist
from fulfillment_assets.settings import Settings

Status = Literal["done", "refused", "repeated", "needs_approval", "info"]
Result: TypeAlias = dict[str, Any]
"""JSON-able: `status`, `reason`, `rule` (an id of the knowledge base, or None), and numbers."""

Search: TypeAlias = Callable[[str, Specialist], Sequence[Hit]]
"""The chunks of the knowledge base nearest to a text that are meant for a specialist."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the tools of one specialist act through, for one case.

    A desk is made for one stretch of work: rules are applied as of `case.now`, so whoever goes on
    after a wait loads the case and makes the desk anew.

    Attributes:
        approved_by: the person who approved the action that is carried out; None otherwise.
    """

    engine: Engine
    settings: Settings
    rulebook: Rulebook
    case: Case
    agent_type: Specialist
    search: Search
    approved_by: str | None = None

    @property
    def now(self) -> dt.datetime:
        """The moment as of which rules are applied."""
        return self.case.now


class Refused(Exception):  # noqa: N818 - it is an answer, not an error
    """A rule forbids what was asked.

    Attributes:
        rule: its id in the knowledge base; None where plain sense forbids it.
        numbers: what the model may go by instead.
    """

    def __init__(self, rule: str | None, reason: str, **numbers: Any) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason
        self.numbers = numbers


class Standing(Refused):
    """What was asked for is so already, by an earlier decision."""


class NeedsApproval(Exception):  # noqa: N818 - it is an answer, not an error
    """A person must agree first."""

    def __init__(self, rule: str, reason: str, amount: Decimal) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason
        self.amount = amount


def answer(status: Status, reason: str, rule: str | None = None, **numbers: Any) -> Result:
    """What a tool returns."""
    return {"status": status, "reason": reason, "rule": rule, **numbers}


def refused(refusal: Refused) -> Result:
    """A refusal as a result; what stands already counts as done before."""
    status: Status = "repeated" if isinstance(refusal, Standing) else "refused"
    return answer(status, refusal.reason, refusal.rule, **refusal.numbers)


def approval_wanted(tool: str, arguments: Mapping[str, Any], wanted: NeedsApproval) -> Result:
    """A request for approval as a result."""
    return answer(
        "needs_approval",
        wanted.reason,
        wanted.rule,
        approval={
            "tool": tool,
            "arguments": dict(arguments),
            "amount": float(wanted.amount),
            "why": wanted.reason,
        },
    )
