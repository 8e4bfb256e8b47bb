"""Messages that nobody will read: why, and which; the table `stream_gaps`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.events.ranges import Gap


def record_gaps(connection: Connection, gaps: Sequence[Gap]) -> None:
    """Keep gaps, in the caller's transaction."""
    if gaps:
        connection.execute(
            sa.text(
                "INSERT INTO stream_gaps (topic, partition, first_offset, last_offset, reason) "
                "VALUES (:topic, :partition, :first, :last, :reason)"
            ),
            [asdict(gap) for gap in gaps],
        )


def gaps_of(connection: Connection, topic: str) -> list[Gap]:
    """The gaps of a topic, in the order in which they were noticed."""
    rows = connection.execute(
        sa.text(
            "SELECT topic, partition, first_offset AS first, last_offset AS last, reason "
            "FROM stream_gaps WHERE topic = :topic ORDER BY id"
        ),
        {"topic": topic},
    )
    return [Gap(**row._mapping) for row in rows]
