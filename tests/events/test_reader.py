"""A range gives exactly the messages that it holds, on a real broker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from kafka import KafkaProducer  # type: ignore[import-untyped]

from fulfillment_assets.events import reader
from fulfillment_assets.events.client import (
    KafkaUnavailableError,
    connection_arguments,
    consumer,
)
from fulfillment_assets.events.ranges import Gap, StreamRange
from fulfillment_assets.events.reader import LogTruncatedError, Stretch, read_range
from fulfillment_assets.events.topic_log import topic_id
from fulfillment_assets.events.topics import ensure_topics
from fulfillment_assets.settings import Settings
from tests.events.broker import KafkaBroker
from tests.events.messages import message
from tests.events.wire import UNLAWFUL, delete_before, offsets_of, put, read, recreate, send

Make = Callable[..., str]


def numbered(count: int) -> list[bytes]:
    return [b"value %d" % number for number in range(count)]


@pytest.fixture
def settings(kafka: str) -> Settings:
    return Settings(kafka_bootstrap_servers=kafka)


@pytest.fixture
def topic(make_topic: Make, settings: Settings) -> str:
    """A topic of one partition with 100 messages."""
    name = make_topic()
    put(settings, name, numbered(100))
    return name


@pytest.mark.parametrize(("start", "end"), [(0, 100), (0, 1), (99, 100), (17, 63), (50, 51)])
def test_a_range_is_read_exactly(settings: Settings, topic: str, start: int, end: int) -> None:
    messages, gaps = read(settings, topic, start, end)
    assert offsets_of(messages) == list(range(start, end))
    assert [m.value for m in messages] == numbered(100)[start:end]
    assert gaps == []


def test_an_empty_range_gives_nothing_and_asks_nobody() -> None:
    nowhere = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    assert list(read_range(nowhere, StreamRange("t", 0, 5, 5))) == []


def test_a_range_may_be_read_again_and_by_several_at_once(settings: Settings, topic: str) -> None:
    found: list[list[int]] = []

    def read_it() -> None:
        found.append(offsets_of(read(settings, topic, 10, 90)[0]))

    threads = [threading.Thread(target=read_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [list(range(10, 90))] * 3


def test_all_of_a_message_is_read(settings: Settings, make_topic: Make) -> None:
    topic = make_topic(2)
    headers = [("a", b"1"), ("a", b"\xff"), ("ü", b"")]
    send(settings, topic, [(b"\xfe", b"\x00\xff", headers)], 1, timestamp_ms=1_772_357_400_123)
    send(settings, topic, [(b"k", None, ()), (None, b"", [("empty", b"")])], 1, timestamp_ms=0)
    messages, _ = read(settings, topic, 0, 3, partition=1)
    first, tombstone, empty = messages
    assert (first.offset, first.key, first.value) == (0, b"\xfe", b"\x00\xff")
    assert (list(first.headers), first.timestamp, first.timestamp_type) == (
        headers,
        1_772_357_400_123,
        0,
    )
    assert (tombstone.key, tombstone.value, tombstone.timestamp) == (b"k", None, 0)
    assert (empty.key, empty.value, list(empty.headers)) == (None, b"", [("empty", b"")])


def test_the_timestamp_of_the_broker_is_told_as_such(settings: Settings, make_topic: Make) -> None:
    topic = make_topic(**{"message.timestamp.type": "LogAppendTime"})
    put(settings, topic, [b"x"], timestamp_ms=0)
    ((one,), _) = read(settings, topic, 0, 1)
    assert one.timestamp_type == 1
    assert abs(one.timestamp / 1000 - time.time()) < 60


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_compressed_messages_are_read(settings: Settings, make_topic: Make, codec: str) -> None:
    topic = make_topic()
    put(settings, topic, numbered(500), compression_type=codec)
    messages, gaps = read(settings, topic, 250, 500)
    assert [m.value for m in messages] == numbered(500)[250:]
    assert gaps == []


def test_expired_offsets_are_a_gap(settings: Settings, topic: str) -> None:
    delete_before(settings, topic, 40)
    messages, gaps = read(settings, topic, 10, 60)
    assert offsets_of(messages) == list(range(40, 60))
    assert gaps == [Gap(topic, 0, 10, 39, "expired")]


def test_a_range_that_has_expired_altogether_is_one_gap(settings: Settings, topic: str) -> None:
    delete_before(settings, topic, 40)
    messages, gaps = read(settings, topic, 10, 30)
    assert (messages, gaps) == ([], [Gap(topic, 0, 10, 29, "expired")])


def test_messages_that_expire_while_they_are_read_are_a_gap(
    settings: Settings, make_topic: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = make_topic()
    for _ in range(4):
        put(settings, topic, [b"x" * 1000] * 100, batch_size=8_000)
    monkeypatch.setattr(reader, "STRETCH_BYTES", 20_000)
    monkeypatch.setattr(
        reader, "_consumer", lambda s: consumer(s, max_partition_fetch_bytes=10_000)
    )
    stretches = read_range(settings, StreamRange(topic, 0, 0, 400))
    first = next(stretches)
    delete_before(settings, topic, 300)
    rest = list(stretches)
    messages = [m for stretch in (first, *rest) for m in stretch.messages]
    (gap,) = [gap for stretch in rest for gap in stretch.gaps]
    assert (gap.reason, gap.last) == ("expired", 299)
    assert offsets_of(messages) == [*range(gap.first), *range(300, 400)]


def test_aborted_transactions_and_markers_leave_holes_and_no_gaps(
    settings: Settings, make_topic: Make
) -> None:
    topic = make_topic()
    client = KafkaProducer(**connection_arguments(settings), transactional_id=topic)
    client.init_transactions()
    for number in range(6):
        client.begin_transaction()
        for part in range(2):
            client.send(topic, b"%d.%d" % (number, part), partition=0)
        client.flush()
        if number % 2:
            client.abort_transaction()
        else:
            client.commit_transaction()
    client.close()
    messages, gaps = read(settings, topic, 0, 18)  # two messages and a marker each
    assert [m.value for m in messages] == [b"0.0", b"0.1", b"2.0", b"2.1", b"4.0", b"4.1"]
    assert gaps == []
    assert read(settings, topic, 2, 6) == ([], []), "a marker, and a transaction that was aborted"


def test_a_range_ends_in_the_midst_of_a_batch(settings: Settings, topic: str) -> None:
    put(settings, topic, numbered(100), compression_type="gzip")
    messages, _ = read(settings, topic, 120, 121)
    assert [m.value for m in messages] == [b"value 20"]


def test_a_large_range_comes_in_stretches_that_cover_it(
    settings: Settings, make_topic: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "STRETCH_BYTES", 100_000)
    topic = make_topic()
    put(settings, topic, [b"%04d" % number * 250 for number in range(1_000)])
    stretches = list(read_range(settings, StreamRange(topic, 0, 100, 1_000)))
    assert 9 <= len(stretches) <= 12
    sizes = [sum(message.size for message in stretch.messages) for stretch in stretches]
    assert max(sizes) < 130_000
    assert offsets_of(read(settings, topic, 100, 1_000)[0]) == list(range(100, 1_000))


def test_a_message_of_five_megabytes_is_read(settings: Settings, make_topic: Make) -> None:
    topic = make_topic(**{"max.message.bytes": str(6 * 1024**2)})
    large = bytes(range(256)) * 20_480
    put(settings, topic, (b"before", large, b"after"))
    messages, _ = read(settings, topic, 0, 3)
    assert [m.value for m in messages] == [b"before", large, b"after"]


def test_a_range_beyond_the_end_of_the_log_says_where_that_is(
    settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 1)
    for start in (50, 150):
        with pytest.raises(LogTruncatedError) as truncated:
            read(settings, topic, start, 200)
        assert f"{topic}[0] {start}-200 cannot be read" in str(truncated.value)
        assert "the log ends at offset 100" in str(truncated.value)


def test_a_log_that_grows_meanwhile_is_waited_for(settings: Settings, topic: str) -> None:
    grower = threading.Timer(1, put, (settings, topic, numbered(20)))
    grower.start()
    messages, _ = read(settings, topic, 90, 120)
    grower.join()
    assert offsets_of(messages) == list(range(90, 120))


def test_a_stretch_tells_from_which_topic_it_came(settings: Settings, topic: str) -> None:
    wanted = StreamRange(topic, 0, 0, 1)
    (stretch,) = read_range(settings, wanted)
    assert stretch.topic_id is not None
    recreate(settings, topic)
    put(settings, topic, [b"new"])
    (again,) = read_range(settings, wanted)
    assert (again.messages[0].value, stretch.messages[0].value) == (b"new", b"value 0")
    assert again.topic_id == topic_id(settings, topic) != stretch.topic_id


def test_a_topic_that_is_not_there_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 1)
    with pytest.raises(KafkaUnavailableError, match="does not have the topic 'nowhere'"):
        topic_id(settings, "nowhere")
    with pytest.raises(KafkaUnavailableError):
        read(settings, "nowhere", 0, 1)


def test_a_message_that_no_client_can_unpack_is_a_gap_to_the_end_of_its_batch(
    settings: Settings, make_topic: Make
) -> None:
    topic = make_topic()
    put(settings, topic, numbered(10))
    assert send(settings, topic, [(None, b"poison", [UNLAWFUL])]) == [10]
    put(settings, topic, numbered(10))
    messages, gaps = read(settings, topic, 0, 21)
    assert offsets_of(messages) == [*range(10), *range(11, 21)]
    assert gaps == [Gap(topic, 0, 10, 10, "unreadable")]
    assert read(settings, topic, 10, 11) == ([], gaps)
    assert offsets_of(read(settings, topic, 11, 12)[0]) == [11]


def test_messages_of_a_batch_before_one_that_cannot_be_unpacked_are_read(
    settings: Settings, make_topic: Make
) -> None:
    topic = make_topic()
    events = [(None, b"x", [UNLAWFUL] * (number == 3)) for number in range(6)]
    assert send(settings, topic, events) == list(range(6))
    put(settings, topic, numbered(2))
    messages, gaps = read(settings, topic, 0, 8)
    assert offsets_of(messages) == [0, 1, 2, 6, 7]
    assert gaps == [Gap(topic, 0, 3, 5, "unreadable")]


def test_what_lies_before_an_offset_can_be_left_out_of_a_stretch() -> None:
    span = StreamRange("t", 0, 10, 20)
    messages = [message(offset=offset) for offset in (12, 15, 19)]
    gaps = [Gap("t", 0, 10, 11, "expired"), Gap("t", 0, 16, 18, "unreadable")]
    stretch = Stretch(span, None, messages, gaps)
    assert stretch.since(10) is stretch
    rest = stretch.since(15)
    assert (rest.span, offsets_of(rest.messages)) == (StreamRange("t", 0, 15, 20), [15, 19])
    assert rest.gaps == gaps[1:]
    assert stretch.since(17).gaps == [Gap("t", 0, 17, 18, "unreadable")]


def test_no_broker_is_an_error_that_says_what_to_do() -> None:
    nowhere = Settings(kafka_bootstrap_servers="127.0.0.1:1")
    with pytest.raises(KafkaUnavailableError, match="Start it, or check KAFKA_BOOTSTRAP_SERVERS"):
        read(nowhere, "t", 0, 1)


def test_a_broker_that_falls_silent_is_an_error_after_a_while(
    kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 2)
    settings = kafka_broker.settings
    ensure_topics(settings)
    topic = settings.events_topic
    put(settings, topic, numbered(10))
    freezer = threading.Timer(0.5, kafka_broker.freeze)
    freezer.start()
    started = time.monotonic()
    with pytest.raises(KafkaUnavailableError):
        read(settings, topic, 0, 20)
    freezer.join()
    assert time.monotonic() - started < 15
    kafka_broker.thaw()
    assert offsets_of(read(settings, topic, 0, 10)[0]) == list(range(10))


def test_a_broker_that_is_killed_and_comes_back_is_read_on(
    kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "SILENCE_SECONDS", 60)
    settings = kafka_broker.settings
    ensure_topics(settings)
    topic = settings.events_topic
    put(settings, topic, numbered(10))
    found: list[list[int]] = []

    def read_it() -> None:
        found.append(offsets_of(read(settings, topic, 0, 20)[0]))

    reading = threading.Thread(target=read_it)
    reading.start()
    time.sleep(0.5)
    kafka_broker.kill()
    kafka_broker.start()
    put(settings, topic, numbered(10))
    reading.join()
    assert found == [list(range(20))]
