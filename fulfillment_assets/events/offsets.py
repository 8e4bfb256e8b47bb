"""Where the stream stands: `stream_offsets`, with its committed ranges.

PostgreSQL holds the only truth. An offset moves in the transaction that commits what became of
the messages before it, so each message is accounted for once: as a prediction, as a dead letter,
or in a gap.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from psycopg2.errors import LockNotAvailable
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from fulfillment_assets.events.gaps import record_gaps
from fulfillment_assets.events.ranges import Gap, StreamRange

_TICK: Final = dt.timedelta(microseconds=1)


class OffsetMismatchError(RuntimeError):
    """A range does not begin where the partition stands; committing it would leave messages out."""


class TopicReplacedError(RuntimeError):
    """The topic was deleted and made again: its offsets now count other messages."""


class PartitionBusyError(RuntimeError):
    """Another run is committing the same partition and did not finish in time."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where one partition stands.

    Attributes:
        next_offset: the first offset that is not accounted for.
        topic_id: the topic that the offset counts in; None where the broker is too old to tell.
        messages: how many were committed so far; the sum of the next two.
        predicted: those of them that became predictions.
        dead_lettered: those that could not be scored.
        updated_at: when its latest messages were received.
    """

    topic: str
    partition: int
    next_offset: int
    topic_id: uuid.UUID | None
    messages: int
    predicted: int
    dead_lettered: int
    updated_at: dt.datetime

    def receipt(self, now: dt.datetime) -> dt.datetime:
        """The time of receipt of messages that are committed now.

        It ascends with the offset even where a clock was set back: of two events of an order
        with one event time, the later offset wins.
        """
        return max(now, self.updated_at + _TICK)


_COLUMNS: Final = ", ".join(Position.__slots__)


@dataclass(frozen=True, slots=True)
class Commit:
    """What one transaction makes of a range.

    Attributes:
        messages: how many messages the range holds.
        dead_lettered: how many of them could not be scored.
        oldest_message_at: the least timestamp in Kafka of a message.
        newest_message_at: the greatest.
        received_at: when they were received.
        seconds: since Kafka was asked for them.
    """

    messages: int
    dead_lettered: int
    oldest_message_at: dt.datetime | None
    newest_message_at: dt.datetime | None
    received_at: dt.datetime
    model_version: str
    run_id: str
    attempt: int
    seconds: float


def positions(connection: Connection, topic: str) -> list[Position]:
    """Where each known partition of a topic stands, by partition."""
    rows = connection.execute(
        sa.text(f"SELECT {_COLUMNS} FROM stream_offsets WHERE topic = :topic ORDER BY partition"),
        {"topic": topic},
    )
    return [Position(**row._mapping) for row in rows]


def register(
    connection: Connection, topic: str, partitions: Sequence[int], topic_id: uuid.UUID | None
) -> None:
    """Note partitions that are new, from their very first message on; others stay as they are."""
    connection.execute(
        sa.text(
            "INSERT INTO stream_offsets (topic, partition, next_offset, topic_id) "
            "SELECT :topic, partition, 0, :topic_id "
            "FROM unnest(CAST(:partitions AS int[])) AS partition ORDER BY partition "
            "ON CONFLICT DO NOTHING"
        ),
        {"topic": topic, "partitions": list(partitions), "topic_id": topic_id},
    )


def lock(
    connection: Connection,
    topic: str,
    partition: int,
    topic_id: uuid.UUID | None,
    *,
    seconds: int = 60,
) -> Position:
    """Hold a partition until the end of the transaction; return where it stands then.

    Args:
        connection: in a transaction.
        topic: the topic.
        partition: the partition; noted if it is new.
        topic_id: the topic from which messages were read; None if the broker does not tell.
        seconds: how long to wait for another transaction. The backend of a killed run may
            outlive it for a moment.

    Raises:
        TopicReplacedError: the offset counts in another topic of that name.
        PartitionBusyError: another transaction held the partition for longer than that.
    """
    connection.execute(sa.text(f"SET LOCAL lock_timeout TO '{seconds}s'"))
    try:
        register(connection, topic, [partition], topic_id)
        row = connection.execute(
            sa.text(
                f"SELECT {_COLUMNS} FROM stream_offsets "
                "WHERE topic = :topic AND partition = :partition FOR UPDATE"
            ),
            {"topic": topic, "partition": partition},
        ).one()
    except OperationalError as error:
        if not isinstance(error.orig, LockNotAvailable):
            raise
        raise PartitionBusyError(
            f"another run is still committing {topic}[{partition}]; try again"
        ) from error
    connection.execute(sa.text("SET LOCAL lock_timeout TO DEFAULT"))
    position = Position(**row._mapping)
    if topic_id is not None and position.topic_id not in (None, topic_id):
        raise TopicReplacedError(
            f"topic {topic} was deleted and made again: partition {partition} stands at offset "
            f"{position.next_offset} of the old one"
        )
    return position


def advance(
    connection: Connection,
    committed: StreamRange,
    topic_id: uuid.UUID | None,
    commit: Commit,
    gaps: Sequence[Gap],
) -> None:
    """Move a partition from the start of a range to its end: compare, and set.

    Raises:
        OffsetMismatchError: it does not stand at the start.
    """
    values = _values(committed) | _values(commit)
    values |= {"predicted": commit.messages - commit.dead_lettered, "topic_id": topic_id}
    moved = connection.execute(
        sa.text(
            "UPDATE stream_offsets SET next_offset = :end, updated_at = :received_at, "
            "topic_id = coalesce(:topic_id, topic_id), messages = messages + :messages, "
            "predicted = predicted + :predicted, dead_lettered = dead_lettered + :dead_lettered "
            "WHERE topic = :topic AND partition = :partition AND next_offset = :start"
        ),
        values,
    )
    if moved.rowcount != 1:
        raise OffsetMismatchError(f"{committed} does not begin where the partition stands")
    record_gaps(connection, gaps)
    connection.execute(
        sa.text(
            "INSERT INTO stream_batches (topic, partition, start_offset, end_offset, messages, "
            "predicted, dead_lettered, oldest_message_at, newest_message_at, model_version, "
            "run_id, attempt, seconds) VALUES (:topic, :partition, :start, :end, :messages, "
            ":predicted, :dead_lettered, :oldest_message_at, :newest_message_at, :model_version, "
            ":run_id, :attempt, :seconds)"
        ),
        values,
    )


def move(
    connection: Connection, before: Position, next_offset: int, topic_id: uuid.UUID | None, gap: Gap
) -> None:
    """Let a partition go on elsewhere without reading what lies between, and record the gap.

    Raises:
        OffsetMismatchError: it does not stand where it stood before.
    """
    moved = connection.execute(
        sa.text(
            "UPDATE stream_offsets SET next_offset = :to, topic_id = :topic_id "
            "WHERE topic = :topic AND partition = :partition AND next_offset = :next_offset"
        ),
        {
            "to": next_offset,
            "topic_id": topic_id,
            "topic": before.topic,
            "partition": before.partition,
            "next_offset": before.next_offset,
        },
    )
    if moved.rowcount != 1:
        raise OffsetMismatchError(
            f"{before.topic}[{before.partition}] has moved on from offset {before.next_offset}"
        )
    record_gaps(connection, [gap])


def skip(connection: Connection, topic: str, partition: int, to: int) -> Gap:
    """Let a partition go on at offset `to`, because a person says so; return the gap.

    Raises:
        ValueError: it stands there already, or after it.
        PartitionBusyError: a run has held the partition for a minute.
    """
    position = lock(connection, topic, partition, None)
    if to <= position.next_offset:
        raise ValueError(
            f"{topic}[{partition}] stands at offset {position.next_offset} already; "
            f"there is nothing to skip up to {to}"
        )
    gap = Gap(topic, partition, position.next_offset, to - 1, "skipped")
    move(connection, position, to, position.topic_id, gap)
    return gap


def credit(
    connection: Connection, topic: str, partition: int, *, predicted: int, dead_lettered: int
) -> None:
    """Correct the counts of a partition for messages that were committed out of turn."""
    connection.execute(
        sa.text(
            "UPDATE stream_offsets SET predicted = predicted + :predicted, "
            "dead_lettered = dead_lettered + :dead_lettered, "
            "messages = messages + :predicted + :dead_lettered "
            "WHERE topic = :topic AND partition = :partition"
        ),
        {
            "topic": topic,
            "partition": partition,
            "predicted": predicted,
            "dead_lettered": dead_lettered,
        },
    )


def forget_before(connection: Connection, moment: dt.datetime) -> None:
    """Delete the record of ranges committed before `moment`; positions and gaps stay."""
    connection.execute(
        sa.text("DELETE FROM stream_batches WHERE committed_at < :moment"), {"moment": moment}
    )


def server_time(connection: Connection) -> dt.datetime:
    """The present moment by PostgreSQL's clock: one clock for all who commit messages."""
    now: dt.datetime = connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
    return now


def _values(record: StreamRange | Commit) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}
