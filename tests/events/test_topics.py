"""Making the topics, on a real broker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from kafka.admin import ConfigResource, ConfigResourceType  # type: ignore[import-untyped]

from fulfillment_assets.events.client import KafkaUnavailableError, admin
from fulfillment_assets.events.topics import Topic, ensure_topics, topics
from fulfillment_assets.settings import Settings

DAY_MS = 24 * 3600 * 1000


def fresh(settings: Settings, suffix: str) -> Settings:
    """The settings with names of topics that do not exist yet."""
    names = ("events_topic", "deviations_topic", "dlq_topic")
    changes = {name: f"{getattr(settings, name)}-{suffix}" for name in names}
    return settings.model_copy(update=changes)


def names_of(settings: Settings) -> list[str]:
    return [topic.name for topic in topics(settings)]


def partitions(settings: Settings) -> dict[str, int]:
    with admin(settings) as client:
        described = client.describe_topics(names_of(settings))
    return {topic["name"]: len(topic["partitions"]) for topic in described}


def configuration(settings: Settings, topic: str) -> dict[str, Any]:
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    with admin(settings) as client:
        (found,) = client.describe_configs([resource])["topic"].values()
    return {name: entry["value"] for name, entry in found.items()}


def test_the_names_and_sizes_of_the_topics_are_settings() -> None:
    assert [(topic.name, topic.partitions) for topic in topics(Settings())] == [
        ("fulfillment-events", 6),
        ("deviation-events", 6),
        ("fulfillment-events-dlq", 1),
    ]
    settings = Settings(events_topic="orders", events_partitions=12)
    assert topics(settings)[0].name == "orders"
    assert topics(settings)[0].partitions == 12


def test_missing_topics_are_created_as_stated(kafka_settings: Settings) -> None:
    settings = fresh(kafka_settings, "new")
    events, deviations, dlq = names_of(settings)
    assert ensure_topics(settings) == [events, deviations, dlq]
    assert partitions(settings) == {events: 3, deviations: 3, dlq: 1}
    for name, days, size in ((events, 7, 6), (deviations, 7, 1), (dlq, 30, 8)):
        found = configuration(settings, name)
        assert int(found["retention.ms"]) == days * DAY_MS
        assert int(found["max.message.bytes"]) == size * 1024**2
        assert found["cleanup.policy"] == "delete"


def test_the_second_time_nothing_is_created(kafka_settings: Settings) -> None:
    assert ensure_topics(kafka_settings) == []


def test_only_what_is_missing_is_created_and_what_exists_is_left_alone(
    kafka_settings: Settings,
) -> None:
    settings = fresh(kafka_settings, "half")
    with admin(settings) as client:
        request = {"num_partitions": 2, "configs": {"retention.ms": "1000"}}
        client.create_topics({settings.events_topic: request}, wait_for_metadata=True)
    assert ensure_topics(settings) == [settings.deviations_topic, settings.dlq_topic]
    assert partitions(settings)[settings.events_topic] == 2
    assert configuration(settings, settings.events_topic)["retention.ms"] == "1000"


def test_several_may_do_so_at_once(kafka_settings: Settings) -> None:
    settings = fresh(kafka_settings, "race")
    with ThreadPoolExecutor(8) as pool:
        created = [name for names in pool.map(ensure_topics, [settings] * 8) for name in names]
    assert sorted(created) == sorted(names_of(settings))


def test_a_refusal_is_an_error_that_names_the_topic_and_the_reason(
    kafka_settings: Settings,
) -> None:
    settings = kafka_settings.model_copy(update={"dlq_topic": "not a name"})
    with pytest.raises(KafkaUnavailableError, match=r"'not a name': .* is invalid"):
        ensure_topics(settings)


def test_the_broker_chooses_the_number_of_replicas() -> None:
    assert all("replication_factor" not in topic.request for topic in topics(Settings()))
    assert isinstance(topics(Settings())[0], Topic)
