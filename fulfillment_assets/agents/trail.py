"""The whole trail of a deviation: why, what was retrieved, what was done, how it ended."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.agents.approvals import Approval, list_approvals
from fulfillment_assets.agents.case import correlation_id_in
from fulfillment_assets.agents.errors import UnknownDeviationError
from fulfillment_assets.deviations.reads import DeviationDetails, find_deviation


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A row of `agent_responses`; see `outcome.AgentResponse`."""

    id: uuid.UUID
    agent_type: str
    action: str
    details_json: dict[str, Any]
    conversation_history: list[dict[str, Any]]
    model: str
    usage: dict[str, Any]
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """An effect, as a tool had it: a row of `tool_actions`."""

    id: uuid.UUID
    agent_type: str | None
    tool: str
    arguments: dict[str, Any]
    result: dict[str, Any]
    amount_usd: Decimal | None
    approved_by: str | None
    created_at: dt.datetime


@dataclass(frozen=True, slots=True)
class Trail:
    """A deviation with all that the agents did about it.

    Attributes:
        responses: one for each specialist that worked, and the orchestrator's last.
        effects: what their tools did, in that order.
        approvals: what a person was asked, the newest first.
    """

    deviation: DeviationDetails
    responses: list[StoredResponse]
    effects: list[LedgerEntry]
    approvals: list[Approval]

    @property
    def correlation_id(self) -> str:
        """By which the log lines of the case are found, from what brought the order to its end."""
        return correlation_id_in(self.deviation.context) or str(self.deviation.deviation.id)

    @property
    def summary(self) -> str | None:
        """The orchestrator's, in a few sentences; None while nobody has finished."""
        for response in self.responses:
            if response.agent_type == "orchestrator":
                return str(response.details_json["summary"])
        return None


def read_trail(connection: Connection, deviation_id: uuid.UUID) -> Trail:
    """The trail of a deviation.

    Raises:
        UnknownDeviationError: there is no such deviation.
    """
    deviation = find_deviation(connection, deviation_id)
    if deviation is None:
        raise UnknownDeviationError(
            f"There is no deviation {deviation_id}; `fulfillment deviations list` shows them."
        )
    responses = _rows(
        connection,
        StoredResponse,
        "agent_responses",
        "agent_type = 'orchestrator', agent_type",
        deviation_id,
    )
    effects = _rows(connection, LedgerEntry, "tool_actions", "id", deviation_id)
    return Trail(
        deviation,
        [StoredResponse(*row) for row in responses],
        [LedgerEntry(*row) for row in effects],
        list_approvals(connection, status=None, deviation_id=deviation_id),
    )


def latest_worked(connection: Connection) -> uuid.UUID | None:
    """Of the latest hundred the deviation with the most effects, a resolved one if there is one."""
    found: uuid.UUID | None = connection.scalar(
        sa.text(
            "SELECT r.deviation_id FROM (SELECT deviation_id FROM agent_responses "
            "WHERE agent_type = 'orchestrator' ORDER BY id DESC LIMIT 100) AS r "
            "JOIN tool_actions AS t USING (deviation_id) "
            "JOIN deviations AS d ON d.id = r.deviation_id WHERE t.order_id IS NOT NULL "
            "GROUP BY r.deviation_id, d.status "
            "ORDER BY d.status = 'resolved' DESC, count(*) DESC, r.deviation_id LIMIT 1"
        )
    )
    return found


def _rows(
    connection: Connection, kind: type[Any], table: str, order: str, deviation_id: uuid.UUID
) -> list[tuple[Any, ...]]:
    columns = ", ".join(field.name for field in fields(kind))
    found = connection.execute(
        sa.text(f"SELECT {columns} FROM {table} WHERE deviation_id = :id ORDER BY {order}"),
        {"id": deviation_id},
    )
    return [tuple(row) for row in found]
