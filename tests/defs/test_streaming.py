"""The stream in Dagster: what waits becomes runs, each range once, and events leave."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing

import dagster as dg
import pytest

from fulfillment_assets.definitions import defs
from fulfillment_assets.defs.resources import RESOURCES
from fulfillment_assets.defs.streaming import sensors
from fulfillment_assets.defs.streaming.jobs import PARTITION_TAG, STREAM_JOB
from fulfillment_assets.events.client import admin, producer
from fulfillment_assets.events.topic_log import look_at
from fulfillment_assets.settings import Settings
from tests.defs.runs import Run, execute, failures, materialisations
from tests.orders.examples import order_row
from tests.scoring.workplace import LATE, OPEN, Workplace

pytestmark = pytest.mark.usefixtures("streaming")


@pytest.fixture
def streaming(
    instance: dg.DagsterInstance, kafka_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Runs and sensors that find the test's topics; a sensor that does not wait for long."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", str(kafka_settings.kafka_bootstrap_servers))
    for name in ("events_topic", "deviations_topic", "dlq_topic"):
        monkeypatch.setenv(f"FULFILLMENT_{name.upper()}", getattr(kafka_settings, name))
    monkeypatch.setenv("FULFILLMENT_STREAM_FLUSH_MESSAGES", "5")
    monkeypatch.setenv("FULFILLMENT_STREAM_FLUSH_SECONDS", "600")
    monkeypatch.setattr(sensors, "WAIT_SECONDS", 0.2)
    yield
    for run in instance.get_runs():
        instance.delete_run(run.run_id)


def produce(settings: Settings, *values: bytes, partition: int = 0) -> None:
    with closing(producer(settings)) as client:
        for value in values:
            client.send(settings.events_topic, value=value, partition=partition)
        client.flush()


def orders(count: int, *, first: int = 0) -> list[bytes]:
    return [
        json.dumps(order_row(order_id=f"ORD-{first + number}") | OPEN | LATE).encode()
        for number in range(count)
    ]


def published(settings: Settings, topic: str) -> int:
    """How many messages a topic holds."""
    with admin(settings) as client:
        return sum(look_at(client, topic).ends.values())


def looked(
    instance: dg.DagsterInstance, name: str = "kafka_sensor"
) -> Sequence[dg.RunRequest] | str:
    """What a sensor requests, or why it does not."""
    with dg.build_sensor_context(
        instance=instance, resources=RESOURCES, repository_def=defs.get_repository_def()
    ) as context:
        found = defs.resolve_sensor_def(name).evaluate_tick(context)
    return found.run_requests or str(found.skip_message)


def requested(instance: dg.DagsterInstance) -> dg.RunRequest:
    found = looked(instance)
    assert not isinstance(found, str), found
    (request,) = found
    return request


def run(instance: dg.DagsterInstance, request: dg.RunRequest) -> Run:
    return execute(instance, STREAM_JOB, run_config=request.run_config, tags=request.tags)


def test_few_messages_that_are_young_wait(
    instance: dg.DagsterInstance, kafka_settings: Settings
) -> None:
    produce(kafka_settings, *orders(4))
    assert "nothing is due: lag 4, oldest message" in str(looked(instance))


def test_enough_messages_become_one_run_over_exactly_their_range(
    instance: dg.DagsterInstance, kafka_settings: Settings, workplace: Workplace
) -> None:
    produce(kafka_settings, *orders(7), b"not JSON")
    request = requested(instance)
    topic = kafka_settings.events_topic
    assert request.run_key == f"{topic}:0:0-8:1"
    assert request.tags[f"{PARTITION_TAG}0"] == f"{topic}:0"

    done = run(instance, request)
    assert done.success, failures(done)
    assert {one.asset_key.to_user_string() for one in materialisations(done)} == {
        "predictions",
        "kpi_rollups",
        "deviations",
    }
    told = {name: value.value for name, value in materialisations(done)[0].metadata.items()}
    assert (told["rows"], told["dead_lettered"], told["offsets"]) == (7, 1, "0:0-8")
    assert workplace.counts()["predictions"] == 7
    assert "nothing is due: lag 0" in str(looked(instance))


def test_a_message_that_has_waited_long_enough_starts_a_run(
    instance: dg.DagsterInstance, kafka_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULFILLMENT_STREAM_FLUSH_SECONDS", "0.05")
    produce(kafka_settings, *orders(1))
    assert str(requested(instance).run_key).endswith(":0:0-1:1")


def test_a_run_takes_what_waits_in_all_partitions(
    instance: dg.DagsterInstance, kafka_settings: Settings, workplace: Workplace
) -> None:
    produce(kafka_settings, *orders(5))
    produce(kafka_settings, *orders(2, first=5), partition=2)
    request = requested(instance)
    topic = kafka_settings.events_topic
    assert request.run_key == f"{topic}:0:0-5:1 {topic}:2:0-2:1"
    done = run(instance, request)
    told = {name: value.value for name, value in materialisations(done)[0].metadata.items()}
    assert (told["rows"], told["offsets"]) == (7, "0:0-5 2:0-2")
    assert workplace.counts()["predictions"] == 7


def test_large_ranges_are_requested_side_by_side(
    instance: dg.DagsterInstance, kafka_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FULFILLMENT_STREAM_MAX_RANGE", "6")
    for partition in range(3):
        produce(kafka_settings, *orders(3, first=10 * partition), partition=partition)
    produce(kafka_settings, *orders(5, first=30), partition=0)
    found = looked(instance)
    assert not isinstance(found, str)
    ranges = [request.run_config["ops"]["score_messages"]["config"]["ranges"] for request in found]
    taken = [[(one["partition"], one["start"], one["end"]) for one in run] for run in ranges]
    assert taken == [[(0, 0, 6)], [(1, 0, 3), (2, 0, 3)]]


def test_a_range_that_fails_keeps_no_other_from_being_committed(
    instance: dg.DagsterInstance, kafka_settings: Settings, workplace: Workplace
) -> None:
    for partition in (0, 1):
        produce(kafka_settings, *orders(5, first=10 * partition), partition=partition)
    request = requested(instance)
    config = request.run_config["ops"]["score_messages"]["config"]
    config["ranges"][0] |= {"start": 3}  # the partition does not stand there
    done = run(instance, request)
    assert not done.success
    assert workplace.counts()["predictions"] == 5
    assert "the messages between would be left out" in str(failures(done))


def test_a_partition_with_a_run_in_flight_is_left_alone(
    instance: dg.DagsterInstance, kafka_settings: Settings
) -> None:
    produce(kafka_settings, *orders(5))
    request = requested(instance)
    job = defs.resolve_job_def(STREAM_JOB)
    begun = instance.create_run_for_job(
        job, tags=request.tags, run_config=request.run_config, status=dg.DagsterRunStatus.STARTED
    )
    produce(kafka_settings, *orders(5, first=5))
    assert isinstance(looked(instance), str)
    produce(kafka_settings, *orders(5, first=10), partition=1)
    assert str(requested(instance).run_key).endswith(":1:0-5:1"), "the others are not"

    instance.report_run_failed(begun)
    found = looked(instance)
    assert not isinstance(found, str)
    keys = [
        str(request.run_key).removeprefix(f"{kafka_settings.events_topic}:") for request in found
    ]
    assert keys == ["1:0-5:1", "0:0-10:2"], "the next attempt takes all, and nobody along"


def test_a_range_that_fails_again_and_again_is_tried_less_and_less_often(
    instance: dg.DagsterInstance, kafka_settings: Settings
) -> None:
    produce(kafka_settings, *orders(5))
    request, job = requested(instance), defs.resolve_job_def(STREAM_JOB)
    for _ in range(3):
        begun = instance.create_run_for_job(job, tags=request.tags, run_config=request.run_config)
        instance.report_run_failed(begun)
    assert isinstance(looked(instance), str)


def test_a_run_that_is_launched_twice_commits_once(
    instance: dg.DagsterInstance, kafka_settings: Settings, workplace: Workplace
) -> None:
    produce(kafka_settings, *orders(6))
    request = requested(instance)
    first, second = run(instance, request), run(instance, request)
    assert first.success and second.success
    assert len(materialisations(first)) == 3
    assert materialisations(second) == []
    assert workplace.counts()["predictions"] == 6


def test_the_sensor_remembers_nothing(
    instance: dg.DagsterInstance, kafka_settings: Settings, workplace: Workplace
) -> None:
    """A wiped cursor, or a wiped Dagster, changes nothing: PostgreSQL knows where it stands."""
    produce(kafka_settings, *orders(5))
    run(instance, requested(instance))
    for one in instance.get_runs():
        instance.delete_run(one.run_id)
    produce(kafka_settings, *orders(5, first=5))
    assert str(requested(instance).run_key).endswith(":0:5-10:1")


def test_what_is_announced_leaves_through_the_relay(
    instance: dg.DagsterInstance, kafka_settings: Settings, workplace: Workplace
) -> None:
    assert "no event waits" in str(looked(instance, "outbox_sensor"))
    produce(kafka_settings, *orders(5), b"not JSON")
    run(instance, requested(instance))
    assert not isinstance(looked(instance, "outbox_sensor"), str)

    relayed = execute(instance, "relay_events")
    assert relayed.success, failures(relayed)
    waiting = workplace.rows("SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
    assert waiting == [{"n": 0}]
    for topic, count in ((kafka_settings.deviations_topic, 5), (kafka_settings.dlq_topic, 1)):
        assert published(kafka_settings, topic) == count
    assert "no event waits" in str(looked(instance, "outbox_sensor"))


def test_without_a_broker_the_sensors_say_so(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS")
    for name in ("kafka_sensor", "outbox_sensor"):
        assert "no Kafka broker is configured" in str(looked(instance, name))
