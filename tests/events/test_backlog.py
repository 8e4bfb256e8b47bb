"""Which ranges are due, and what is told of a topic on a real broker."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from kafka import KafkaProducer  # type: ignore[import-untyped]
from sqlalchemy.engine import Engine

from fulfillment_assets.events import backlog as backlog_module
from fulfillment_assets.events import offsets
from fulfillment_assets.events.backlog import PartitionBacklog, due_ranges, watching
from fulfillment_assets.events.client import (
    KafkaUnavailableError,
    admin,
    connection_arguments,
)
from fulfillment_assets.events.gaps import gaps_of
from fulfillment_assets.events.offsets import Commit
from fulfillment_assets.events.ranges import Gap, StreamRange
from fulfillment_assets.events.topic_log import topic_id
from fulfillment_assets.events.topics import ensure_topics
from fulfillment_assets.settings import Settings
from tests.events.broker import KafkaBroker
from tests.events.messages import NOW
from tests.events.wire import UNLAWFUL, delete_before, put, recreate, send

SECOND = dt.timedelta(seconds=1)
SETTINGS = Settings(stream_flush_messages=1_000, stream_flush_seconds=15, stream_max_range=20_000)

Waiting = Callable[[], list[PartitionBacklog]]


def backlog(
    lag: int = 0, age: float = 0, *, next_offset: int = 100, expired: int = 0, partition: int = 0
) -> PartitionBacklog:
    """A partition in which so much has waited for so long."""
    start = next_offset + expired if expired else 0
    return PartitionBacklog(
        topic="t",
        partition=partition,
        next_offset=next_offset,
        log_start=start,
        log_end=next_offset + expired + lag,
        waits_since=NOW - age * SECOND if lag else None,
    )


def due(*backlogs: PartitionBacklog, in_flight: tuple[int, ...] = ()) -> list[StreamRange]:
    return due_ranges(backlogs, in_flight, SETTINGS, NOW)


@pytest.mark.parametrize(
    ("one", "end"),
    [
        (backlog(0), None),
        (backlog(1, 14.9), None),
        (backlog(999, 14.9), None),
        (backlog(1, 15), 101),
        (backlog(999, 15), 1_099),
        (backlog(1_000, 0), 1_100),
        (backlog(1_001, 0), 1_101),
        (backlog(20_000, 0), 20_100),
        (backlog(20_001, 3600), 20_100),
        (backlog(500_000, 0), 20_100),
    ],
)
def test_enough_messages_or_enough_patience_make_a_range_due(
    one: PartitionBacklog, end: int | None
) -> None:
    assert due(one) == ([] if end is None else [StreamRange("t", 0, 100, end)])


@pytest.mark.parametrize(
    ("one", "end"),
    [
        (backlog(0, expired=50), 150),
        (backlog(1, 0, expired=50), 151),
        (backlog(30_000, 0, expired=1_000_000), 1_020_100),
    ],
)
def test_a_gap_is_due_at_once_and_takes_no_room_of_a_range(one: PartitionBacklog, end: int) -> None:
    assert due(one) == [StreamRange("t", 0, 100, end)]


def test_what_waits_elsewhere_goes_along_with_what_is_due() -> None:
    few, none, due_now = backlog(5, partition=2), backlog(0, partition=4), backlog(5, 60)
    assert due(few, none) == []
    assert [span.partition for span in due(few, none, due_now)] == [2, 0]


def test_a_partition_with_a_run_waits_and_makes_none_of_the_others_due() -> None:
    many, few = backlog(5_000, partition=1), backlog(5, partition=2)
    assert due(many, few, in_flight=(1,)) == []
    assert [span.partition for span in due(many, few, in_flight=(2,))] == [1]


def test_a_first_range_begins_with_the_first_message() -> None:
    assert due(backlog(5, 60, next_offset=0)) == [StreamRange("t", 0, 0, 5)]


def test_lag_age_and_expiry_are_told() -> None:
    one = backlog(10, 3.5, expired=7)
    assert (one.lag, one.age(NOW), one.expired) == (10, 3.5, 7)
    assert (backlog(0).lag, backlog(0).age(NOW), backlog(0).expired) == (0, 0.0, 0)


@pytest.fixture
def waiting(kafka_settings: Settings, engine: Engine) -> Iterator[Waiting]:
    with watching(kafka_settings, engine) as look:
        yield look


def commit(engine: Engine, settings: Settings, start: int, end: int, partition: int = 0) -> None:
    """Move a partition as a run would."""
    span = StreamRange(settings.events_topic, partition, start, end)
    identity = topic_id(settings, span.topic)
    made = Commit(end - start, 0, None, None, dt.datetime.now(dt.UTC), "m", "r", 1, 0.1)
    with engine.begin() as connection:
        offsets.lock(connection, span.topic, partition, identity)
        offsets.advance(connection, span, identity, made, [])


def gaps(engine: Engine, settings: Settings) -> list[Gap]:
    with engine.connect() as connection:
        return gaps_of(connection, settings.events_topic)


def test_a_new_topic_is_watched_from_its_first_message(
    kafka_settings: Settings, engine: Engine, waiting: Waiting
) -> None:
    topic = kafka_settings.events_topic
    put(kafka_settings, topic, [b"x"] * 5, partition=1)
    found = waiting()
    assert [(one.partition, one.next_offset, one.lag) for one in found] == [
        (0, 0, 0),
        (1, 0, 5),
        (2, 0, 0),
    ]
    with engine.connect() as connection:
        known = offsets.positions(connection, topic)
    assert {position.topic_id for position in known} == {topic_id(kafka_settings, topic)}


def test_what_waits_follows_what_is_sent_and_committed(
    kafka_settings: Settings, engine: Engine, waiting: Waiting
) -> None:
    topic = kafka_settings.events_topic
    lags = []
    for _ in range(3):
        put(kafka_settings, topic, [b"x"] * 10)
        lags.append(waiting()[0].lag)
    commit(engine, kafka_settings, 0, 25)
    lags.append(waiting()[0].lag)
    assert lags == [10, 20, 30, 5]


def test_it_is_told_since_when_the_oldest_message_waits(
    kafka_settings: Settings, engine: Engine, waiting: Waiting
) -> None:
    topic = kafka_settings.events_topic
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    for age in (50, 70, 20):
        moment = int((now - age * SECOND).timestamp() * 1000)
        put(kafka_settings, topic, [b"x" * 1000] * 20, timestamp_ms=moment)
    put(kafka_settings, topic, [b"x"], partition=2, timestamp_ms=0)
    for start, age in ((0, 50), (10, 50), (20, 70), (40, 20)):
        if start:
            commit(engine, kafka_settings, start - 10 if start < 40 else 20, start)
        found = waiting()
        assert found[0].waits_since == now - age * SECOND
        assert found[1].waits_since is None
        assert found[2].waits_since == dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def test_a_timestamp_ahead_of_the_clock_does_not_keep_a_message_waiting(
    kafka_settings: Settings, engine: Engine, waiting: Waiting
) -> None:
    waiting()
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE stream_offsets SET updated_at = :at"), {"at": NOW})
    ahead = int((time.time() + 1_800) * 1000)
    put(kafka_settings, kafka_settings.events_topic, [b"x"], timestamp_ms=ahead)
    assert waiting()[0].waits_since == NOW


def test_a_timestamp_is_asked_for_once(
    kafka_settings: Settings, waiting: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    fetched = backlog_module._Timestamps._fetched

    def noted(timestamps: Any, topic: str, places: dict[int, int]) -> Any:
        asked.append(places)
        return fetched(timestamps, topic, places)

    monkeypatch.setattr(backlog_module._Timestamps, "_fetched", noted)
    put(kafka_settings, kafka_settings.events_topic, [b"x"] * 3)
    first = waiting()
    assert waiting() == first
    put(kafka_settings, kafka_settings.events_topic, [b"x"], partition=1)
    waiting()
    assert asked == [{0: 0}, {1: 0}]


def test_a_look_takes_a_moment(kafka_settings: Settings, waiting: Waiting) -> None:
    for partition in range(3):
        put(kafka_settings, kafka_settings.events_topic, [b"x" * 500] * 3_000, partition)
    waiting()
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        waiting()
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.1


def test_messages_that_have_expired_do_not_wait_but_are_told(
    kafka_settings: Settings, waiting: Waiting
) -> None:
    topic = kafka_settings.events_topic
    put(kafka_settings, topic, [b"x"] * 30)
    delete_before(kafka_settings, topic, 20)
    (found, *_) = waiting()
    assert (found.next_offset, found.log_start, found.lag, found.expired) == (0, 20, 10, 20)
    assert found.waits_since is not None
    delete_before(kafka_settings, topic, 30)
    (found, *_) = waiting()
    assert (found.lag, found.expired, found.waits_since) == (0, 30, None)


def test_a_topic_that_was_made_again_is_read_from_its_start_and_the_loss_recorded(
    kafka_settings: Settings, engine: Engine, waiting: Waiting
) -> None:
    topic = kafka_settings.events_topic
    put(kafka_settings, topic, [b"x"] * 10)
    waiting()
    commit(engine, kafka_settings, 0, 8)
    recreate(kafka_settings, topic, partitions=3)
    put(kafka_settings, topic, [b"y"] * 12)
    found = waiting()
    assert [(one.next_offset, one.lag) for one in found] == [(0, 12), (0, 0), (0, 0)]
    assert Gap(topic, 0, 8, None, "recreated") in gaps(engine, kafka_settings)
    waiting()
    assert len(gaps(engine, kafka_settings)) == 3
    commit(engine, kafka_settings, 0, 12)
    assert waiting()[0].lag == 0


def test_a_log_that_lost_its_end_goes_on_there_and_the_loss_is_recorded(
    kafka_settings: Settings, engine: Engine, waiting: Waiting
) -> None:
    topic = kafka_settings.events_topic
    put(kafka_settings, topic, [b"x"] * 10)
    commit(engine, kafka_settings, 0, 10)
    with engine.begin() as connection:
        connection.execute(
            sa.text("UPDATE stream_offsets SET next_offset = 15 WHERE partition = 0")
        )
    assert waiting()[0].next_offset == 10
    assert gaps(engine, kafka_settings) == [Gap(topic, 0, 10, 14, "truncated")]
    put(kafka_settings, topic, [b"x"] * 2)
    assert waiting()[0].lag == 2


def test_partitions_that_are_added_are_watched(kafka_settings: Settings, waiting: Waiting) -> None:
    waiting()
    with admin(kafka_settings) as client:
        client.create_partitions({kafka_settings.events_topic: 5})
    deadline = time.monotonic() + 20
    while len(found := waiting()) < 5:
        assert time.monotonic() < deadline
    assert [one.partition for one in found] == [0, 1, 2, 3, 4]


def test_an_open_transaction_does_not_wait_and_a_committed_one_does(
    kafka_settings: Settings, waiting: Waiting
) -> None:
    topic = kafka_settings.events_topic
    client = KafkaProducer(**connection_arguments(kafka_settings), transactional_id=topic)
    client.init_transactions()
    client.begin_transaction()
    client.send(topic, b"x", partition=0).get(20)
    assert waiting()[0].lag == 0
    client.commit_transaction()
    client.close()
    deadline = time.monotonic() + 20
    while waiting()[0].lag < 2:  # the marker is written a moment after it is confirmed
        assert time.monotonic() < deadline
    assert waiting()[0].lag == 2, "the message and the marker"


def test_a_message_that_cannot_be_unpacked_is_due_all_the_same(
    kafka_settings: Settings, engine: Engine, waiting: Waiting
) -> None:
    send(kafka_settings, kafka_settings.events_topic, [(None, b"x", [UNLAWFUL])])
    put(kafka_settings, kafka_settings.events_topic, [b"x"], partition=1)
    for _ in range(3):
        found = waiting()
        assert [one.lag for one in found] == [1, 1, 0]
        assert found[0].waits_since is not None
        assert found[1].waits_since is not None


def test_a_topic_that_is_missing_is_named(kafka_settings: Settings, engine: Engine) -> None:
    nowhere = kafka_settings.model_copy(update={"events_topic": "nowhere"})
    with (
        watching(nowhere, engine) as look,
        pytest.raises(KafkaUnavailableError, match="Kafka does not have the topic 'nowhere'"),
    ):
        look()


def test_no_broker_is_an_error(engine: Engine) -> None:
    nowhere = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    with (
        pytest.raises(KafkaUnavailableError, match="No Kafka broker answers"),
        watching(nowhere, engine),
    ):
        pass


def test_a_broker_that_comes_back_is_watched_on(engine: Engine, kafka_broker: KafkaBroker) -> None:
    settings = kafka_broker.settings
    ensure_topics(settings)
    put(settings, settings.events_topic, [b"x"] * 3)
    with watching(settings, engine) as look:
        assert look()[0].lag == 3
        kafka_broker.kill()
        with pytest.raises(KafkaUnavailableError):
            look()
        kafka_broker.start()
        put(settings, settings.events_topic, [b"x"] * 2)
        deadline = time.monotonic() + 30
        while True:
            try:
                assert look()[0].lag == 5
                break
            except KafkaUnavailableError:
                assert time.monotonic() < deadline
