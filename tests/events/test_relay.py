"""What waits in the outbox reaches Kafka: at least once, in order, and no event twice in peace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Engine

from fulfillment_assets.events import client, relay
from fulfillment_assets.events.client import KafkaUnavailableError, admin
from fulfillment_assets.events.messages import Message
from fulfillment_assets.events.relay import EVENT_ID, RelayResult, events_wait, relay_outbox
from fulfillment_assets.events.topic_log import look_at
from fulfillment_assets.events.topics import DEVIATION_EVENTS, ensure_topics
from fulfillment_assets.settings import PROJECT_ROOT, Settings
from tests.events.broker import KafkaBroker
from tests.events.wire import read

RELAY_AND_DIE = """
import os, signal, sys
from fulfillment_assets.events import relay
from fulfillment_assets.settings import Settings
from fulfillment_assets.store.connection import create_engine

url, servers = sys.argv[1:]

def die(*_arguments):
    os.kill(os.getpid(), signal.SIGKILL)

relay.mark_published = die
relay.relay_outbox(create_engine(url), Settings(kafka_bootstrap_servers=servers))
"""


def fill(engine: Engine, topic: str, keys: Sequence[str], size: int = 0) -> None:
    """Put events into the outbox; each tells its number."""
    statement = "INSERT INTO outbox (event_id, topic, key, payload) VALUES (uuidv7(), :t, :k, :p)"
    with engine.begin() as connection:
        connection.execute(
            sa.text(statement),
            [
                {"t": topic, "k": key, "p": json.dumps({"number": n, "fill": "x" * size})}
                for n, key in enumerate(keys)
            ],
        )


def rows(engine: Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        found = connection.execute(sa.text("SELECT * FROM outbox ORDER BY id")).mappings()
        return [dict(row) for row in found]


def arrived(settings: Settings, topic: str) -> list[Message]:
    """Everything in a topic, partition by partition."""
    with admin(settings) as kafka:
        log = look_at(kafka, topic)
    return [
        message
        for partition, end in log.ends.items()
        for message in read(settings, topic, 0, end, partition)[0]
    ]


def event_ids(messages: Sequence[Message]) -> list[str]:
    return [(dict(message.headers)[EVENT_ID] or b"").decode() for message in messages]


def numbers(messages: Sequence[Message]) -> list[int]:
    return [json.loads(message.value or b"")["number"] for message in messages]


@pytest.fixture
def topic(kafka_settings: Settings) -> str:
    return kafka_settings.deviations_topic


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A client that gives up soon."""
    monkeypatch.setattr(client, "DELIVERY_SECONDS", 3.0)
    monkeypatch.setattr(client, "REQUEST_SECONDS", 2.0)
    monkeypatch.setattr(relay, "DELIVERY_SECONDS", 3.0)
    monkeypatch.setattr(relay, "_MARGIN_SECONDS", 1.0)
    yield


def test_events_are_published_once_with_key_payload_and_event_id(
    engine: Engine, kafka_settings: Settings, topic: str
) -> None:
    fill(engine, topic, [f"O{n}" for n in range(200)])
    assert relay_outbox(engine, kafka_settings) == RelayResult(published=200)
    assert relay_outbox(engine, kafka_settings) == RelayResult()
    messages = arrived(kafka_settings, topic)
    by_id = {str(row["event_id"]): row for row in rows(engine)}
    assert sorted(event_ids(messages)) == sorted(by_id)
    for message, event_id in zip(messages, event_ids(messages), strict=True):
        assert message.key == by_id[event_id]["key"].encode()
        assert json.loads(message.value or b"") == by_id[event_id]["payload"]
    assert all(row["published_at"] is not None for row in rows(engine))


def test_the_events_of_a_key_arrive_in_their_order(
    engine: Engine, kafka_settings: Settings, topic: str
) -> None:
    fill(engine, topic, [f"O{n % 5}" for n in range(500)])
    while relay_outbox(engine, kafka_settings, limit=70).published:
        pass
    found: dict[bytes, list[int]] = {}
    for message in arrived(kafka_settings, topic):
        found.setdefault(message.key or b"", []).extend(numbers([message]))
    assert found == {b"O%d" % key: list(range(key, 500, 5)) for key in range(5)}


def test_the_oldest_events_are_taken_first_and_no_more_than_the_limit(
    engine: Engine, kafka_settings: Settings, topic: str
) -> None:
    fill(engine, topic, ["O1"] * 10)
    assert relay_outbox(engine, kafka_settings, limit=4).published == 4
    assert [row["published_at"] is not None for row in rows(engine)] == [True] * 4 + [False] * 6


def test_no_more_than_so_many_bytes_are_taken_at_a_time_but_one_event_is(
    engine: Engine, kafka_settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "BATCH_BYTES", 5_000)
    fill(engine, topic, ["O1"] * 4, size=2_000)
    fill(engine, topic, ["O1"], size=20_000)
    assert [relay_outbox(engine, kafka_settings).published for _ in range(4)] == [2, 2, 1, 0]


def test_deviations_are_announced_on_the_topic_of_the_settings(
    engine: Engine, kafka_settings: Settings, topic: str
) -> None:
    fill(engine, DEVIATION_EVENTS, ["O1"])
    assert topic != DEVIATION_EVENTS
    assert relay_outbox(engine, kafka_settings).published == 1
    assert len(arrived(kafka_settings, topic)) == 1


def test_whether_anything_waits_can_be_asked(
    engine: Engine, kafka_settings: Settings, topic: str
) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        assert not events_wait(connection)
        fill(engine, topic, ["O1"])
        assert events_wait(connection)
        relay_outbox(engine, kafka_settings)
        assert not events_wait(connection)


def test_odd_keys_and_texts_arrive_as_they_are(
    engine: Engine, kafka_settings: Settings, topic: str
) -> None:
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO outbox (event_id, topic, key, payload) VALUES "
                "(uuidv7(), :topic, '', :payload), (uuidv7(), :topic, 'ö 𝄞', :payload)"
            ),
            {"topic": topic, "payload": '{"a":  "\\u0000 ö", "a": 1e400}'},
        )
    assert relay_outbox(engine, kafka_settings).published == 2
    messages = arrived(kafka_settings, topic)
    assert sorted(message.key or b"" for message in messages) == [b"", "ö 𝄞".encode()]
    assert {message.value for message in messages} == {b'{"a":  "\\u0000 \xc3\xb6", "a": 1e400}'}


def test_nothing_waiting_needs_no_broker(engine: Engine) -> None:
    assert relay_outbox(engine, Settings()) == RelayResult()


def test_no_broker_is_an_error_that_says_so_and_the_events_wait(engine: Engine) -> None:
    fill(engine, "t", ["O1"])
    with pytest.raises(KafkaUnavailableError, match="Set KAFKA_BOOTSTRAP_SERVERS"):
        relay_outbox(engine, Settings())
    with pytest.raises(KafkaUnavailableError, match="No Kafka broker answers"):
        relay_outbox(engine, Settings(kafka_bootstrap_servers="127.0.0.1:1"))
    assert rows(engine)[0]["published_at"] is None


@pytest.mark.usefixtures("impatient")
def test_a_topic_that_is_missing_does_not_hold_up_the_others(
    engine: Engine, kafka_settings: Settings, topic: str
) -> None:
    fill(engine, "a-missing-topic", ["O1"] * 20)
    fill(engine, topic, ["O1"] * 3)
    fill(engine, "z-missing-topic", ["O1"])
    started = time.monotonic()
    result = relay_outbox(engine, kafka_settings, limit=10)
    assert time.monotonic() - started < 12
    assert (result.published, result.failed, result.refused) == (3, 11, 0)
    assert result.error is not None
    assert [row["topic"] for row in rows(engine) if row["published_at"]] == [topic] * 3


def test_an_event_that_is_too_large_for_its_topic_is_put_aside_with_the_reason(
    engine: Engine, kafka_settings: Settings, make_topic: Any
) -> None:
    small = make_topic(**{"max.message.bytes": "2000", "compression.type": "uncompressed"})
    fill(engine, small, ["O1"])
    with engine.begin() as connection:
        noise = os.urandom(5_000).hex()
        connection.execute(
            sa.text(
                "INSERT INTO outbox (event_id, topic, key, payload) "
                "VALUES (uuidv7(), :topic, 'O2', :payload)"
            ),
            {"topic": small, "payload": json.dumps(noise)},
        )
    fill(engine, small, ["O3"])
    results = [relay_outbox(engine, kafka_settings) for _ in range(2)]
    assert [result.published for result in results] == [2, 0]
    assert [result.refused for result in results] == [1, 0]
    refused = [row["refused"] for row in rows(engine)]
    assert refused[0] is refused[2] is None
    assert "MessageSizeTooLarge" in refused[1]


def test_only_one_relay_is_at_work(
    engine: Engine, kafka_settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(engine, topic, ["O1"] * 5)
    publish = relay._publish
    results: list[RelayResult] = []

    def publish_beside_another(*arguments: Any) -> Any:
        results.append(relay_outbox(engine, kafka_settings))
        return publish(*arguments)

    monkeypatch.setattr(relay, "_publish", publish_beside_another)
    results.append(relay_outbox(engine, kafka_settings))
    assert results == [RelayResult(busy=True), RelayResult(published=5)]
    assert len(arrived(kafka_settings, topic)) == 5


def test_no_transaction_is_open_while_the_broker_is_waited_for(
    engine: Engine, kafka_settings: Settings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(engine, topic, ["O1"])
    publish = relay._publish
    open_transactions: list[int] = []

    def publish_and_look(*arguments: Any) -> Any:
        with engine.connect() as connection:
            open_transactions.append(
                connection.scalar(
                    sa.text(
                        "SELECT count(*) FROM pg_stat_activity WHERE xact_start IS NOT NULL "
                        "AND datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
                or 0
            )
        return publish(*arguments)

    monkeypatch.setattr(relay, "_publish", publish_and_look)
    assert relay_outbox(engine, kafka_settings).published == 1
    assert open_transactions == [0]


def test_what_dies_between_acknowledgement_and_mark_is_published_again(
    engine: Engine, kafka_settings: Settings, topic: str
) -> None:
    fill(engine, topic, [f"O{n}" for n in range(20)])
    url = engine.url.render_as_string(hide_password=False)
    done = subprocess.run(
        [sys.executable, "-c", RELAY_AND_DIE, url, str(kafka_settings.kafka_bootstrap_servers)],
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert all(row["published_at"] is None for row in rows(engine))
    deadline = time.monotonic() + 20
    while (result := relay_outbox(engine, kafka_settings)).busy:
        assert time.monotonic() < deadline, "the lock of the dead relay is still held"
    assert result == RelayResult(published=20)
    ids = event_ids(arrived(kafka_settings, topic))
    assert sorted(ids) == sorted(2 * [str(row["event_id"]) for row in rows(engine)])


@pytest.mark.usefixtures("impatient")
def test_a_broker_that_dies_on_the_way_delays_and_loses_nothing(
    engine: Engine, kafka_broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = kafka_broker.settings
    ensure_topics(settings)
    fill(engine, settings.deviations_topic, [f"O{n % 7}" for n in range(50)])
    send, sent = relay._send, 0

    def kill_at_the_tenth(*arguments: Any) -> Any:
        nonlocal sent
        sent += 1
        if sent == 10:
            kafka_broker.kill()
        return send(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(relay, "_send", kill_at_the_tenth)
        result = relay_outbox(engine, settings)
    assert result.published + result.failed == 50
    assert result.failed > 0
    assert result.error is not None
    kafka_broker.start()
    while relay_outbox(engine, settings).published:
        pass
    messages = arrived(settings, settings.deviations_topic)
    assert set(event_ids(messages)) == {str(row["event_id"]) for row in rows(engine)}
    for key in range(7):
        of_key = numbers([m for m in messages if m.key == b"O%d" % key])
        last_seen = sorted(set(of_key), key=lambda n: len(of_key) - of_key[::-1].index(n))
        assert last_seen == list(range(key, 50, 7)), "what comes last is the newest"


@pytest.mark.usefixtures("impatient")
def test_a_silent_broker_is_given_up(engine: Engine, kafka_broker: KafkaBroker) -> None:
    settings = kafka_broker.settings
    ensure_topics(settings)
    fill(engine, settings.deviations_topic, ["O1"] * 5)
    threading.Timer(0.0, kafka_broker.freeze).start()
    time.sleep(0.5)
    started = time.monotonic()
    with pytest.raises(KafkaUnavailableError):
        relay_outbox(engine, settings)
    assert time.monotonic() - started < 15
    kafka_broker.thaw()
    assert relay_outbox(engine, settings).published == 5
