"""How the stream stands: what was produced, what became of it, and what waits.

`produced` comes from Kafka's offsets, all else from PostgreSQL, so the two can be held against
each other: what is neither a prediction, nor a dead letter, nor in a gap, nor waiting, is missing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from fulfillment_assets.events import offsets
from fulfillment_assets.events.backlog import PartitionBacklog
from fulfillment_assets.events.gaps import gaps_of
from fulfillment_assets.events.offsets import Position
from fulfillment_assets.events.ranges import Gap


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How one partition stands.

    Attributes:
        next_offset: the first offset that is not accounted for.
        log_end: the offset after the last message in Kafka.
        waits_since: since when the oldest waiting message waits; None if none does.
        produced: messages since the first that was seen, those of earlier topics of that name
            included, as far as they were read.
        passed_over: offsets in gaps that no replay has made up for.
    """

    partition: int
    next_offset: int
    log_end: int
    waits_since: dt.datetime | None
    produced: int
    predicted: int
    dead_lettered: int
    passed_over: int

    @property
    def lag(self) -> int:
        """How many offsets wait."""
        return self.log_end - self.next_offset

    @property
    def missing(self) -> int:
        """Messages of which nothing is known; there must be none."""
        known = self.predicted + self.dead_lettered + self.passed_over + self.lag
        return self.produced - known


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """How the stream stands.

    Attributes:
        partitions: each partition, by number.
        gaps: offsets that were passed over, in the order in which that was noticed.
        last_commit: when the latest messages were committed; None if none were yet.
    """

    topic: str
    partitions: tuple[PartitionStatus, ...]
    gaps: tuple[Gap, ...]
    last_commit: dt.datetime | None

    def total(self, name: str) -> int:
        """The sum of a number over all partitions."""
        return sum(getattr(partition, name) for partition in self.partitions)

    def oldest_age(self, now: dt.datetime) -> float:
        """For how many seconds the oldest message has waited; 0 if none waits."""
        since = [p.waits_since for p in self.partitions if p.waits_since is not None]
        return max(0.0, (now - min(since)).total_seconds()) if since else 0.0


def stream_status(
    connection: Connection, topic: str, backlogs: Sequence[PartitionBacklog]
) -> StreamStatus:
    """Hold what Kafka has of a topic against what was committed.

    Args:
        connection: of the database.
        topic: the events' topic.
        backlogs: what waits in each partition, as seen just before.
    """
    positions = {p.partition: p for p in offsets.positions(connection, topic)}
    gaps = gaps_of(connection, topic)
    return StreamStatus(
        topic,
        tuple(
            _partition(connection, positions[backlog.partition], backlog, gaps)
            for backlog in backlogs
        ),
        tuple(gaps),
        max((p.updated_at for p in positions.values() if p.messages), default=None),
    )


def _partition(
    connection: Connection, position: Position, backlog: PartitionBacklog, gaps: Sequence[Gap]
) -> PartitionStatus:
    # It may have moved on since Kafka was asked.
    end = max(backlog.log_end, position.next_offset)
    first, earlier, passed_over = 0, 0, 0
    for gap in gaps:
        if gap.partition != position.partition:
            continue
        match gap.reason:
            case "recreated":
                first, earlier = 0, earlier + gap.first - first
            case "truncated":
                earlier += gap.offsets
            case "expired" if gap.first == first == 0:
                first = gap.offsets  # it was gone before anybody looked
            case _:
                passed_over += gap.offsets - _made_up(connection, gap)
    return PartitionStatus(
        partition=position.partition,
        next_offset=position.next_offset,
        log_end=end,
        waits_since=backlog.waits_since if end > position.next_offset else None,
        produced=end - first + earlier,
        predicted=position.predicted,
        dead_lettered=position.dead_lettered,
        passed_over=passed_over,
    )


def _made_up(connection: Connection, gap: Gap) -> int:
    """How many offsets of a gap were committed later."""
    values = {"topic": gap.topic, "partition": gap.partition, "first": gap.first, "last": gap.last}
    return int(
        connection.execute(
            sa.text(
                "SELECT (SELECT count(*) FROM predictions WHERE topic = :topic "
                'AND partition = :partition AND "offset" BETWEEN :first AND :last) '
                "+ (SELECT count(*) FROM rejected_records WHERE topic = :topic "
                'AND partition = :partition AND "offset" BETWEEN :first AND :last)'
            ),
            values,
        ).scalar_one()
    )
