"""Messages on a real broker: put there, and taken away from it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from kafka import KafkaProducer, TopicPartition  # type: ignore[import-untyped]
from kafka.errors import TopicAlreadyExistsError  # type: ignore[import-untyped]

from fulfillment_assets.events.client import admin, connection_arguments
from fulfillment_assets.events.messages import Message
from fulfillment_assets.events.ranges import Gap, StreamRange
from fulfillment_assets.events.reader import read_range
from fulfillment_assets.settings import Settings


class _UnlawfulName(str):
    __slots__ = ()

    def encode(self, _encoding: str = "utf-8", _errors: str = "strict") -> bytes:
        return b"\xff\xfe"


UNLAWFUL: Final = (_UnlawfulName("x"), b"")
"""A header whose name is not UTF-8 on the wire, as only some clients can send it."""

Sent = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]
"""Key, value and headers."""


def send(
    settings: Settings, topic: str, events: Iterable[Sent], partition: int = 0, **options: Any
) -> list[int]:
    """Put messages into a partition, in their order; returns their offsets.

    Args:
        settings: which broker.
        topic: the topic.
        events: key, value and headers of each.
        partition: the partition.
        options: arguments of `KafkaProducer`, and `timestamp_ms` of all.
    """
    more = {name: options.pop(name) for name in ("timestamp_ms",) if name in options}
    defaults: dict[str, Any] = {"max_request_size": 20_000_000, "linger_ms": 50}
    client = KafkaProducer(**connection_arguments(settings), **defaults | options)
    pending = [
        client.send(topic, value, key, headers=list(headers), partition=partition, **more)
        for key, value, headers in events
    ]
    client.flush()
    found = [one.get(20).offset for one in pending]
    client.close()
    return found


def put(
    settings: Settings, topic: str, values: Iterable[bytes], partition: int = 0, **options: Any
) -> list[int]:
    """Put messages that are nothing but a value into a partition."""
    return send(settings, topic, [(None, value, ()) for value in values], partition, **options)


def delete_before(settings: Settings, topic: str, offset: int, partition: int = 0) -> None:
    """Delete the messages before an offset, as retention does."""
    with admin(settings) as client:
        client.delete_records({TopicPartition(topic, partition): offset})


def recreate(settings: Settings, topic: str, partitions: int = 1) -> None:
    """Delete a topic and make it again, empty."""
    with admin(settings) as client:
        client.delete_topics([topic])
        deadline = time.monotonic() + 20
        while True:  # the name is free only after a while
            try:
                client.create_topics({topic: {"num_partitions": partitions}})
                break
            except TopicAlreadyExistsError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        client.wait_for_topics([topic])


def read(
    settings: Settings, topic: str, start: int, end: int, partition: int = 0
) -> tuple[list[Message], list[Gap]]:
    """All messages and gaps of a range."""
    stretches = list(read_range(settings, StreamRange(topic, partition, start, end)))
    assert [s.span.start for s in stretches] == [start, *(s.span.end for s in stretches)][:-1]
    assert not stretches or stretches[-1].span.end == end
    messages = [message for stretch in stretches for message in stretch.messages]
    return messages, [gap for stretch in stretches for gap in stretch.gaps]


def offsets_of(messages: Iterable[Message]) -> list[int]:
    """Their offsets."""
    return [message.offset for message in messages]
