"""Groups of deviations for one worker, and what is due besides."""

from __future__ import annotations

import datetime as dt

from sqlalchemy.engine import Connection

from fulfillment_assets.agents import approvals, claims


def tidy(connection: Connection) -> None:
    """Give back what dead workers had, and reject requests that nobody answered in time."""
    claims.release_expired(connection)
    approvals.expire(connection, dt.datetime.now(dt.UTC))


def claim_group(connection: Connection, worker: str) -> int:
    """Claim what waits, decided cases first, up to a group; returns how many."""
    decided = claims.claim_decided(connection, worker)
    rest = claims.GROUP - len(decided)
    return len(decided) + (len(claims.claim(connection, worker, limit=rest)) if rest else 0)
