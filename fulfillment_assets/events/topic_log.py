"""What the broker holds of a topic: which one it is, and how far each partition reaches."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fulfillment_assets.events.client import KafkaUnavailableError, admin, broker_errors
from fulfillment_assets.settings import Settings

if TYPE_CHECKING:
    from kafka import KafkaAdminClient  # type: ignore[import-untyped]


@dataclass(frozen=True, slots=True)
class TopicLog:
    """One look at a topic.

    Attributes:
        topic: its name.
        topic_id: which topic of that name it is; None where the broker is older than Kafka 2.8.
        starts: the first offset that is still held, by partition.
        ends: the offset after the last message that can be read, by partition. Messages of
            transactions that are not committed yet cannot.
    """

    topic: str
    topic_id: uuid.UUID | None
    starts: dict[int, int]
    ends: dict[int, int]


def look_at(client: KafkaAdminClient, topic: str) -> TopicLog:
    """Ask the broker for all partitions of a topic.

    Raises:
        KafkaUnavailableError: there is no such topic.
        kafka.errors.KafkaError: the broker does not answer, or cannot for the moment.
    """
    from kafka import TopicPartition
    from kafka.protocol.consumer import (  # type: ignore[import-untyped]
        IsolationLevel,
        OffsetSpec,
    )

    described = _describe(client, topic)
    partitions = [
        TopicPartition(topic, entry["partition_index"]) for entry in described["partitions"]
    ]

    def offsets(which: OffsetSpec) -> dict[int, int]:
        found = client.list_partition_offsets(
            dict.fromkeys(partitions, which), isolation_level=IsolationLevel.READ_COMMITTED
        )
        return {partition.partition: answer.offset for partition, answer in found.items()}

    starts, ends = offsets(OffsetSpec.EARLIEST), offsets(OffsetSpec.LATEST)
    return TopicLog(topic, _identity(described), starts, ends)


def topic_id(settings: Settings, topic: str) -> uuid.UUID | None:
    """Which topic of that name there is; None where the broker is older than Kafka 2.8.

    Raises:
        KafkaUnavailableError: there is no such topic, or the broker does not answer.
    """
    with broker_errors(settings), admin(settings) as client:
        return _identity(_describe(client, topic))


def _identity(described: dict[str, Any]) -> uuid.UUID | None:
    text: str | None = described["topic_id"]
    return None if text is None else uuid.UUID(text)


def _describe(client: KafkaAdminClient, topic: str) -> dict[str, Any]:
    from kafka.errors import NoError, for_code  # type: ignore[import-untyped]

    [described] = client.describe_topics([topic])
    error = for_code(described["error_code"])
    if error is not NoError:
        raise KafkaUnavailableError(
            f"Kafka does not have the topic {topic!r} ({error.message}). Start the platform, which "
            "creates its topics, or set FULFILLMENT_EVENTS_TOPIC to one that exists."
        )
    answer: dict[str, Any] = described
    return answer
