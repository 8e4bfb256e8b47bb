"""The next thing that the policy model does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Move:
    """A sentence that names the rule, and the call that follows from it.

    Attributes:
        tool: None where the work is done.
    """

    rule: str
    says: str
    tool: str | None = None
    arguments: Mapping[str, Any] | None = None

    @property
    def text(self) -> str:
        """The sentence with its rule."""
        return f"{self.rule}: {self.says}"


def finished(rule: str, says: str) -> Move:
    """There is nothing more to do."""
    return Move(rule, says)


def call(rule: str, says: str, tool: str, **arguments: Any) -> Move:
    """Call a tool next."""
    return Move(rule, says, tool, arguments)
