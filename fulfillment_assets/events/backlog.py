"""What waits in Kafka, and which ranges are due.

A partition is due once enough messages wait in it, or one has waited long enough. The number is a
trigger and not a cap: a range takes all that waits, up to a maximum, so that catching up is bulk.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy.engine import Connection, Engine

from fulfillment_assets.events import offsets
from fulfillment_assets.events.client import admin, broker_errors, consumer
from fulfillment_assets.events.offsets import Position
from fulfillment_assets.events.ranges import Gap, StreamRange
from fulfillment_assets.events.topic_log import TopicLog, look_at
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from kafka import KafkaConsumer  # type: ignore[import-untyped]

_FETCH_MILLISECONDS: Final = 20
_LOOK_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class PartitionBacklog:
    """What waits in one partition.

    Attributes:
        next_offset: the first offset that is not accounted for.
        log_start: the first offset that Kafka still holds.
        log_end: the offset after the last message that can be read.
        waits_since: when the oldest waiting message was produced, or, where its timestamp is
            missing or ahead of the clock, since when it has waited at most; None if none waits.
    """

    topic: str
    partition: int
    next_offset: int
    log_start: int
    log_end: int
    waits_since: dt.datetime | None

    @property
    def lag(self) -> int:
        """How many offsets wait; those that Kafka no longer holds do not."""
        return max(0, self.log_end - self._first)

    @property
    def expired(self) -> int:
        """How many offsets Kafka has deleted before they were read."""
        return self._first - self.next_offset

    def age(self, now: dt.datetime) -> float:
        """For how many seconds the oldest message has waited; 0 if none waits."""
        return 0.0 if self.waits_since is None else (now - self.waits_since).total_seconds()

    def due(self, settings: Settings, now: dt.datetime) -> bool:
        """Whether a run should start; a gap is recorded at once."""
        return (
            self.lag >= settings.stream_flush_messages
            or (self.lag > 0 and self.age(now) >= settings.stream_flush_seconds)
            or self.expired > 0
        )

    def next_range(self, largest: int) -> StreamRange:
        """The range to commit next, of at most `largest` offsets and what has expired."""
        end = min(self.log_end, self._first + largest)
        return StreamRange(self.topic, self.partition, self.next_offset, max(end, self._first))

    @property
    def _first(self) -> int:
        return max(self.next_offset, self.log_start)


def due_ranges(
    backlogs: Sequence[PartitionBacklog],
    in_flight: Collection[int],
    settings: Settings,
    now: dt.datetime,
) -> list[StreamRange]:
    """The ranges to request now: none, or one of each partition without a run in which any waits.

    Runs cost more than messages: where one partition is due, what waits in the others goes along.
    """
    free = [backlog for backlog in backlogs if backlog.partition not in in_flight]
    if not any(backlog.due(settings, now) for backlog in free):
        return []
    return [
        backlog.next_range(settings.stream_max_range)
        for backlog in free
        if backlog.lag or backlog.expired
    ]


@contextlib.contextmanager
def watching(settings: Settings, engine: Engine) -> Iterator[Callable[[], list[PartitionBacklog]]]:
    """Watch the events' topic: the function in the `with` block tells what waits at the moment.

    It notes partitions that are new. Where the topic was deleted and made again, or its log lost
    its end, it lets the partition go on with the log that is there, and records a gap.

    Raises:
        KafkaUnavailableError: no broker answers, or there is no such topic; from the function, too.
    """
    with (
        broker_errors(settings),
        admin(settings) as client,
        contextlib.closing(_Timestamps(settings)) as timestamps,
    ):

        def waiting() -> list[PartitionBacklog]:
            with broker_errors(settings):
                log = look_at(client, settings.events_topic)
                with engine.begin() as connection:
                    stands = _reconciled(connection, log)
                return _backlogs(log, stands, timestamps)

        yield waiting


def _reconciled(connection: Connection, log: TopicLog) -> dict[int, Position]:
    """Where the partitions of a log stand, in this log."""
    known = {position.partition: position for position in offsets.positions(connection, log.topic)}
    new = [partition for partition in log.ends if partition not in known]
    replaced = [p for p in known.values() if p.partition in log.ends and _is_replaced(p, log)]
    for position in replaced:
        _start_over(connection, position, log)
    if new:
        offsets.register(connection, log.topic, sorted(new), log.topic_id)
    if new or replaced:
        known = {p.partition: p for p in offsets.positions(connection, log.topic)}
    return {partition: known[partition] for partition in sorted(log.ends)}


def _is_replaced(position: Position, log: TopicLog) -> bool:
    recreated = None not in (position.topic_id, log.topic_id) and position.topic_id != log.topic_id
    return recreated or position.next_offset > log.ends[position.partition]


def _start_over(connection: Connection, position: Position, log: TopicLog) -> None:
    """Let a partition go on in the log that is there now."""
    if position.topic_id in (None, log.topic_id):
        to, gap = _truncated(position, log)
    else:
        # Nobody can tell how many messages of the old topic had not been read.
        to = 0
        gap = Gap(log.topic, position.partition, position.next_offset, None, "recreated")
    with contextlib.suppress(offsets.OffsetMismatchError):  # another process was first
        offsets.move(connection, position, to, log.topic_id, gap)


def _truncated(position: Position, log: TopicLog) -> tuple[int, Gap]:
    end = log.ends[position.partition]
    return end, Gap(log.topic, position.partition, end, position.next_offset - 1, "truncated")


def _backlogs(
    log: TopicLog, stands: dict[int, Position], timestamps: _Timestamps
) -> list[PartitionBacklog]:
    waiting = {
        partition: max(position.next_offset, log.starts[partition])
        for partition, position in stands.items()
        if log.ends[partition] > max(position.next_offset, log.starts[partition])
    }
    produced = timestamps.of(log.topic, waiting)
    now = dt.datetime.now(dt.UTC)
    return [
        PartitionBacklog(
            topic=log.topic,
            partition=partition,
            next_offset=position.next_offset,
            log_start=log.starts[partition],
            log_end=log.ends[partition],
            waits_since=_waits_since(produced.get(partition), position, now)
            if partition in waiting
            else None,
        )
        for partition, position in stands.items()
    ]


def _waits_since(produced: dt.datetime | None, position: Position, now: dt.datetime) -> dt.datetime:
    return position.updated_at if produced is None or produced > now else produced


class _Timestamps:
    """The timestamps of the oldest waiting messages; each is asked for once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._consumer: KafkaConsumer | None = None
        self._known: dict[tuple[int, int], dt.datetime | None] = {}

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def of(self, topic: str, waiting: dict[int, int]) -> dict[int, dt.datetime | None]:
        """The timestamp of the first message at or after each partition's offset."""
        self._known = {at: time for at, time in self._known.items() if at in waiting.items()}
        asked = {p: offset for p, offset in waiting.items() if (p, offset) not in self._known}
        if asked:
            found = self._fetched(topic, asked)
            self._known |= {(p, offset): found.get(p) for p, offset in asked.items()}
        return {p: self._known[p, offset] for p, offset in waiting.items()}

    def _fetched(self, topic: str, asked: dict[int, int]) -> dict[int, dt.datetime | None]:
        from kafka import TopicPartition
        from kafka.errors import KafkaError  # type: ignore[import-untyped]

        kafka = self._consumer = self._consumer or _consumer(self._settings)
        found: dict[int, dt.datetime | None] = {}
        deadline = time.monotonic() + _LOOK_SECONDS
        for partition, offset in asked.items():  # one by one, for of one the client may hold much
            place = TopicPartition(topic, partition)
            kafka.assign([place])
            kafka.seek(place, offset)
            while partition not in found and time.monotonic() < deadline:
                try:
                    records = kafka.poll(_FETCH_MILLISECONDS, max_records=1)
                except KafkaError:  # deleted meanwhile, or unreadable, which the run will tell
                    self.close()  # after what it cannot unpack, a client is of no more use
                    return found
                for [record, *_] in records.values():
                    found[partition] = _moment(record.timestamp)
        return found


def _consumer(settings: Settings) -> KafkaConsumer:
    return consumer(
        settings,
        fetch_max_wait_ms=_FETCH_MILLISECONDS,  # a fetch that waits holds up all that follows
        retry_backoff_ms=10,
        max_partition_fetch_bytes=64 << 10,
    )


def _moment(milliseconds: int) -> dt.datetime | None:
    try:
        return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
    except (ValueError, OverflowError):
        return None
