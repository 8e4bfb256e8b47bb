"""The topics: who makes them, with how many partitions, and how long they keep a message."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from fulfillment_assets.events.client import KafkaUnavailableError, admin, broker_errors
from fulfillment_assets.settings import Settings

DEVIATION_EVENTS: Final = "deviation-events"
"""What the outbox calls the topic of deviations, whatever the settings call it in Kafka."""

DLQ_PARTITIONS: Final = 1

# A batch of messages as it is stored, compressed. The dead-letter queue also holds the reason and
# the origin of what the events' topic let in.
MAX_EVENT_BYTES: Final = 6 * 1024**2
MAX_DEVIATION_BYTES: Final = 1024**2
MAX_DEAD_LETTER_BYTES: Final = 8 * 1024**2

_READY_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it is created.

    Attributes:
        name: its name.
        partitions: the number of its partitions; order is kept within one.
        retention: how long a message is kept, counted from its timestamp.
        max_message_bytes: largest batch of messages that the broker accepts, in bytes.
    """

    name: str
    partitions: int
    retention: dt.timedelta
    max_message_bytes: int

    @property
    def request(self) -> dict[str, Any]:
        """What the broker is asked for; the replication factor is the broker's default."""
        configuration = {
            "cleanup.policy": "delete",
            "retention.ms": str(int(self.retention.total_seconds() * 1000)),
            "max.message.bytes": str(self.max_message_bytes),
        }
        return {"num_partitions": self.partitions, "configs": configuration}


def topics(settings: Settings) -> tuple[Topic, ...]:
    """The topics of the platform: events, announced deviations, dead letters."""
    week, month = dt.timedelta(days=7), dt.timedelta(days=30)
    return (
        Topic(settings.events_topic, settings.events_partitions, week, MAX_EVENT_BYTES),
        Topic(settings.deviations_topic, settings.events_partitions, week, MAX_DEVIATION_BYTES),
        Topic(settings.dlq_topic, DLQ_PARTITIONS, month, MAX_DEAD_LETTER_BYTES),
    )


def ensure_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing, and return their names once all are ready.

    One that exists is left as it is. Several processes may do so at once.

    Raises:
        KafkaUnavailableError: no broker answers, or it refuses to create a topic.
    """
    wanted = {topic.name: topic.request for topic in topics(settings)}
    with broker_errors(settings), admin(settings) as client:
        existing = set(client.list_topics())
        missing = {name: request for name, request in wanted.items() if name not in existing}
        created = _create(client, missing) if missing else []
        client.wait_for_topics(list(wanted), timeout_ms=int(_READY_SECONDS * 1000))
    return created


def _create(client: Any, missing: dict[str, dict[str, Any]]) -> list[str]:
    from kafka.errors import NoError, TopicAlreadyExistsError  # type: ignore[import-untyped]

    answers = client.create_topics(missing, raise_errors=False)["topics"]
    created = []
    for answer in answers:
        if answer["error_code"] == NoError.errno:
            created.append(answer["name"])
        elif answer["error_code"] != TopicAlreadyExistsError.errno:
            raise KafkaUnavailableError(
                f"Kafka refused to create topic {answer['name']!r}: {answer['error_message']}. "
                "Create it yourself, or allow this client to do so."
            )
    return created
