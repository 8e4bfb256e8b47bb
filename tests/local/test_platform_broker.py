"""Which Kafka the platform and its commands use. Dagster and the API are left out here."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from fulfillment_assets.events import client
from fulfillment_assets.events.client import KafkaUnavailableError
from fulfillment_assets.events.topics import ensure_topics
from fulfillment_assets.local import platform
from fulfillment_assets.local.errors import LocalServiceError
from fulfillment_assets.local.platform import broker, environment, running_platform, running_urls
from fulfillment_assets.local.ports import any_port
from fulfillment_assets.local.service import Service
from fulfillment_assets.local.services import Urls, compose
from fulfillment_assets.local.supervisor import Supervisor
from fulfillment_assets.settings import Settings
from tests.events.broker import broker_processes, copy_of

MakeSettings = Callable[..., Settings]


@pytest.fixture
def make_settings(
    empty_database_url: str, kafka_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> MakeSettings:
    """Settings with a data directory of one's own, and a platform of nothing but Kafka."""

    def only_kafka(
        settings: Settings, variables: Mapping[str, str], embedded: Sequence[Service]
    ) -> tuple[Supervisor, Urls]:
        _, urls = compose(settings, variables, embedded)
        kafka = [service for service in embedded if service.name == "kafka"]
        return Supervisor(kafka, settings.data_dir / "logs"), urls

    def make(**changes: Any) -> Settings:
        return Settings(database_url=empty_database_url, data_dir=data_dir, **changes)

    data_dir = copy_of(kafka_template, tmp_path / "data", any_port())
    monkeypatch.setattr(platform, "compose", only_kafka)
    return make


@pytest.fixture
def dead() -> Iterator[str]:
    """An address at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    yield address


def topic_names(settings: Settings) -> set[str]:
    with client.admin(settings) as admin:
        return set(admin.list_topics())


def test_the_platform_starts_one_and_its_commands_find_it(make_settings: MakeSettings) -> None:
    settings = make_settings()
    with running_platform(settings) as (supervisor, urls):
        assert [service.name for service in supervisor.status()] == ["kafka"]
        assert urls.kafka_problem is None
        assert running_urls(settings) == urls
        (process,) = broker_processes(settings.data_dir)
        with broker(settings) as found:
            assert found.kafka_bootstrap_servers == urls.kafka
            assert {"fulfillment-events", "fulfillment-events-dlq"} <= topic_names(found)
        assert broker_processes(settings.data_dir) == [process]
    assert broker_processes(settings.data_dir) == []


def test_without_a_platform_a_command_has_one_for_as_long_as_it_runs(
    make_settings: MakeSettings,
) -> None:
    settings = make_settings()
    with broker(settings) as found:
        assert len(broker_processes(settings.data_dir)) == 1
        assert ensure_topics(found) == []
    assert broker_processes(settings.data_dir) == []


def test_the_one_of_the_settings_is_used_and_none_started(
    kafka: str, kafka_settings: Settings, make_settings: MakeSettings
) -> None:
    names = kafka_settings.model_dump(include={"events_topic", "deviations_topic", "dlq_topic"})
    names["events_topic"] += "-new"
    settings = make_settings(kafka_bootstrap_servers=kafka, **names)
    with running_platform(settings) as (supervisor, urls):
        assert supervisor.status() == []
        assert (urls.kafka, urls.kafka_problem) == (kafka, None)
        with broker(settings) as found:
            assert settings.events_topic in topic_names(found)
    assert broker_processes(settings.data_dir) == []


def test_one_that_does_not_answer_is_told_and_the_platform_is_up_nevertheless(
    dead: str, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CONNECT_SECONDS", 1.0)
    settings = make_settings(kafka_bootstrap_servers=dead)
    with running_platform(settings) as (_, urls):
        assert urls.kafka == dead
        assert urls.kafka_problem is not None
        assert f"No Kafka broker answers ({dead}" in urls.kafka_problem
        with pytest.raises(KafkaUnavailableError, match=dead), broker(settings):
            pass


def test_what_is_missing_is_told_and_the_platform_is_up_nevertheless(
    make_settings: MakeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    settings = make_settings()
    with running_platform(settings) as (supervisor, urls):
        assert supervisor.status() == []
        assert urls.kafka is None
        assert urls.kafka_problem is not None
        assert urls.kafka_problem.startswith("no Java 17")
        with pytest.raises(LocalServiceError, match="no Java 17"), broker(settings):
            pass


def test_a_login_without_a_broker_of_one_s_own_is_an_error(make_settings: MakeSettings) -> None:
    settings = make_settings(kafka_security_protocol="SASL_SSL")
    expected = pytest.raises(
        LocalServiceError, match=r"KAFKA_SECURITY_PROTOCOL=SASL_SSL.*set KAFKA_BOOTSTRAP_SERVERS"
    )
    with expected, broker(settings):
        pass


def test_a_port_that_is_taken_is_told(make_settings: MakeSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = make_settings(kafka_port=listener.getsockname()[1])
        with running_platform(settings) as (_, urls):
            assert urls.kafka_problem is not None
            assert "FULFILLMENT_KAFKA_PORT" in urls.kafka_problem


def test_every_process_gets_the_address_and_whole_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(
        data_dir=Path("data"), kafka_bootstrap_servers="one:9093", kafka_ssl_cafile=Path("ca.pem")
    )
    variables = environment(settings, "postgresql://x/y")
    assert variables["KAFKA_BOOTSTRAP_SERVERS"] == "one:9093"
    assert variables["KAFKA_SSL_CAFILE"] == str(tmp_path / "ca.pem")
    without = environment(Settings(data_dir=Path("data")), "postgresql://x/y")
    assert not any(name.startswith("KAFKA") for name in without)
