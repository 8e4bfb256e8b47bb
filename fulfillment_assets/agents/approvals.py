"""Actions that wait for a person: asked for, listed, and decided once."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.agents.errors import ApprovalError, UnknownApprovalError
from fulfillment_assets.knowledge.rules import Specialist

Decision = Literal["approved", "rejected"]
STATUSES: Final = ("pending", "approved", "rejected")
MAX_LIMIT: Final = 1_000

EXPIRY: Final = "expiry"
"""Stands as `decided_by` where nobody answered in time."""

REPLACED: Final = "replaced"
"""Stands as `decided_by` where the agent asked for something else before anybody had answered."""

_COLUMNS: Final = """id, deviation_id, agent_type, tool, arguments, amount_usd, reason, status,
    decided_by, decided_at, note, created_at, expires_at"""
_PENDING: Final = f"""
SELECT {_COLUMNS} FROM agent_approvals
WHERE (deviation_id, agent_type, tool) = (:deviation_id, :agent_type, :tool)
  AND status = 'pending' FOR UPDATE
"""
_INSERT: Final = f"""
INSERT INTO agent_approvals
    (deviation_id, agent_type, tool, arguments, amount_usd, reason, created_at, expires_at)
VALUES (:deviation_id, :agent_type, :tool, CAST(:arguments AS jsonb), :amount_usd, :reason,
    :now, :expires_at)
RETURNING {_COLUMNS}
"""
_LIST: Final = f"""
SELECT {_COLUMNS} FROM agent_approvals
WHERE (CAST(:status AS text) IS NULL OR status = :status)
  AND (CAST(:deviation_id AS uuid) IS NULL OR deviation_id = :deviation_id)
ORDER BY id DESC LIMIT :limit
"""
_FIND: Final = f"SELECT {_COLUMNS} FROM agent_approvals WHERE id = :id"
_DECIDE: Final = f"""
UPDATE agent_approvals SET status = :status, decided_by = :by, decided_at = :now, note = :note
WHERE id = :id AND status = 'pending'
RETURNING {_COLUMNS}
"""
_EXPIRE: Final = f"""
UPDATE agent_approvals SET status = 'rejected', decided_by = '{EXPIRY}', decided_at = :now,
    note = 'Nobody answered in time.'
WHERE status = 'pending' AND expires_at <= :now
RETURNING {_COLUMNS}
"""


@dataclass(frozen=True, slots=True)
class Approval:
    """A request, and what was decided.

    Attributes:
        expires_at: unanswered by then it counts as rejected.
    """

    id: uuid.UUID
    deviation_id: uuid.UUID
    agent_type: Specialist
    tool: str
    arguments: Mapping[str, Any]
    amount_usd: Decimal | None
    reason: str
    status: str
    decided_by: str | None
    decided_at: dt.datetime | None
    note: str | None
    created_at: dt.datetime
    expires_at: dt.datetime


def record(
    connection: Connection,
    deviation_id: uuid.UUID,
    agent_type: Specialist,
    wanted: Mapping[str, Any],
    *,
    now: dt.datetime,
    expires_hours: int,
) -> Approval:
    """Note that a specialist asks for an approval.

    Asking for the same again gives the same request; asking for something else withdraws it, so
    that nobody approves what the agent will no longer do.

    Args:
        connection: in whose transaction it happens.
        deviation_id: of the case.
        agent_type: who asks.
        wanted: `approval` of a tool's result: tool, arguments, amount, why.
        now: aware.
        expires_hours: after which the request expires (`escalation.approval_expires_hours`).
    """
    row = {
        "deviation_id": deviation_id,
        "agent_type": agent_type,
        "tool": wanted["tool"],
        "arguments": json.dumps(wanted["arguments"]),
        "amount_usd": None if wanted.get("amount") is None else Decimal(str(wanted["amount"])),
        "reason": wanted["why"],
        "now": now,
        "expires_at": now + dt.timedelta(hours=expires_hours),
    }
    lock = "SELECT FROM deviations WHERE id = :id FOR NO KEY UPDATE"
    connection.execute(sa.text(lock), {"id": deviation_id})
    found = connection.execute(sa.text(_PENDING), row).one_or_none()
    if found is not None:
        if found.arguments == wanted["arguments"]:
            return Approval(*found)
        note = "The agent asked for something else."
        decision = {"id": found.id, "status": "rejected", "by": REPLACED, "now": now, "note": note}
        connection.execute(sa.text(_DECIDE), decision)
    return Approval(*connection.execute(sa.text(_INSERT), row).one())


def list_approvals(
    connection: Connection,
    *,
    status: str | None = "pending",
    deviation_id: uuid.UUID | None = None,
    limit: int = 100,
) -> list[Approval]:
    """Requests, the newest first; `status` None lists the decided ones, too.

    Raises:
        ValueError: there is no such status, or the limit is not from 1 to 1,000.
    """
    if status is not None and status not in STATUSES:
        raise ValueError(f"unknown status {status!r}: choose from {', '.join(STATUSES)}")
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit must be from 1 to {MAX_LIMIT}, not {limit}")
    asked = {"status": status, "deviation_id": deviation_id, "limit": limit}
    return [Approval(*row) for row in connection.execute(sa.text(_LIST), asked)]


def find_approval(connection: Connection, approval_id: uuid.UUID) -> Approval:
    """One request.

    Raises:
        UnknownApprovalError: there is none with that id.
    """
    row = connection.execute(sa.text(_FIND), {"id": approval_id}).one_or_none()
    if row is None:
        raise UnknownApprovalError(f"There is no request for approval with the id {approval_id}.")
    return Approval(*row)


def decide(
    connection: Connection,
    approval_id: uuid.UUID,
    decision: Decision,
    *,
    by: str,
    note: str | None = None,
    now: dt.datetime | None = None,
) -> Approval:
    """Approve or reject a request; it is decided once, whoever else decides at that moment.

    Deciding again the same way changes nothing, and gives the decision that was made.

    Raises:
        UnknownApprovalError: there is no such request.
        ApprovalError: it was decided otherwise before, it has expired, or nobody is named who
            decides.
    """
    now = now or dt.datetime.now(dt.UTC)
    by = by.strip()
    if not by or by in (EXPIRY, REPLACED):
        raise ApprovalError("A decision names the person who made it.")
    found = find_approval(connection, approval_id)
    if found.status == "pending" and found.expires_at <= now:
        raise ApprovalError(
            f"The request expired at {found.expires_at:%Y-%m-%d %H:%M} UTC; it counts as rejected."
        )
    asked = {"id": approval_id, "status": decision, "by": by, "now": now, "note": note}
    row = connection.execute(sa.text(_DECIDE), asked).one_or_none()
    if row is not None:
        return Approval(*row)
    earlier = find_approval(connection, approval_id)
    if is_decided(earlier, decision):
        return earlier
    raise ApprovalError(
        f"The request was {earlier.status} before, by {earlier.decided_by} at "
        f"{earlier.decided_at:%Y-%m-%d %H:%M} UTC."
    )


def is_decided(found: Approval, decision: Decision) -> bool:
    """Whether a person has decided so already."""
    return found.status == decision and found.decided_by not in (EXPIRY, REPLACED)


def expire(connection: Connection, now: dt.datetime) -> list[Approval]:
    """Reject the requests that nobody answered in time, and return them."""
    return [Approval(*row) for row in connection.execute(sa.text(_EXPIRE), {"now": now})]
