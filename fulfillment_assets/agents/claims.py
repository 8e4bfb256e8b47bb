"""Who works on which deviation: a lease on its row, so that none is worked twice or forgotten.

A group is claimed in one transaction: what a person asked for first (see `requests`), then critical
ones, oldest first. Whoever claims at the same time takes others (`FOR UPDATE SKIP LOCKED`). A
worker renews its lease while it lives. One that died lets it run out: the deviations go back to
pending, and what their tools did already is not done again, by the keys of the ledger.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

LEASE: Final = dt.timedelta(minutes=2)
GROUP: Final = 50
"""Deviations that one worker takes at most."""

RESUMES: Final = "resume:"
"""Before a worker's name: it goes on with cases that a person has decided about."""


class ClaimError(RuntimeError):
    """A deviation cannot be taken, or is no longer the worker's; the message says why."""


_CLAIM: Final = """
UPDATE deviations AS d SET status = 'agent_triggered', claimed_by = :worker,
    claimed_until = clock_timestamp() + :lease, attempts = attempts + 1
FROM (SELECT id FROM deviations WHERE status = 'pending' AND {which}
      LIMIT :limit FOR UPDATE SKIP LOCKED) AS waiting
WHERE d.id = waiting.id RETURNING d.id
"""
_CLAIM_ASKED: Final = _CLAIM.format(which="asked_at IS NOT NULL ORDER BY asked_at")
_CLAIM_CRITICAL: Final = _CLAIM.format(which="severity = 'critical' ORDER BY id")
_CLAIM_ONE: Final = """
UPDATE deviations SET status = 'agent_triggered', claimed_by = :worker,
    claimed_until = clock_timestamp() + :lease, attempts = attempts + 1
WHERE id = :id AND status = 'pending'
"""
_CLAIM_DECIDED: Final = """
UPDATE deviations AS d SET status = 'agent_triggered', claimed_by = :worker,
    claimed_until = clock_timestamp() + :lease
FROM (SELECT id FROM deviations AS waiting WHERE status = 'awaiting_approval'
        AND NOT EXISTS (SELECT FROM agent_approvals
                        WHERE deviation_id = waiting.id AND status = 'pending')
      ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED) AS decided
WHERE d.id = decided.id RETURNING d.id
"""
_BACK: Final = f"""
UPDATE deviations SET claimed_by = NULL, claimed_until = NULL,
    status = CASE WHEN starts_with(claimed_by, '{RESUMES}') THEN 'awaiting_approval'
                  ELSE 'pending' END
WHERE status = 'agent_triggered'
"""
_RELEASE: Final = f"{_BACK} AND claimed_until < clock_timestamp()"
_GIVE_BACK: Final = f"{_BACK} AND id = :id AND claimed_by = :worker"
_RENEW: Final = """
UPDATE deviations SET claimed_until = clock_timestamp() + :lease
WHERE claimed_by IN (:worker, :resuming) AND status = 'agent_triggered'
"""
_SETTLE: Final = """
UPDATE deviations SET status = :status, claimed_by = NULL, claimed_until = NULL
WHERE id = :id AND status = 'agent_triggered' AND claimed_by = :worker
"""


def claim(
    connection: Connection, worker: str, *, limit: int = GROUP, lease: dt.timedelta = LEASE
) -> list[uuid.UUID]:
    """Take pending deviations: those that were asked for, then critical ones, the oldest first.

    Returns them in the order of their ids.
    """
    taken: list[uuid.UUID] = []
    for statement in (_CLAIM_ASKED, _CLAIM_CRITICAL):
        values = {"worker": worker, "limit": limit - len(taken), "lease": lease}
        taken += connection.execute(sa.text(statement), values).scalars()
    return sorted(taken)


def claim_decided(
    connection: Connection, worker: str, *, limit: int = GROUP, lease: dt.timedelta = LEASE
) -> list[uuid.UUID]:
    """Take cases that waited for a person, and wait no more, under the name `RESUMES` + worker."""
    values = {"worker": f"{RESUMES}{worker}", "limit": limit, "lease": lease}
    return sorted(connection.execute(sa.text(_CLAIM_DECIDED), values).scalars())


def claim_one(
    connection: Connection, deviation_id: uuid.UUID, worker: str, *, lease: dt.timedelta = LEASE
) -> None:
    """Take one pending deviation of any severity.

    Raises:
        ClaimError: it is not pending, or there is none; the message says which.
    """
    values = {"id": deviation_id, "worker": worker, "lease": lease}
    if connection.execute(sa.text(_CLAIM_ONE), values).rowcount:
        return
    status = connection.scalar(
        sa.text("SELECT status FROM deviations WHERE id = :id"), {"id": deviation_id}
    )
    if status is None:
        raise ClaimError(f"there is no deviation {deviation_id}")
    raise ClaimError(f"deviation {deviation_id} is {status}; agents take pending ones")


def held(connection: Connection, worker: str) -> list[uuid.UUID]:
    """What a worker has claimed and not settled: what was asked for, then the oldest first."""
    return list(
        connection.execute(
            sa.text(
                "SELECT id FROM deviations WHERE claimed_by = :worker "
                "AND status = 'agent_triggered' ORDER BY asked_at, id"
            ),
            {"worker": worker},
        ).scalars()
    )


def attempts(connection: Connection, deviation_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    """How often each deviation was claimed, this time included."""
    rows = connection.execute(
        sa.text("SELECT id, attempts FROM deviations WHERE id = ANY (:ids)"),
        {"ids": list(deviation_ids)},
    )
    return {row.id: row.attempts for row in rows}


def renew(connection: Connection, worker: str, *, lease: dt.timedelta = LEASE) -> int:
    """Extend the lease of a worker's deviations; returns how many it still has."""
    values = {"worker": worker, "resuming": f"{RESUMES}{worker}", "lease": lease}
    return connection.execute(sa.text(_RENEW), values).rowcount


def release_expired(connection: Connection) -> int:
    """Give back what workers had that did not renew their lease; returns how many."""
    return connection.execute(sa.text(_RELEASE)).rowcount


def give_back(connection: Connection, deviation_id: uuid.UUID, worker: str) -> None:
    """Let somebody else try; does nothing where the worker does not have it any more."""
    connection.execute(sa.text(_GIVE_BACK), {"id": deviation_id, "worker": worker})


def settle(connection: Connection, deviation_id: uuid.UUID, worker: str, status: str) -> None:
    """Say what came of a deviation, in the transaction that writes its responses.

    Args:
        connection: in a transaction.
        deviation_id: which one.
        worker: who has it.
        status: `resolved`, `escalated`, `failed` or `awaiting_approval`.

    Raises:
        ClaimError: the worker does not have it any more; another may be at work on it.
    """
    values = {"id": deviation_id, "worker": worker, "status": status}
    if not connection.execute(sa.text(_SETTLE), values).rowcount:
        raise ClaimError(f"{worker} has lost its lease of deviation {deviation_id}")
