"""Forgets old events, and remembers that it did, so that nobody goes on across the gap."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import sqlalchemy as sa
from anyio.to_thread import run_sync
from sqlalchemy.exc import SQLAlchemyError

from fulfillment_api.database import Database
from fulfillment_assets.observability.logs import get_logger

KEPT: Final = dt.timedelta(hours=1)
"""For so long an event is kept after its transaction has committed, and at most twice as long."""

EVERY_SECONDS: Final = 300.0
AT_ONCE: Final = 5_000

_LOCK: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended('fulfillment.live_events', 0))"
_MOVE_ON: Final = """
UPDATE live_retention SET pruned = mark, mark = pg_current_snapshot(), marked_at = now()
WHERE marked_at <= now() - CAST(:kept AS interval)
"""
# A backup that was restored into a younger server may hold events of its future, too.
_DELETE: Final = """
DELETE FROM live_events WHERE id IN (
    SELECT e.id FROM live_events AS e, live_retention AS r
    WHERE e.xid < pg_snapshot_xmax(r.pruned) AND pg_visible_in_snapshot(e.xid, r.pruned)
       OR e.xid >= pg_snapshot_xmax(pg_current_snapshot())
    LIMIT :at_once)
"""

_log = get_logger("fulfillment_api.live")


def prune(database: Database, kept: dt.timedelta = KEPT) -> int:
    """Delete what was committed longer ago than `kept`, in pieces; returns how many events.

    One process does it at a time; the others find that there is nothing to do.
    """
    deleted, piece = 0, _alone(database, _MOVE_ON, {"kept": kept})
    while piece is not None:  # what may go is told before the first of it goes
        piece = _alone(database, _DELETE, {"at_once": AT_ONCE})
        deleted += piece or 0
        if piece != AT_ONCE:
            break
    return deleted


def _alone(database: Database, statement: str, values: dict[str, Any]) -> int | None:
    """Run a statement unless another process prunes; returns the number of rows, or None."""
    with database.transaction() as connection:
        if not connection.execute(sa.text(_LOCK)).scalar_one():
            return None
        return connection.execute(sa.text(statement), values).rowcount


@asynccontextmanager
async def pruning(database: Database) -> AsyncIterator[None]:
    """Prune every few minutes inside the block."""
    task = asyncio.create_task(_keep_pruning(database))
    try:
        yield
    finally:
        task.cancel()


async def _keep_pruning(database: Database) -> None:
    while True:
        await asyncio.sleep(EVERY_SECONDS)
        try:
            await run_sync(prune, database)
        except SQLAlchemyError as error:
            _log.warning("old events were not deleted", problem=type(error).__name__)
