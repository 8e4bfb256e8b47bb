"""Tickets: cases that agents handed to a person, listed by what is due first, and closed."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, fields
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

MAX_LIMIT: Final = 1_000


class TicketError(ValueError):
    """A ticket cannot be closed; the message says why."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A case for a person.

    Attributes:
        queue: the team that it is for.
        question: what is to be decided.
        findings: what later deviations of the same order added.
        respond_by: when somebody should have looked at it.
        resolve_by: when it should be settled.
    """

    id: uuid.UUID
    deviation_id: uuid.UUID
    order_id: str | None
    status: str
    priority: str
    queue: str
    question: str
    findings: list[dict[str, Any]]
    opened_at: dt.datetime
    respond_by: dt.datetime
    resolve_by: dt.datetime
    closed_at: dt.datetime | None


_COLUMNS: Final = ", ".join(field.name for field in fields(Ticket))


def list_tickets(
    connection: Connection, *, closed: bool = False, queue: str | None = None, limit: int = 50
) -> list[Ticket]:
    """Open tickets by when they are due, or closed ones, the last closed first.

    Raises:
        ValueError: the limit is not from 1 to 1,000.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise ValueError(f"limit must be from 1 to {MAX_LIMIT}, not {limit}")
    order = "closed_at DESC, id" if closed else "respond_by, id"
    rows = connection.execute(
        sa.text(
            f"SELECT {_COLUMNS} FROM escalation_tickets WHERE status = :status "
            f"AND (CAST(:queue AS text) IS NULL OR queue = :queue) ORDER BY {order} LIMIT :limit"
        ),
        {"status": "closed" if closed else "open", "queue": queue, "limit": limit},
    )
    return [Ticket(*tuple(row)) for row in rows]


def close_ticket(connection: Connection, ticket_id: uuid.UUID) -> Ticket:
    """Close a ticket that a person has settled; a later deviation of its order opens a new one.

    Raises:
        TicketError: there is none with that id, or it is closed already.
    """
    row = connection.execute(
        sa.text(
            "UPDATE escalation_tickets SET status = 'closed', closed_at = now() "
            f"WHERE id = :id AND status = 'open' RETURNING {_COLUMNS}"
        ),
        {"id": ticket_id},
    ).one_or_none()
    if row is None:
        known = connection.scalar(
            sa.text("SELECT closed_at FROM escalation_tickets WHERE id = :id"), {"id": ticket_id}
        )
        if known is None:
            raise TicketError(
                f"There is no ticket {ticket_id}; `fulfillment agents tickets` lists them."
            )
        raise TicketError(f"Ticket {ticket_id} was closed at {known:%Y-%m-%d %H:%M} UTC.")
    return Ticket(*tuple(row))
