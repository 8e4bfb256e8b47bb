"""Sending at a pace, on a real broker: what is sent arrives once, in order, in time."""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator

import pyarrow as pa
import pytest

from fulfillment_assets.events.client import KafkaUnavailableError, admin
from fulfillment_assets.events.messages import Message
from fulfillment_assets.events.producing import Burst, Pace, Sent, send
from fulfillment_assets.events.ranges import StreamRange
from fulfillment_assets.events.reader import read_range
from fulfillment_assets.events.simulated import MARKS, Passage, Traffic, simulated_messages
from fulfillment_assets.events.topic_log import look_at
from fulfillment_assets.settings import Settings
from tests.events.broker import KafkaBroker
from tests.events.simulated import PLAN

TRAFFIC = Traffic(fault_share=0.05, duplicate_share=0.05, out_of_order_share=0.05)
NEVER = threading.Event()


def passages(count: int | None, traffic: Traffic = TRAFFIC) -> Iterator[Passage]:
    return simulated_messages(PLAN, traffic, count=count, rate=None)


def received(settings: Settings) -> dict[int, list[Message]]:
    """All messages of the events' topic, by partition."""
    topic = settings.events_topic
    with admin(settings) as client:
        ends = look_at(client, topic).ends
    return {
        partition: [
            message
            for stretch in read_range(settings, StreamRange(topic, partition, 0, end))
            for message in stretch.messages
        ]
        for partition, end in ends.items()
    }


class TestPace:
    @pytest.mark.parametrize(
        ("pace", "total"),
        [
            (Pace(), None),
            (Pace(rate=200), None),
            (Pace(duration=60), None),
            (Pace(count=7), 7),
            (Pace(rate=200, duration=60), 12_000),
            (Pace(rate=200, duration=60, count=100), 100),
            (Pace(rate=0.5, duration=3), 2),
            (Pace(burst=Burst(5_000, 30), duration=60), 10_000),
            (Pace(burst=Burst(5_000, 30), duration=61), 15_000),
            (Pace(rate=10, burst=Burst(100, 2), duration=5), 350),
        ],
    )
    def test_what_it_comes_to(self, pace: Pace, total: int | None) -> None:
        assert pace.total == total

    def test_a_rate_is_due_little_by_little(self) -> None:
        pace = Pace(rate=10, duration=1)
        assert [pace.due(seconds) for seconds in (0, 0.05, 0.1, 0.55, 0.999, 5)] == [
            1,
            1,
            2,
            6,
            10,
            10,
        ]

    def test_a_burst_is_due_at_once_at_the_start_and_again(self) -> None:
        pace = Pace(burst=Burst(100, 2))
        assert [pace.due(seconds) for seconds in (0, 1.99, 2, 4.1)] == [100, 100, 200, 300]
        both = Pace(rate=10, burst=Burst(100, 2))
        assert [both.due(seconds) for seconds in (0, 1, 2)] == [101, 111, 221]

    def test_without_a_pace_all_is_due(self) -> None:
        assert Pace(count=5).due(0) == math.inf

    @pytest.mark.parametrize("text", ["5000", "5000@", "@30", "0@30", "10@0", "10@nan", "a@b"])
    def test_a_senseless_burst_is_explained(self, text: str) -> None:
        with pytest.raises(ValueError, match="burst must be MESSAGES@SECONDS, such as 5000@30"):
            Burst.parse(text)

    def test_a_burst_is_read(self) -> None:
        assert Burst.parse("5000@30") == Burst(5_000, 30.0)
        assert Burst.parse("10@0.5") == Burst(10, 0.5)


def test_messages_arrive_once_and_the_events_of_an_order_in_order(kafka_settings: Settings) -> None:
    (passage,) = passages(2_000)
    sent = send(kafka_settings, [passage], Pace(count=2_000), stop=NEVER)
    found = received(kafka_settings)
    expected = defaultdict(list)
    for message in passage.messages():
        expected[message.key_hash % 3].append((message.key, message.value, message.headers))
    assert {
        partition: [(message.key, message.value, list(message.headers)) for message in messages]
        for partition, messages in found.items()
    } == expected
    assert sent.topic == kafka_settings.events_topic
    assert sent.messages == 2_000
    assert sent.marks == Counter(MARKS[code] for code in passage.marks.tolist())
    assert sent.orders == passage.truth.num_rows
    assert sent.rate == pytest.approx(2_000 / sent.seconds)


def test_the_time_of_a_message_is_that_of_its_sending(kafka_settings: Settings) -> None:
    before = time.time()
    send(kafka_settings, passages(60), Pace(rate=100, count=60), stop=NEVER)
    after = time.time()
    times = sorted(m.timestamp / 1000 for ms in received(kafka_settings).values() for m in ms)
    assert before - 0.001 <= times[0] and times[-1] <= after
    assert times[-1] - times[0] == pytest.approx(0.59, abs=0.2)


def test_a_rate_is_kept(kafka_settings: Settings) -> None:
    pace = Pace(rate=300, duration=1)
    sent = send(kafka_settings, passages(pace.total), pace, stop=NEVER)
    assert sent.messages == 300
    assert 0.99 <= sent.seconds < 2.5


def test_without_a_pace_a_duration_ends_it(kafka_settings: Settings) -> None:
    sent = send(kafka_settings, passages(None), Pace(duration=0.3), stop=NEVER)
    assert 0 < sent.messages == sum(map(len, received(kafka_settings).values()))
    assert sent.seconds < 10


def test_a_rate_that_cannot_be_kept_does_not_prolong_it(kafka_settings: Settings) -> None:
    pace = Pace(rate=1e9, duration=0.2)
    sent = send(kafka_settings, passages(None), pace, stop=NEVER)
    assert 0 < sent.messages < 2e8
    assert sent.seconds < 10


def test_it_stops_when_asked_and_tells_what_was_sent(kafka_settings: Settings) -> None:
    stop = threading.Event()
    truths: list[pa.Table] = []

    def watch(sent: Sent) -> None:
        if sent.messages >= 50:
            stop.set()

    sent = send(
        kafka_settings,
        passages(None),
        Pace(rate=500),
        stop=stop,
        progress=watch,
        truth=truths.append,
    )
    found = list(itertools.chain(*received(kafka_settings).values()))
    assert 50 <= sent.messages == len(found) < 5_000
    (truth,) = truths
    keys = {message.key.decode() for message in found if message.key}
    assert keys - {"ORD-OF-ANOTHER"} <= set(truth["order_id"].to_pylist())
    assert truth.num_rows == sent.orders <= sent.messages


def test_without_a_broker_it_says_so(dead_settings: Settings) -> None:
    with pytest.raises(KafkaUnavailableError, match="No Kafka broker answers"):
        send(dead_settings, passages(5), Pace(), stop=NEVER)


@pytest.fixture
def dead_settings() -> Settings:
    return Settings(kafka_bootstrap_servers="127.0.0.1:1")


def test_a_broker_that_is_gone_for_a_moment_costs_nothing(kafka_broker: KafkaBroker) -> None:
    with admin(kafka_broker.settings) as client:
        request = {"num_partitions": 2, "configs": {}}
        client.create_topics({"fulfillment-events": request}, wait_for_metadata=True)
    killed = threading.Event()

    def kill(sent: Sent) -> None:
        if sent.messages >= 200 and not killed.is_set():
            killed.set()
            kafka_broker.kill()
            threading.Thread(target=kafka_broker.start).start()

    pace = Pace(rate=400, count=800)
    (passage,) = passages(800)
    sent = send(kafka_broker.settings, [passage], pace, stop=NEVER, progress=kill)
    assert sent.messages == 800
    found = received(kafka_broker.settings)
    values = [
        [message.value for message in passage.messages() if message.key_hash % 2 == partition]
        for partition in (0, 1)
    ]
    assert [[message.value for message in found[partition]] for partition in (0, 1)] == values
