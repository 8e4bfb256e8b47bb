"""The statuses of a deviation, and how it moves between them.

The database holds them (a trigger on the table); here they stand for those who read and move them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STATUSES: Final = (
    "pending",
    "agent_triggered",
    "awaiting_approval",
    "resolved",
    "escalated",
    "failed",
)

OPEN_STATUSES: Final = ("pending", "agent_triggered", "awaiting_approval")
"""Statuses of a deviation that is not settled yet."""

MOVES: Final[Mapping[str, tuple[str, ...]]] = {
    "pending": ("agent_triggered", "resolved"),
    "agent_triggered": ("pending", "awaiting_approval", "resolved", "escalated", "failed"),
    "awaiting_approval": ("agent_triggered", "resolved", "escalated"),
    "resolved": (),
    "escalated": ("pending",),
    "failed": ("pending",),
}
"""From each status the ones that may follow.

A pending deviation is resolved when it clears by itself; one that an agent had goes back to pending
when the agent's lease runs out, and one that failed or was escalated when a person wants another
attempt.
"""
