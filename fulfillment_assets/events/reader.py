"""Reading exactly the messages of a range of offsets.

The messages are those that a partition holds between two offsets, however many that are:
compaction, aborted transactions and the markers of transactions leave holes. What lies before the
log's start is gone, and told as a gap.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from fulfillment_assets.events.client import KafkaUnavailableError, broker_errors, consumer
from fulfillment_assets.events.messages import Message
from fulfillment_assets.events.ranges import Gap, GapReason, StreamRange
from fulfillment_assets.events.topic_log import topic_id
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from kafka import KafkaConsumer  # type: ignore[import-untyped]

SILENCE_SECONDS: Final = 20.0
"""Reading fails if it makes no progress for so long; a broker that starts anew has answered."""

STRETCH_BYTES: Final = 64 << 20
"""A stretch ends once its messages take so many bytes, so that memory stays in bounds."""

_POLL_MILLISECONDS: Final = 250
_FIRST_POLL: Final = 16
_LARGEST_POLL: Final = 500
"""Messages are unpacked poll by poll: few enough at a time that large ones stay in bounds."""


class LogTruncatedError(RuntimeError):
    """The log ends before the range does: it lost its end, or its topic was deleted."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a range, in which no offset is left out of account.

    Attributes:
        span: the part.
        topic_id: the topic that it was read from; None where the broker does not tell.
        messages: every message that the part holds, by offset.
        gaps: what it no longer holds, or cannot be read.
    """

    span: StreamRange
    topic_id: uuid.UUID | None
    messages: list[Message]
    gaps: list[Gap]

    def since(self, offset: int) -> Stretch:
        """What of it lies at an offset or after it."""
        if offset <= self.span.start:
            return self
        topic, partition, end = self.span.topic, self.span.partition, self.span.end
        return Stretch(
            StreamRange(topic, partition, offset, end),
            self.topic_id,
            [message for message in self.messages if message.offset >= offset],
            [
                Gap(topic, partition, max(gap.first, offset), gap.last, gap.reason)
                for gap in self.gaps
                if gap.last is not None and gap.last >= offset
            ],
        )


def read_range(settings: Settings, wanted: StreamRange) -> Generator[Stretch]:
    """Read a range, stretch by stretch; most ranges are one. An empty range has none.

    Raises:
        KafkaUnavailableError: no broker answers, or none gave anything for `SILENCE_SECONDS`.
        LogTruncatedError: the log does not reach to the end of the range.
    """
    if wanted.start >= wanted.end:
        return
    with broker_errors(settings), _consumer(settings) as kafka:
        reading = _Reading(settings, wanted, kafka)
        while reading.position < wanted.end:
            yield reading.stretch()


def _consumer(settings: Settings) -> KafkaConsumer:
    # While it does not know the partition's leader yet, it sleeps for as long as this.
    return consumer(settings, retry_backoff_ms=10)


@dataclass(slots=True)
class _Reading:
    """A range on its way: everything before `position` was handed out, or is in the stretch."""

    settings: Settings
    wanted: StreamRange
    kafka: KafkaConsumer
    position: int = field(init=False)
    _partition: Any = field(init=False)
    _most: int = field(init=False, default=_FIRST_POLL)
    _messages: list[Message] = field(init=False, default_factory=list)
    _gaps: list[Gap] = field(init=False, default_factory=list)
    _size: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        from kafka import TopicPartition

        self._partition = TopicPartition(self.wanted.topic, self.wanted.partition)
        self.kafka.assign([self._partition])
        self._go_to(self.wanted.start)

    def stretch(self) -> Stretch:
        """The next stretch."""
        start = self.position
        self._messages, self._gaps, self._size = [], [], 0
        deadline = time.monotonic() + SILENCE_SECONDS
        while self.position < self.wanted.end and self._size < STRETCH_BYTES:
            before = self.position
            self._step()
            if self.position > before:
                deadline = time.monotonic() + SILENCE_SECONDS
            elif time.monotonic() > deadline:
                self._give_up()
        span = StreamRange(self.wanted.topic, self.wanted.partition, start, self.position)
        return Stretch(span, topic_id(self.settings, self.wanted.topic), self._messages, self._gaps)

    def _step(self) -> None:
        from kafka.errors import (  # type: ignore[import-untyped]
            CorruptRecordError,
            OffsetOutOfRangeError,
        )

        most = min(self._most, self.wanted.end - self.position)
        try:
            found = self.kafka.poll(_POLL_MILLISECONDS, max_records=most)
        except OffsetOutOfRangeError:
            self._after_lost()
        except CorruptRecordError:
            self._after_unreadable()
        else:
            self._take(found.get(self._partition, []))

    def _take(self, records: list[Any]) -> None:
        for record in records:
            if record.offset >= self.wanted.end:
                break
            self._messages.append(
                Message(
                    record.offset,
                    record.key,
                    record.value,
                    record.headers,
                    record.timestamp,
                    record.timestamp_type,
                )
            )
            self._size += (
                record.serialized_key_size
                + record.serialized_value_size
                + record.serialized_header_size
            )
        if self._messages:
            left = max(0, STRETCH_BYTES - self._size)
            fitting = left * len(self._messages) // max(1, self._size)
            self._most = max(1, min(_LARGEST_POLL, fitting))
        self.position = min(self.kafka.position(self._partition), self.wanted.end)

    def _after_lost(self) -> None:
        """Go on at the log's start, if that is ahead; else the log ends here, and may yet grow."""
        start = self.kafka.beginning_offsets([self._partition])[self._partition]
        if start > self.position:
            self._pass_over(min(start, self.wanted.end), "expired")
        else:
            time.sleep(_POLL_MILLISECONDS / 1000)
            self._go_to(self.position)

    def _after_unreadable(self) -> None:
        """Go on after a batch that is damaged, or that no client of ours can unpack.

        Kafka gives whole batches, so whether an offset can be read tells whether it is in it.
        """
        unreadable, readable = self.position, self.wanted.end
        if self._can_read(unreadable):
            raise KafkaUnavailableError(
                f"A message of {self.wanted} at offset {unreadable} was damaged on its way. "
                "Try again."
            )
        while readable - unreadable > 1:
            middle = (unreadable + readable) // 2
            if self._can_read(middle):
                readable = middle
            else:
                unreadable = middle
        self._pass_over(readable, "unreadable")

    def _can_read(self, offset: int) -> bool:
        """Whether a new client (one that failed is of no more use) gives anything there."""
        from kafka.errors import CorruptRecordError

        with _consumer(self.settings) as kafka:
            kafka.assign([self._partition])
            kafka.seek(self._partition, offset)
            deadline = time.monotonic() + SILENCE_SECONDS
            while time.monotonic() < deadline:
                try:
                    kafka.poll(_POLL_MILLISECONDS, max_records=1)
                except CorruptRecordError:
                    return False
                if kafka.position(self._partition) > offset:
                    return True
        raise self._silence()

    def _pass_over(self, to: int, reason: GapReason) -> None:
        topic, partition = self.wanted.topic, self.wanted.partition
        self._gaps.append(Gap(topic, partition, self.position, to - 1, reason))
        self._go_to(to)

    def _go_to(self, offset: int) -> None:
        self.position = offset
        self.kafka.seek(self._partition, offset)

    def _give_up(self) -> None:
        end = self.kafka.end_offsets([self._partition], timeout_ms=2_000)[self._partition]
        if end < self.wanted.end:
            raise LogTruncatedError(
                f"{self.wanted} cannot be read: the log ends at offset {end}. It lost its end, "
                "or the topic was deleted and made again."
            )
        raise self._silence()

    def _silence(self) -> KafkaUnavailableError:
        return KafkaUnavailableError(
            f"Kafka at {self.settings.kafka_bootstrap_servers} gave nothing of {self.wanted} for "
            f"{SILENCE_SECONDS:g} seconds at offset {self.position}. Check the broker."
        )
