"""Deviations that a person asks the agents to work on, of any severity and before the others."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from fulfillment_assets.agents.errors import AskError, UnknownDeviationError

MAX_NOTE: Final = 2_000
"""Characters of a note that agents see."""

_FIND: Final = """
SELECT status, asked_at, asked_by, operator_note FROM deviations WHERE id = :id
"""
_ASK: Final = """
UPDATE deviations SET status = 'pending', attempts = 0, asked_by = :by, operator_note = :note,
    asked_at = CASE WHEN status = 'pending' THEN coalesce(asked_at, clock_timestamp())
                    ELSE clock_timestamp() END
WHERE id = :id RETURNING status, asked_at, asked_by, operator_note
"""
_WHY_NOT: Final = {
    "resolved": "is resolved: there is nothing left to do about it",
    "agent_triggered": "is being worked on by the agents: wait until they are done",
    "awaiting_approval": "waits for an approval: decide about it, and the agents go on",
}


@dataclass(frozen=True, slots=True)
class Request:
    """How a deviation stands, and who asked for it last.

    Attributes:
        asked_at: when; None: nobody did.
        asked_by: who.
        note: what the agents should know; untrusted.
    """

    status: str
    asked_at: dt.datetime | None
    asked_by: str | None
    note: str | None

    def waits(self, note: str | None) -> bool:
        """Whether the agents will take it for that already, with this note or without one."""
        asked = self.status == "pending" and self.asked_at is not None
        return asked and shortened(note) in (None, self.note)


def find_request(
    connection: Connection, deviation_id: uuid.UUID, *, locked: bool = False
) -> Request:
    """How a deviation stands.

    Args:
        connection: to the database; in a transaction where it is to be locked.
        deviation_id: which one.
        locked: nobody else changes it until the transaction ends.

    Raises:
        UnknownDeviationError: there is no such deviation.
    """
    lock = "FOR NO KEY UPDATE" if locked else ""
    row = connection.execute(sa.text(f"{_FIND} {lock}"), {"id": deviation_id}).one_or_none()
    if row is None:
        raise UnknownDeviationError(
            f"There is no deviation {deviation_id}; `fulfillment deviations list` shows them."
        )
    return Request(*row)


def ask(
    connection: Connection, deviation_id: uuid.UUID, *, by: str, note: str | None = None
) -> Request:
    """Have the agents work on a deviation: whoever claims next takes it, before the others.

    One that failed or was escalated is tried again, with as many attempts as a new one. Asking
    again while it waits changes nothing; another note takes the place of the first.

    Args:
        connection: in a transaction.
        deviation_id: which one, of any severity.
        by: who asks.
        note: shown to the agents as data; what is beyond 2,000 characters is left out.

    Raises:
        UnknownDeviationError: there is no such deviation.
        AskError: it is resolved, being worked on or waits for an approval, or a newer deviation of
            the same order or segment is open.
    """
    found = find_request(connection, deviation_id, locked=True)
    if found.status in _WHY_NOT:
        raise AskError(f"Deviation {deviation_id} {_WHY_NOT[found.status]}.")
    if found.waits(note):
        return found
    asked = {"id": deviation_id, "by": by, "note": shortened(note)}
    try:
        with connection.begin_nested():
            return Request(*connection.execute(sa.text(_ASK), asked).one())
    except IntegrityError:  # one of each kind is open at a time
        raise AskError(
            f"Deviation {deviation_id} is {found.status}, and a newer one of the same order or "
            "segment is open: ask for that one."
        ) from None


def shortened(note: str | None) -> str | None:
    """A note as it is kept; None where it says nothing."""
    return note[:MAX_NOTE] if note and note.strip() else None
