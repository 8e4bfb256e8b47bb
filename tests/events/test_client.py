"""The Kafka clients, on real brokers: what they promise, and how long they wait at most."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from kafka import KafkaProducer, TopicPartition  # type: ignore[import-untyped]
from kafka.errors import (  # type: ignore[import-untyped]
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    UnknownTopicOrPartitionError,
)
from pydantic import SecretStr

from fulfillment_assets.events import client
from fulfillment_assets.events.client import (
    KafkaUnavailableError,
    broker_errors,
    configured,
    connection_arguments,
)
from fulfillment_assets.events.topics import MAX_EVENT_BYTES, ensure_topics
from fulfillment_assets.settings import Settings
from tests.events.broker import KafkaBroker

MakeTopic = Callable[..., str]

LIMIT_SECONDS = 1.0
"""How long a test's client may wait, in place of the seconds that users grant."""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONNECT_SECONDS", "REQUEST_SECONDS", "_PROBE_SECONDS"):
        monkeypatch.setattr(client, name, LIMIT_SECONDS)
    monkeypatch.setattr(client, "DELIVERY_SECONDS", 2 * LIMIT_SECONDS)


@pytest.fixture
def dead() -> str:
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def silent() -> Iterator[str]:
    """An address that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def at_most(seconds: float) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


def open_files() -> int:
    gc.collect()
    return psutil.Process().num_fds()


def on(servers: str | None, **changes: Any) -> Settings:
    return Settings(kafka_bootstrap_servers=servers, **changes)


def read(settings: Settings, topic: str, count: int, partition: int = 0) -> list[Any]:
    """The first messages of a partition."""
    found: list[Any] = []
    with client.consumer(settings) as consumer:
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        consumer.seek(place, 0)
        deadline = time.monotonic() + 30
        while len(found) < count and time.monotonic() < deadline:
            found += consumer.poll(timeout_ms=500).get(place, [])
    return found


class TestArguments:
    def test_without_a_broker_nothing_is_configured(self) -> None:
        assert not configured(on(None))
        assert not configured(on(""))
        assert configured(on("localhost:9092"))
        with pytest.raises(KafkaUnavailableError, match="Set KAFKA_BOOTSTRAP_SERVERS"):
            connection_arguments(on(None))

    @pytest.mark.parametrize(
        ("servers", "addresses"),
        [
            ("one:9092", ["one:9092"]),
            (" one:1 , two:2", ["one:1", "two:2"]),
            ("one", ["one:9092"]),
            ("[::1]:9093", ["[::1]:9093"]),
        ],
    )
    def test_several_brokers_may_be_named(self, servers: str, addresses: list[str]) -> None:
        assert connection_arguments(on(servers))["bootstrap_servers"] == addresses

    def test_an_address_that_is_none_is_named(self) -> None:
        with pytest.raises(KafkaUnavailableError, match="'two:port', which is not host:port"):
            connection_arguments(on("one:9092,two:port"))

    def test_a_login_is_handed_on_only_where_the_protocol_has_one(self) -> None:
        login = {
            "kafka_sasl_mechanism": "SCRAM-SHA-512",
            "kafka_sasl_username": "alice",
            "kafka_sasl_password": SecretStr("secret"),
        }
        plain = connection_arguments(on("one", **login))
        sasl = connection_arguments(on("one", kafka_security_protocol="SASL_PLAINTEXT", **login))
        assert sasl["security_protocol"] == "SASL_PLAINTEXT"
        assert {key: value for key, value in sasl.items() if key.startswith("sasl_")} == {
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": "alice",
            "sasl_plain_password": "secret",
        }
        assert not any(key.startswith("sasl_") for key in plain)

    def test_a_login_without_a_password_is_an_error_that_names_the_variables(self) -> None:
        settings = on("one", kafka_security_protocol="SASL_SSL", kafka_sasl_username="alice")
        with pytest.raises(KafkaUnavailableError, match="KAFKA_SASL_PASSWORD"):
            connection_arguments(settings)

    def test_a_missing_certificate_file_is_an_error_that_names_the_variables(self) -> None:
        settings = on("one", kafka_security_protocol="SSL", kafka_ssl_cafile="/no/such.pem")
        with pytest.raises(KafkaUnavailableError, match="KAFKA_SSL_CAFILE"):
            connection_arguments(settings)

    def test_a_password_is_not_shown(self) -> None:
        settings = on("one", kafka_sasl_password=SecretStr("hunter2"))
        assert "hunter2" not in repr(settings)

    def test_the_variables_have_the_names_that_other_tools_use(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker.example:9093")
        monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
        monkeypatch.setenv("KAFKA_SASL_USERNAME", "alice")
        monkeypatch.setenv("KAFKA_SASL_PASSWORD", "secret")
        arguments = connection_arguments(Settings())
        assert arguments["bootstrap_servers"] == ["broker.example:9093"]
        assert arguments["sasl_plain_password"] == "secret"
        assert arguments["ssl_context"].check_hostname


CLIENTS = [client.consumer, client.producer, client.admin]


@pytest.mark.usefixtures("impatient")
class TestNoAnswer:
    @pytest.mark.parametrize("make", CLIENTS)
    def test_a_dead_broker_is_an_error_in_time_that_says_what_to_do(
        self, make: Callable[[Settings], Any], dead: str
    ) -> None:
        with at_most(3 * LIMIT_SECONDS), pytest.raises(KafkaUnavailableError) as failed:
            make(on(dead))
        for part in (dead, "Connection refused", "check KAFKA_BOOTSTRAP_SERVERS"):
            assert part in str(failed.value)

    @pytest.mark.parametrize("make", CLIENTS)
    def test_a_silent_broker_is_an_error_in_time_that_says_what_to_check(
        self, make: Callable[[Settings], Any], silent: str
    ) -> None:
        with at_most(3 * LIMIT_SECONDS), pytest.raises(KafkaUnavailableError) as failed:
            make(on(silent))
        for part in (silent, "did not answer", "KAFKA_SECURITY_PROTOCOL (PLAINTEXT)"):
            assert part in str(failed.value)

    def test_a_broker_that_is_silent_in_the_tls_handshake_is_an_error_in_time(
        self, silent: str
    ) -> None:
        with at_most(3 * LIMIT_SECONDS), pytest.raises(KafkaUnavailableError, match="timed out"):
            client.admin(on(silent, kafka_security_protocol="SSL"))

    @pytest.mark.parametrize("make", CLIENTS)
    def test_nothing_is_left_of_a_client_that_failed(
        self, make: Callable[[Settings], Any], dead: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        threads, files = set(threading.enumerate()), open_files()
        with pytest.raises(KafkaUnavailableError):
            make(on(dead))
        assert set(threading.enumerate()) == threads
        assert open_files() == files
        assert capfd.readouterr() == ("", "")

    def test_a_host_that_does_not_exist_is_an_error(self) -> None:
        with pytest.raises(KafkaUnavailableError, match=r"no-such-host\.invalid:9092"):
            client.admin(on("no-such-host.invalid"))


class TestMessages:
    @pytest.mark.parametrize("compression", [None, "gzip", "lz4", "zstd"])
    def test_every_compression_is_read(
        self, compression: str | None, kafka: str, make_topic: MakeTopic
    ) -> None:
        settings, topic = on(kafka), make_topic()
        arguments = connection_arguments(settings)
        with KafkaProducer(**arguments, compression_type=compression, linger_ms=50) as sender:
            for number in range(100):
                sender.send(topic, key=b"k%d" % number, value=b"v" * 100, headers=[("h", b"1")])
        found = read(settings, topic, 100)
        assert [message.key for message in found] == [b"k%d" % number for number in range(100)]
        assert {message.value for message in found} == {b"v" * 100}
        assert found[0].headers == [("h", b"1")]

    def test_what_is_produced_is_read_in_order(self, kafka: str, make_topic: MakeTopic) -> None:
        settings, topic = on(kafka), make_topic()
        with client.producer(settings) as producer:
            for number in range(5_000):
                producer.send(topic, value=b"%d" % number)
        found = read(settings, topic, 5_000)
        assert [int(message.value) for message in found] == list(range(5_000))
        assert [message.offset for message in found] == list(range(5_000))

    def test_five_megabytes_pass_and_what_is_larger_than_the_limit_is_refused(
        self, kafka_settings: Settings
    ) -> None:
        large = os.urandom(5 * 1024**2)
        with client.producer(kafka_settings) as producer:
            producer.send(kafka_settings.events_topic, value=large, partition=0)
            producer.flush(timeout=30)
            refused = producer.send(
                kafka_settings.events_topic, value=os.urandom(MAX_EVENT_BYTES + 1), partition=0
            )
            with pytest.raises(MessageSizeTooLargeError):
                refused.get(timeout=30)
            with pytest.raises(MessageSizeTooLargeError):
                producer.send(
                    kafka_settings.events_topic, value=bytes(client.MAX_REQUEST_BYTES)
                ).get(timeout=30)
        (found,) = read(kafka_settings, kafka_settings.events_topic, 1)
        assert found.value == large

    def test_only_committed_transactions_are_read(self, kafka: str, make_topic: MakeTopic) -> None:
        settings, topic = on(kafka), make_topic()
        arguments = connection_arguments(settings)
        with KafkaProducer(**arguments, transactional_id=topic) as sender:
            sender.init_transactions()
            for value, end in ((b"no", sender.abort_transaction), (b"yes", None)):
                sender.begin_transaction()
                sender.send(topic, value=value)
                sender.flush()
                (end or sender.commit_transaction)()
        assert [message.value for message in read(settings, topic, 1)] == [b"yes"]

    def test_a_position_that_the_broker_does_not_hold_is_an_error_and_not_moved(
        self, kafka: str, make_topic: MakeTopic
    ) -> None:
        place = TopicPartition(make_topic(), 0)
        with client.consumer(on(kafka)) as consumer:
            consumer.assign([place])
            consumer.seek(place, 1_000)
            with pytest.raises(OffsetOutOfRangeError):
                for _ in range(20):
                    consumer.poll(timeout_ms=500)

    def test_no_client_creates_a_topic_by_using_it(
        self, kafka: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "REQUEST_SECONDS", LIMIT_SECONDS)
        settings = on(kafka)
        missing = pytest.raises((KafkaTimeoutError, UnknownTopicOrPartitionError))
        with client.producer(settings) as producer, missing:
            producer.send("no-such-topic", value=b"1").get(timeout=10)
        with client.admin(settings) as admin:
            assert "no-such-topic" not in admin.list_topics()

    def test_an_error_of_a_call_is_told_in_plain_words(self, kafka: str) -> None:
        settings = on(kafka)
        explained = pytest.raises(KafkaUnavailableError, match=f"Kafka at {kafka} failed")
        with explained, broker_errors(settings), client.admin(settings) as admin:
            admin.delete_topics(["no-such-topic"])


class TestFailure:
    def test_what_is_sent_while_the_broker_is_killed_and_restarted_arrives_once_and_in_order(
        self, kafka_broker: KafkaBroker
    ) -> None:
        settings = kafka_broker.settings
        ensure_topics(settings)
        with client.producer(settings) as producer:
            for number in range(2_000):
                producer.send(settings.events_topic, value=b"%d" % number, partition=0)
                if number == 1_000:
                    kafka_broker.kill()
            kafka_broker.start()
            producer.flush(timeout=client.DELIVERY_SECONDS)
        found = read(settings, settings.events_topic, 2_000)
        assert [int(message.value) for message in found] == list(range(2_000))

    @pytest.mark.usefixtures("impatient")
    def test_a_broker_that_falls_silent_blocks_no_call(self, kafka_broker: KafkaBroker) -> None:
        settings = kafka_broker.settings
        ensure_topics(settings)
        place = TopicPartition(settings.events_topic, 0)
        with (
            client.admin(settings) as admin,
            client.consumer(settings, fetch_max_wait_ms=200) as consumer,
            client.producer(settings) as producer,
        ):
            consumer.assign([place])
            consumer.seek(place, 0)
            producer.partitions_for(settings.events_topic)
            kafka_broker.freeze()
            with at_most(2 * LIMIT_SECONDS):
                assert consumer.poll(timeout_ms=500) == {}
            failed = pytest.raises(KafkaUnavailableError)
            with at_most(3 * LIMIT_SECONDS), failed, broker_errors(settings):
                consumer.end_offsets([place])
            with at_most(3 * LIMIT_SECONDS), failed, broker_errors(settings):
                admin.list_topics()
            with at_most(5 * LIMIT_SECONDS), failed, broker_errors(settings):
                producer.send(settings.events_topic, value=b"1", partition=0).get(timeout=10)
            with at_most(4 * LIMIT_SECONDS):
                producer.close()
            with at_most(2 * LIMIT_SECONDS):
                consumer.close()
                admin.close()
